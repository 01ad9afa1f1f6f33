"""The name of the key with which a context seals its tickets.

pyOpenSSL neither tells nor takes the keys of tickets. But a ticket begins with the name of its key (RFC 5077 §4, as
OpenSSL does it in TLS 1.3 too), and a client shows its ticket in the clear: so one handshake in memory, and the hello
with which its client would come back, tell the name. With it a hello says which context made the ticket it brings, and
a context that was replaced can still resume what it began.
"""

from __future__ import annotations

from OpenSSL import SSL

from revproxy.wire.client_hello import HelloError, parse_client_hello


def ticket_key_name(context: SSL.Context) -> bytes:
    """The name, or nothing where it does not show. It takes about as long as a full handshake of both sides."""
    try:
        client_context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        first = _shake(context, client_context)
        if first is None:
            return b""
        session = first.get_session()
        again = SSL.Connection(client_context, None)
        again.set_connect_state()
        if session is not None:
            again.set_session(session)
        hello = parse_client_hello(_next_flight(again))
    except (SSL.Error, HelloError):
        return b""
    return hello.ticket_keys[0] if hello is not None and hello.ticket_keys else b""


def _shake(context: SSL.Context, client_context: SSL.Context) -> SSL.Connection | None:
    """A client's end, its handshake complete and its tickets read."""
    server, client = SSL.Connection(context, None), SSL.Connection(client_context, None)
    server.set_accept_state()
    # Nobody is let in by this: what the context demands of clients is left out for this connection alone.
    server.set_verify(SSL.VERIFY_NONE)
    client.set_connect_state()
    for _ in range(4):
        for own, other in ((client, server), (server, client)):
            octets = _next_flight(own)
            if octets:
                other.bio_write(octets)
    try:
        # TLS 1.3 brings its tickets behind the handshake, before whatever is sent first.
        server.send(b"\0")
        client.bio_write(server.bio_read(1 << 16))
        return client if client.recv(1) else None
    except SSL.Error:
        return None


def _next_flight(connection: SSL.Connection) -> bytes:
    """What one end has to say next."""
    try:
        connection.do_handshake()
    except SSL.WantReadError:
        pass
    try:
        return connection.bio_read(1 << 16)
    except SSL.WantReadError:
        return b""
