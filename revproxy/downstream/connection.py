"""A client's connection as such: whether it is let in, the octets that wait in it, and how it ends.

Nothing here knows requests: ``channel.py`` puts them on top. They are two classes that are one object, and not two
objects, since what is here is touched for every request and must cost no step from one to the other.

How it ends. Before we close a connection on which the client may still be sending, we end our side and read on for a
moment (``linger``), or the reset that unread octets cause would destroy the answer on its way (RFC 9112 §9.6). What
the kernel has not taken yet is waited for; the sweep bounds both.
"""

from __future__ import annotations

from typing import Final

from revproxy.config.model import Limits
from revproxy.downstream.frontend import Frontend
from revproxy.http.forward import Client, is_within
from revproxy.wire.connect import Stream

MOMENT: Final = 1.0
"""Seconds for which a connection that is to close waits for a request that may be on its way."""
LINGER_TIME: Final = 5.0
LINGER_OCTETS: Final = 4 * 1024 * 1024
TURNED_AWAY: Final = 256
"""Connections over the limit that may linger at once."""


class ClientConnection:
    """One accepted connection, without what is said on it."""

    __slots__ = (
        "__weakref__",
        "_admitted",
        "_counted",
        "_held_octets",
        "_lingered",
        "client",
        "deadline",
        "frontend",
        "half_closed",
        "is_closing",
        "lingering",
        "pending",
        "stream",
    )

    def __init__(self, frontend: Frontend, stream: Stream, client: Client, *, counted: bool) -> None:
        self.frontend = frontend
        self.stream = stream
        self.client = client
        self.deadline = frontend.now() + frontend.limits.head_timeout
        """When it ends, unless something happens, while no request is being answered."""
        self.half_closed = False
        """Whether the client ended its octets."""
        self.pending = b""
        """Octets that came and wait for their turn; set by ``set_pending`` alone."""
        self.lingering = False
        """Whether all was said: what still comes is dropped."""
        self.is_closing = False
        """Whether it is over when what waits for the client was taken."""
        self._lingered = 0
        self._held_octets = 0
        self._counted = counted
        self._admitted = False

    # In.

    def enter(self) -> bool:
        """Asks for room for one more connection; where there is none, it is turned away."""
        frontend = self.frontend
        if not frontend.admission.enter(self.client.peer, counted=self._counted):
            self._turn_away()
            return False
        self._admitted = True
        frontend.channels.add(self)
        frontend.sweep.add(self)
        return True

    def enter_as(self, client: Client) -> bool:
        """The connection turned out to be another client's: asks for room again, under that client's name."""
        admission = self.frontend.admission
        admission.leave(self.client.peer, counted=self._counted)
        self._counted = not client.trusted
        self.client = client
        self._admitted = admission.enter(client.peer, counted=self._counted)
        if not self._admitted:
            admission.turning_away += 1
        return self._admitted

    def frontend_changed(self, old: Limits, *, is_trust_other: bool) -> None:
        """See ``Connected``. A request in flight keeps the client that it came from."""
        client = self.client
        # Whoever comes by a unix socket is believed, whatever the list says.
        if is_trust_other and client.peer != b"unix:":
            trusted = is_within(client.peer, self.frontend.trusted)
            if trusted != client.trusted:
                self.client = Client(client.peer, trusted=trusted, scheme=client.scheme, port=client.port)
                self.client.tls = client.tls

    def _turn_away(self) -> None:
        """RFC 9110 §15.6.4, as cheaply as it can be said. A few such connections linger, so that the answer arrives
        though the client's request was never read; in a flood they are just closed."""
        self.stream.write(
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\n"
            b"Connection: close\r\nCache-Control: no-store\r\n%b\r\n" % self.frontend.dates.line()
        )
        frontend = self.frontend
        if frontend.admission.turning_away < TURNED_AWAY:
            frontend.admission.turning_away += 1
            frontend.channels.add(self)
            frontend.sweep.add(self)
            self.linger(True)
        else:
            self.stream.close()

    # Octets that wait.

    def set_pending(self, data: bytes) -> bool:
        """Keeps octets for later, instead of those kept before; False when the process has no room for them."""
        change = len(data) - self._held_octets
        if change > 0:
            if not self.frontend.budget.take(change):
                return False
        elif change:
            self.frontend.budget.give(-change)
        self._held_octets = len(data)
        self.pending = data
        return True

    # Out.

    def linger(self, needed: bool) -> None:
        """Closes; where the client may still be sending, only after it had time to take the answer (RFC 9112 §9.6)."""
        if self.stream.closed:
            self.forget()
            return
        self.set_pending(b"")
        if self.half_closed or not needed:
            self.close()
            return
        self.lingering = True
        self.deadline = self.frontend.now() + LINGER_TIME
        self.stream.end_output()
        self.stream.resume_reading()

    def await_last(self, *, was_used: bool) -> None:
        """It is to close, and waits for a request. One that had an answer a moment ago is used by somebody who is
        likely to ask again, and would have the request lost if we closed just then (RFC 9112 §9.5): it gets that
        moment, and an answer that says that it is the last. So does one that was accepted just now."""
        frontend = self.frontend
        since = self.deadline - frontend.limits.idle_timeout if was_used else frontend.now()
        self.deadline = min(self.deadline, since + MOMENT)

    def drop(self, data: bytes) -> None:
        """Octets came while the connection lingers."""
        self._lingered += len(data)
        if self._lingered > LINGER_OCTETS:
            self.close()

    def close(self) -> None:
        """Closes once everything written was taken: whoever hears that it was, calls this again (``is_closing``)."""
        stream = self.stream
        if not stream.queued:
            stream.close()
        if stream.closed:
            self.forget()
        elif not self.is_closing:
            # The sweep watches over it.
            self.is_closing = self.lingering = True
            self.deadline = self.frontend.now() + self.frontend.limits.send_timeout
            stream.pause_reading()

    def sweep_lingering(self, now: float) -> None:
        """Ends what lingers when its time is over."""
        stream = self.stream
        if now >= self.deadline or (stream.input_at_end and not stream.queued):
            stream.abort() if stream.queued else stream.close()
            self.forget()

    def forget(self) -> None:
        """The connection is over: nothing here refers to it any more."""
        frontend = self.frontend
        if self in frontend.channels:
            frontend.channels.discard(self)
            frontend.sweep.discard(self)
            if self._admitted:
                frontend.admission.leave(self.client.peer, counted=self._counted)
            else:
                frontend.admission.turning_away -= 1
        self.set_pending(b"")

    def sweep(self, now: float) -> None:
        """Compares every deadline with ``now``."""
        raise NotImplementedError
