"""A program: a Flask application under waitress, as people write them."""

from __future__ import annotations

import gzip
import sys
from typing import TYPE_CHECKING

from flask import Flask, Response, jsonify, redirect, request, url_for
from waitress import create_server  # type: ignore[import-untyped]

from tests.live.support_backends import HELLO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from werkzeug.wrappers import Response as Redirection

app = Flask(__name__)


@app.get("/hello.txt")
def hello() -> Response:
    return Response(HELLO, content_type="text/plain")


@app.route("/seen", methods=["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def seen() -> Response:
    body = request.get_data()
    return jsonify(
        method=request.method,
        path=request.path,
        query=request.query_string.decode(),
        fields=[[name, value] for name, value in request.headers.items()],
        length=len(body),
        body=body[:1000].decode("latin-1"),
    )


@app.post("/form")
def form() -> Response:
    return jsonify(form=request.form.to_dict(), files={name: len(f.read()) for name, f in request.files.items()})


@app.get("/login")
def login() -> Redirection:
    answer = redirect(url_for("home"))
    answer.set_cookie("session", "s3cret", path="/", httponly=True)
    return answer


@app.get("/home")
def home() -> str:
    return f"session {request.cookies.get('session')}"


@app.get("/named")
def named() -> Response:
    """An answer that tells where it comes from wherever it can."""
    own = f"127.0.0.1:{sys.argv[1]}" if len(sys.argv) > 1 else request.environ["SERVER_PORT"]
    own = f"127.0.0.1:{request.environ['SERVER_PORT']}" if ":" not in own else own
    answer = Response("named", status=302)
    answer.autocorrect_location_header = False
    answer.headers["Location"] = f"http://{own}/home?next=1#there"
    answer.headers["Content-Location"] = f"http://{own}/named.html"
    answer.headers["Refresh"] = f"5; url=http://{own}/home"
    answer.headers["X-Powered-By"] = "Flask"
    answer.headers.add("Set-Cookie", "a=1; Domain=127.0.0.1; Path=/")
    answer.headers.add("Set-Cookie", "b=2; Path=/")
    return answer


@app.get("/elsewhere")
def elsewhere() -> Redirection:
    return redirect("https://login.example.net/start?back=1")


@app.get("/gzip")
def compressed() -> Response:
    return Response(gzip.compress(HELLO), headers={"Content-Encoding": "gzip"}, content_type="text/plain")


@app.get("/stream")
def stream() -> Response:
    def pieces() -> Iterator[bytes]:
        for number in range(5):
            yield b"piece %d\n" % number

    return Response(pieces(), content_type="text/plain")


@app.get("/crash")
def crash() -> str:
    raise RuntimeError("the application has a mistake")


def main() -> None:
    server = create_server(app, host="127.0.0.1", port=0, threads=8, ident="waitress-behind", max_request_body_size=2**33)
    print(f"listening on {server.effective_port}", flush=True)
    server.run()


if __name__ == "__main__":
    main()
