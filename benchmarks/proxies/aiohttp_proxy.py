"""A streaming proxy on aiohttp: its server in front, its client behind, its access log to a file."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web
from multidict import CIMultiDict
from yarl import URL

HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "proxy-connection")
)


def end_to_end(fields: CIMultiDict[str] | web.Request) -> CIMultiDict[str]:
    """The fields that are not about one connection only."""
    source = fields.headers if isinstance(fields, web.Request) else fields
    return CIMultiDict((name, value) for name, value in source.items() if name.lower() not in HOP_BY_HOP)


def application(origin: int) -> web.Application:
    session: ClientSession

    async def client(_: web.Application) -> AsyncIterator[None]:
        nonlocal session
        session = ClientSession(
            connector=TCPConnector(limit=0), auto_decompress=False, timeout=ClientTimeout(total=None)
        )
        yield
        await session.close()

    async def forward(request: web.Request) -> web.StreamResponse:
        fields = end_to_end(request)
        fields["X-Forwarded-For"] = request.remote or ""
        fields["X-Forwarded-Proto"] = request.scheme
        fields["X-Forwarded-Host"] = request.host
        url = URL(f"http://127.0.0.1:{origin}{request.raw_path}", encoded=True)
        body = request.content if request.can_read_body else None
        async with session.request(
            request.method, url, headers=fields, data=body, allow_redirects=False
        ) as answer:
            response = web.StreamResponse(
                status=answer.status, headers=end_to_end(CIMultiDict(answer.headers))
            )
            await response.prepare(request)
            async for data in answer.content.iter_any():
                await response.write(data)
            await response.write_eof()
            return response

    app = web.Application()
    app.cleanup_ctx.append(client)
    app.router.add_route("*", "/{path:.*}", forward)
    return app


def main(listen: int, origin: int, log: str) -> None:
    access = logging.getLogger("access")
    access.setLevel(logging.INFO)
    access.addHandler(logging.FileHandler(log))
    access.propagate = False
    web.run_app(
        application(origin),
        host="127.0.0.1",
        port=listen,
        access_log=access,
        backlog=4096,
        print=lambda *_: None,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
