"""A proxy as many a team has written it: Flask in front, requests behind, under waitress if installed."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator

import requests
from flask import Flask, Response, request

HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "proxy-connection")
)
THREADS = 16
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def application(origin: int, log: str) -> Flask:
    app = Flask(__name__)
    # A session is not safe to share between threads.
    local = threading.local()
    access = logging.getLogger("access")
    access.setLevel(logging.INFO)
    access.addHandler(logging.FileHandler(log))
    access.propagate = False

    @app.route("/", defaults={"path": ""}, methods=METHODS)
    @app.route("/<path:path>", methods=METHODS)
    def forward(path: str) -> Response:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        query = request.query_string.decode("latin-1")
        fields = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        fields["X-Forwarded-For"] = request.remote_addr or ""
        fields["X-Forwarded-Proto"] = request.scheme
        answer = local.session.request(
            request.method,
            f"http://127.0.0.1:{origin}/{path}" + ("?" + query if query else ""),
            headers=fields,
            data=request.get_data() or None,
            allow_redirects=False,
            stream=True,
        )

        def body() -> Iterator[bytes]:
            yield from answer.raw.stream(64 * 1024, decode_content=False)

        kept = [(name, value) for name, value in answer.raw.headers.items() if name.lower() not in HOP_BY_HOP]
        access.info("%s %s %s %s", request.remote_addr, request.method, request.full_path, answer.status_code)
        return Response(body(), status=answer.status_code, headers=kept)

    return app


def main(listen: int, origin: int, log: str) -> None:
    app = application(origin, log)
    try:
        import waitress  # type: ignore[import-untyped]
    except ImportError:
        app.run("127.0.0.1", listen, threaded=True)
    else:
        waitress.serve(
            app,
            host="127.0.0.1",
            port=listen,
            threads=THREADS,
            connection_limit=8192,
            backlog=4096,
            # select() knows no descriptor above 1,023.
            asyncore_use_poll=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
