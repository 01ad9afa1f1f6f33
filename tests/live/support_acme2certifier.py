"""Runs acme2certifier's WSGI application over TLS, with ``own.pem`` of this folder: ``python -m ... PORT``."""

from __future__ import annotations

import importlib.util
import ssl
import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server


class Server(ThreadingMixIn, WSGIServer):
    """A thread for each connection."""

    daemon_threads = True


def load() -> Any:
    """The application, which lies among the package's data."""
    package = importlib.util.find_spec("acme2certifier")
    assert package is not None
    assert package.submodule_search_locations is not None
    file = Path(package.submodule_search_locations[0]) / "share" / "acme2certifier_wsgi.py"
    spec = importlib.util.spec_from_file_location("acme2certifier_wsgi", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.application


def main() -> None:
    """Serves until it is ended."""
    application = load()

    def secured(environ: dict[str, Any], start_response: Any) -> Any:
        return application({**environ, "wsgi.url_scheme": "https"}, start_response)

    server = make_server("127.0.0.1", int(sys.argv[1]), secured, server_class=Server)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("own.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
