"""One request and what became of it."""

from __future__ import annotations

from revproxy.http.facts import RequestFacts
from revproxy.observe.labels import NO_ROUTE, RouteLabels


class Transaction:
    """What the access log will say of a request. Filled while it runs; nothing is formatted before it is over.

    Times are seconds: ``started`` of the wall clock, ``begun`` of the monotonic one, the rest are durations since
    ``begun``, and negative while (or where) they are not known.
    """

    __slots__ = (
        "begun",
        "cache_status",
        "client",
        "connect_time",
        "detail",
        "facts",
        "first_byte_time",
        "host",
        "labels",
        "listener",
        "method",
        "reason",
        "received",
        "request_id",
        "scheme",
        "sent",
        "started",
        "status",
        "target",
        "total_time",
        "trace",
        "tries",
        "upstream",
        "version",
    )

    def __init__(
        self, request_id: bytes, client: bytes, method: bytes, target: bytes, version: int, started: float, begun: float
    ) -> None:
        self.request_id = request_id
        self.client = client
        self.method = method
        self.target = target
        self.version = version
        self.started = started
        self.begun = begun
        self.facts: RequestFacts | None = None
        self.labels: RouteLabels = NO_ROUTE
        """The site and the route that were chosen, as figures call them."""
        self.listener = ""
        """The address of the listener that it came to, as the configuration writes it."""
        self.host = b""
        self.scheme = b"http"
        self.status = 0
        self.sent = 0
        """Octets of the answer's content."""
        self.received = 0
        """Octets of the request's content."""
        self.cache_status = b""
        """What a cache did, as Cache-Status says it; empty where none was asked."""
        self.trace = b""
        """The traceparent that a server got; empty where none got one."""
        self.upstream = b""
        """The address of the server that answered, or was tried last."""
        self.tries = 0
        """Connections that the request was put on."""
        self.connect_time = -1.0
        self.first_byte_time = -1.0
        self.total_time = -1.0
        self.reason = ""
        """A failure in a word; empty where there was none."""
        self.detail = ""
        """The same for the operator, in a sentence."""
