"""A proxy of the standard library: a thread per connection, http.server in front, http.client behind."""

from __future__ import annotations

import http.client
import http.server
import sys
from typing import TextIO

HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "proxy-connection")
)


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 4096
    daemon_threads = True


class Forward(http.server.BaseHTTPRequestHandler):
    """One client connection, with one connection to the origin of its own."""

    protocol_version = "HTTP/1.1"
    # Head and body leave in two writes; with Nagle's algorithm the second waits for a late acknowledgement.
    disable_nagle_algorithm = True
    origin_port: int
    log: TextIO

    def setup(self) -> None:
        super().setup()
        self.origin = http.client.HTTPConnection("127.0.0.1", self.origin_port)

    def finish(self) -> None:
        self.origin.close()
        super().finish()

    def forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))) or None
        fields = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        fields["X-Forwarded-For"] = self.client_address[0]
        fields["X-Forwarded-Proto"] = "http"
        self.origin.request(self.command, self.path, body, fields)
        answer = self.origin.getresponse()
        self.log_request(answer.status)
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        while data := answer.read(64 * 1024):
            self.wfile.write(data)

    # http.server dictates the names.
    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = forward

    def log_message(self, format: str, *values: object) -> None:
        self.log.write(f"{self.address_string()} [{self.log_date_time_string()}] {format % values}\n")


def main(listen: int, origin: int, log: str) -> None:
    Forward.origin_port = origin
    with open(log, "a", encoding="latin-1") as file, Server(("127.0.0.1", listen), Forward) as server:
        Forward.log = file
        server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
