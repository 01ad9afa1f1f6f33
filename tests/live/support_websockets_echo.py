"""A program: a ``websockets`` server. ``/close?code=4001&reason=why`` closes at once; elsewhere messages come back."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from websockets.sync.server import ServerConnection, serve


def answer(connection: ServerConnection) -> None:
    assert connection.request is not None
    target = urlsplit(connection.request.path)
    if target.path == "/close":
        query = parse_qs(target.query)
        connection.close(int(query["code"][0]), query["reason"][0])
        return
    for message in connection:
        if message == "close me":
            connection.close(4002, "as you wish")
            return
        connection.send(message)


def main() -> None:
    with serve(answer, "127.0.0.1", 0, max_size=2**24) as server:
        print(f"listening on {server.socket.getsockname()[1]}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
