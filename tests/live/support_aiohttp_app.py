"""A program: an aiohttp application that a test can hold and ask what happened. The argument is a port or a path."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import sys
from collections import Counter

from aiohttp import WSMsgType, web

from tests.live.support_backends import HELLO

gates: dict[str, asyncio.Event] = {}
events: Counter[str] = Counter()
routes = web.RouteTableDef()


def gate(name: str) -> asyncio.Event:
    return gates.setdefault(name, asyncio.Event())


@routes.get("/hello.txt")
async def hello(request: web.Request) -> web.Response:
    return web.Response(body=HELLO, content_type="text/plain")


@routes.route("*", "/seen")
async def seen(request: web.Request) -> web.Response:
    body = await request.read()
    return web.json_response(
        {
            "method": request.method,
            "path": request.path,
            "query": request.query_string,
            "target": request.raw_path,
            "fields": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.raw_headers],
            "length": len(body),
            "digest": hashlib.sha256(body).hexdigest(),
            "body": body[:1000].decode("latin-1"),
        }
    )


@routes.get("/login")
async def login(request: web.Request) -> web.Response:
    answer = web.Response(status=302, headers={"Location": "/home"})
    answer.set_cookie("session", "s3cret", httponly=True)
    return answer


@routes.get("/home")
async def home(request: web.Request) -> web.Response:
    return web.Response(text=f"session {request.cookies.get('session')}")


@routes.get("/gzip")
async def compressed(request: web.Request) -> web.Response:
    return web.Response(body=gzip.compress(HELLO), headers={"Content-Encoding": "gzip"}, content_type="text/plain")


@routes.get("/held/{kind}/{name}")
async def held(request: web.Request) -> web.StreamResponse:
    """Sends a first piece, and the rest only when the test opens the gate."""
    kind, name = request.match_info["kind"], request.match_info["name"]
    answer = web.StreamResponse()
    if kind == "sse":
        answer.content_type = "text/event-stream"
    if kind == "length":
        answer.content_length = 20
    await answer.prepare(request)
    await answer.write(b"data: 1\n\n" + b" ")
    try:
        await gate(name).wait()
    except asyncio.CancelledError:
        events[f"left {name}"] += 1
        raise
    await answer.write(b"data: 2\n\n" + b" ")
    await answer.write_eof()
    return answer


@routes.route("*", "/hang/{name}")
async def hang(request: web.Request) -> web.Response:
    """Answers only when the gate is open; notes when the client has left."""
    name = request.match_info["name"]
    events[f"came {name}"] += 1
    try:
        await gate(name).wait()
    except asyncio.CancelledError:
        events[f"left {name}"] += 1
        raise
    return web.Response(text="at last")


@routes.get("/endless/{name}")
async def endless(request: web.Request) -> web.StreamResponse:
    """Sends for as long as somebody listens."""
    name = request.match_info["name"]
    answer = web.StreamResponse()
    await answer.prepare(request)
    try:
        while True:
            await answer.write(b"x" * 65536)
    except (asyncio.CancelledError, ConnectionError):
        events[f"left {name}"] += 1
        raise


@routes.post("/slurp/{name}")
async def slurp(request: web.Request) -> web.Response:
    """Reads an upload; notes how it ended."""
    name = request.match_info["name"]
    events[f"came {name}"] += 1
    size = 0
    try:
        async for piece in request.content.iter_any():
            size += len(piece)
    except (asyncio.CancelledError, ConnectionError, web.RequestPayloadError):
        events[f"left {name}"] += 1
        raise
    events[f"done {name}"] += 1
    return web.Response(text=str(size))


@routes.post("/open/{name}")
async def open_gate(request: web.Request) -> web.Response:
    gate(request.match_info["name"]).set()
    return web.Response()


@routes.get("/event/{what}")
async def event(request: web.Request) -> web.Response:
    return web.Response(text=str(events[request.match_info["what"]]))


@routes.get("/ws")
async def echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
    return socket


async def main() -> None:
    app = web.Application(client_max_size=2**32)
    app.add_routes(routes)
    runner = web.AppRunner(app, handler_cancellation=True, keepalive_timeout=75)
    await runner.setup()
    where = sys.argv[1]
    if where.isdigit():
        site: web.BaseSite = web.TCPSite(runner, "127.0.0.1", int(where), reuse_address=True)
    else:
        site = web.UnixSite(runner, where)
    await site.start()
    address = runner.addresses[0]
    print(f"listening on {address[1] if isinstance(address, tuple) else where}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
