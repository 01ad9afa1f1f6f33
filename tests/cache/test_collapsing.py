"""One fetch for many clients: who waits, who is released, who is taken down by whom."""

from __future__ import annotations

import pytest

from revproxy.caching.flights import CERTAIN, SAMPLED
from revproxy.caching.options import CacheOptions
from tests.support.caching import Cached, caching, response, told
from tests.support.dialogue import answer
from tests.support.network import End

FRESH = b"Cache-Control: max-age=60"
OK = response(FRESH, b'ETag: "a"')
HEAD_OF_TEN = b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: 10\r\n\r\n" % FRESH


def bodies(clients: list[End]) -> list[bytes]:
    return [answer(client).body for client in clients]


def flying(cached: Cached, count: int = 4) -> list[End]:
    """Clients that want the same."""
    clients = [cached.ask() for _ in range(count)]
    assert len(cached.requests) == 1
    return clients


def test_one_fetch_for_all() -> None:
    with caching() as cached:
        clients = flying(cached)
        cached.reply(OK)
        assert bodies(clients) == [b"hello"] * 4
        told_to = [told(answer(client)) for client in clients]
        assert told_to == [b"fwd=uri-miss; stored; ttl=60", *[b"fwd=uri-miss; collapsed; ttl=60"] * 3]
        assert answer(clients[1]).get(b"age") == b"0"
        assert len(cached.requests) == 1
        assert told(cached.get()) == b"hit; ttl=60"


def test_all_read_while_it_arrives() -> None:
    with caching() as cached:
        clients = flying(cached)
        cached.reply(HEAD_OF_TEN + b"012")
        late = cached.ask()
        assert len(cached.requests) == 1
        for client in (*clients, late):
            assert client.received.endswith(b"\r\n\r\n012")
        cached.reply(b"345")
        for client in (*clients, late):
            assert client.received.endswith(b"\r\n\r\n012345")
        cached.reply(b"6789")
        got = [answer(client) for client in (*clients, late)]
        assert [(one.body, one.complete) for one in got] == [(b"0123456789", True)] * 5
        assert told(got[-1]) == b"fwd=uri-miss; collapsed; ttl=60"
        assert len(cached.cache.flights) == 0


@pytest.mark.parametrize("framing", ["chunked", "until close"])
def test_all_read_what_has_no_length(framing: str) -> None:
    with caching() as cached:
        clients = flying(cached, 3)
        old = cached.proxy.client()
        old.send(b"GET / HTTP/1.0\r\nHost: a.example\r\n\r\n")
        if framing == "chunked":
            cached.reply(b"HTTP/1.1 200 OK\r\n%b\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n012\r\n" % FRESH)
            cached.reply(b"2\r\n34\r\n0\r\nX-T: 1\r\n\r\n")
        else:
            cached.reply(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n01234" % FRESH).fin()
        got = [answer(client) for client in clients]
        assert [(one.body, one.complete) for one in got] == [(b"01234", True)] * 3
        # Trailers are not stored: only who asked first gets them.
        assert got[0].trailers == (((b"x-t", b"1"),) if framing == "chunked" else ())
        assert [one.trailers for one in got[1:]] == [()] * 2
        assert old.received.endswith(b"\r\n\r\n01234")
        assert old.ended
        hit = cached.get()
        assert (hit.body, hit.get(b"content-length")) == (b"01234", b"5")
        assert len(cached.requests) == 1


@pytest.mark.parametrize(
    "line",
    [
        b"Cache-Control: no-store",
        b"Cache-Control: private",
        b"Cache-Control: no-cache",
        b"Cache-Control: max-age=0",
        b"Vary: *",
        b"X-Nothing: 1",
    ],
)
def test_who_waits_is_released_when_the_answer_is_for_one_alone(line: bytes) -> None:
    with caching() as cached:
        clients = flying(cached)
        cached.reply(b'HTTP/1.1 200 OK\r\n%b\r\nETag: "x"\r\nContent-Length: 5\r\nSet-Cookie: one\r\n\r\n' % line)
        # At the head, not at the end.
        assert len(cached.requests) == 4
        for number in range(1, 4):
            cached.reply(response(line, b"Set-Cookie: n%d" % number, b'ETag: "x"', body=b"for%d." % number), number)
        cached.reply(b"first", 0)
        assert bodies(clients) == [b"first", b"for1.", b"for2.", b"for3."]
        cookies = [answer(client).get(b"set-cookie") for client in clients]
        assert cookies == [b"one", b"n1", b"n2", b"n3"]
        for client in clients[1:]:
            assert b"collapsed=?0" in told(answer(client))


def test_for_ten_seconds_nobody_waits_for_that_key() -> None:
    with caching() as cached:
        cached.answers_with(b"Cache-Control: private")
        cached.get()
        cached.script = None
        clients = [cached.ask() for _ in range(3)]
        assert len(cached.requests) == 4
        # Another key is not concerned.
        others = [cached.ask(b"/other") for _ in range(3)]
        assert len(cached.requests) == 5
        for at in range(1, 5):
            cached.reply(OK, at)
        assert bodies(clients + others) == [b"hello"] * 6
        cached.advance(61)
        again = [cached.ask() for _ in range(3)]
        assert len(cached.requests) == 6
        cached.reply(OK)
        assert bodies(again) == [b"hello"] * 3


def test_the_first_client_leaves_before_the_head() -> None:
    with caching() as cached:
        clients = flying(cached)
        clients[0].cut()
        assert not cached.asked[0][1].is_over
        cached.reply(OK)
        assert bodies(clients[1:]) == [b"hello"] * 3
        assert len(cached.requests) == 1


def test_all_leave_before_the_head() -> None:
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        with caching() as cached:
            clients = flying(cached, 3)
            for at in order:
                assert not cached.asked[0][1].is_over
                clients[at].cut()
            # The server is told to stop.
            assert cached.asked[0][1].was_reset
            assert len(cached.cache.flights) == 0


def test_the_first_client_leaves_after_the_head() -> None:
    with caching() as cached:
        clients = flying(cached)
        cached.reply(HEAD_OF_TEN + b"012")
        clients[0].cut()
        cached.reply(b"3456789")
        assert bodies(clients[1:]) == [b"0123456789"] * 3
        assert cached.get().body == b"0123456789"


@pytest.mark.parametrize("line", [b"Cache-Control: no-store", FRESH])
def test_the_first_client_left_and_the_answer_is_for_it_alone(line: bytes) -> None:
    with caching() as cached:
        clients = flying(cached, 3)
        clients[0].cut()
        cached.reply(b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: 9000000\r\n\r\n" % line)
        assert cached.asked[0][1].was_reset
        assert len(cached.requests) == 3
        for at in (1, 2):
            cached.reply(response(line, body=b"own"), at)
        assert bodies(clients[1:]) == [b"own"] * 2


@pytest.mark.parametrize("how", ["cut", "close", "garbage"])
def test_the_fetch_fails_before_the_head(how: str) -> None:
    with caching() as cached:
        clients = flying(cached)
        end = cached.asked[0][1]
        if how == "garbage":
            end.send(b"nonsense\r\n\r\n")
        else:
            getattr(end, how)()
        # The first may have been repeated on another connection, where that is allowed.
        assert len(cached.requests) >= 4
        for at in range(1, len(cached.requests)):
            cached.reply(OK, at)
        assert bodies(clients[1:]) == [b"hello"] * 3
        assert answer(clients[0]).status in (200, 502)


def test_the_fetch_fails_in_the_middle() -> None:
    with caching() as cached:
        clients = flying(cached)
        cached.reply(HEAD_OF_TEN + b"012").cut()
        got = [answer(client) for client in clients]
        assert [(one.body, one.complete) for one in got] == [(b"012", False)] * 4
        assert all(client.is_over for client in clients)
        assert cached.stored() == ()
        assert len(cached.requests) == 1


def test_a_chunked_answer_breaks_off() -> None:
    with caching() as cached:
        clients = flying(cached)
        cached.reply(b"HTTP/1.1 200 OK\r\n%b\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n012\r\n" % FRESH).fin()
        for client in clients:
            assert not answer(client).complete
            assert not client.received.endswith(b"0\r\n\r\n")
        assert cached.stored() == ()


def test_nobody_waits_for_ever() -> None:
    with caching(resource={"collapse_timeout": 3.0}) as cached:
        clients = flying(cached, 3)
        cached.advance(5)
        assert len(cached.requests) == 3
        # A new one begins a new flight.
        late = [cached.ask(), cached.ask()]
        assert len(cached.requests) == 4
        for at in range(4):
            cached.reply(OK, at)
        assert bodies(clients + late) == [b"hello"] * 5
        assert [told(answer(client)) for client in clients[1:]] == [b"fwd=uri-miss; stored; collapsed=?0; ttl=58"] * 2


def test_nobody_is_left_when_the_time_to_wait_is_over() -> None:
    with caching(resource={"collapse_timeout": 3.0}) as cached:
        clients = flying(cached, 2)
        clients[0].cut()
        cached.advance(5)
        assert cached.asked[0][1].was_reset
        assert len(cached.requests) == 2
        cached.reply(OK)
        assert answer(clients[1]).body == b"hello"


def test_head_and_preconditions_wait_as_well() -> None:
    with caching() as cached:
        first = cached.ask()
        head = cached.ask(method=b"HEAD")
        same = cached.ask(b"/", b'If-None-Match: "a"')
        other = cached.ask(b"/", b'If-None-Match: "b"')
        assert len(cached.requests) == 1
        cached.reply(OK[:-2])
        # They need not wait for the content.
        assert (answer(head, b"HEAD").status, answer(head, b"HEAD").get(b"content-length")) == (200, b"5")
        assert (answer(same).status, answer(same).complete) == (304, True)
        assert b"collapsed" in told(answer(head, b"HEAD"))
        assert b"collapsed" in told(answer(same))
        cached.reply(OK[-2:])
        assert bodies([first, other]) == [b"hello"] * 2


@pytest.mark.parametrize(
    "line",
    [
        b"Range: bytes=0-1",
        b"Cache-Control: no-cache",
        b"Cache-Control: no-store",
        b"Cache-Control: max-age=0",
        b"Pragma: no-cache",
        b'If-Match: "a"',
    ],
)
def test_who_does_not_wait(line: bytes) -> None:
    with caching() as cached:
        first = cached.ask()
        second = cached.ask(b"/", line)
        assert len(cached.requests) == 2
        cached.reply(response(body=b"own"), 1)
        cached.reply(OK, 0)
        assert bodies([first, second]) == [b"hello", b"own"]
        assert b"collapsed" not in told(answer(second))


@pytest.mark.parametrize("line", [b"Range: bytes=0-1", b"Authorization: Basic eA==", b'If-None-Match: "x"'])
def test_whose_answer_nobody_waits_for(line: bytes) -> None:
    with caching() as cached:
        first = cached.ask(b"/", line)
        second = cached.ask()
        assert len(cached.requests) == 2
        cached.reply(OK, 1)
        cached.reply(response(b"Cache-Control: private", body=b"own"), 0)
        assert bodies([first, second]) == [b"own", b"hello"]


@pytest.mark.parametrize(
    ("line", "waits"),
    [
        (b"Cache-Control: max-age=30", True),
        (b"Cache-Control: max-age=20", False),
        (b"Cache-Control: min-fresh=30", True),
        (b"Cache-Control: min-fresh=40", False),
    ],
)
def test_what_a_waiter_gets_is_as_young_as_it_asked(line: bytes, waits: bool) -> None:
    """An answer that is shared is one from the store: it has to be what the request allows."""
    with caching() as cached:
        first = cached.ask()
        second = cached.ask(b"/", line)
        assert len(cached.requests) == 1
        cached.reply(response(FRESH, b"Age: 25"))
        assert answer(first).body == b"hello"
        assert len(cached.requests) == (1 if waits else 2)
        if not waits:
            cached.reply(response(FRESH, body=b"young"))
        assert answer(second).body == (b"hello" if waits else b"young")


def test_without_clients_directives_a_reload_waits() -> None:
    with caching(CacheOptions(client_directives=False)) as cached:
        first, second = cached.ask(), cached.ask(b"/", b"Cache-Control: max-age=0")
        assert len(cached.requests) == 1
        cached.reply(OK)
        assert bodies([first, second]) == [b"hello"] * 2


def test_a_waiter_that_leaves() -> None:
    with caching() as cached:
        clients = flying(cached)
        clients[2].cut()
        cached.reply(OK)
        assert bodies([clients[0], clients[1], clients[3]]) == [b"hello"] * 3
        assert clients[2].received == b""


def test_a_validation_is_shared() -> None:
    with caching() as cached:
        cached.answers_with(b"Cache-Control: max-age=10", b'ETag: "a"')
        cached.get()
        cached.advance(20)
        cached.script = None
        clients = [cached.ask(), cached.ask(), cached.ask(b"/", b"Range: bytes=0-1"), cached.ask(method=b"HEAD")]
        same = cached.ask(b"/", b'If-None-Match: "a"')
        assert len(cached.requests) == 3
        cached.reply(response(b"Cache-Control: max-age=10", b'ETag: "a"', b"Set-Cookie: x", status=b"304 Not Modified"), 1)
        assert bodies(clients[:2]) == [b"hello"] * 2
        # The first client's cookie is its own.
        assert [answer(client).get(b"set-cookie") for client in clients[:2]] == [b"x", b"x"]
        assert told(answer(clients[1])) == b"fwd=stale; collapsed; ttl=10"
        assert answer(clients[3], b"HEAD").status == 200
        assert answer(same).status == 304
        cached.reply(response(b"Cache-Control: max-age=10", b'ETag: "a"', status=b"304 Not Modified"), 2)
        assert answer(clients[2]).body == b"he"


def test_a_cookie_that_is_not_kept_reaches_nobody_else() -> None:
    for option in ("strip", "explicit"):
        with caching(CacheOptions(set_cookie=option, ttl=60)) as cached:
            clients = flying(cached, 3)
            cached.reply(response(b"Set-Cookie: one"))
            assert [answer(client).get(b"set-cookie") for client in clients] == [b"one", None, None]
            assert cached.get().get(b"set-cookie") is None


def test_a_stale_answer_for_all_when_the_server_fails() -> None:
    with caching() as cached:
        cached.answers_with(b"Cache-Control: max-age=10, stale-if-error=100", b'ETag: "a"')
        cached.get()
        cached.advance(20)
        cached.script = None
        clients = [cached.ask() for _ in range(4)]
        assert len(cached.requests) == 2
        cached.reply(response(status=b"503 Busy"))
        assert bodies(clients) == [b"hello"] * 4
        assert told(answer(clients[3])) == b"fwd=stale; fwd-status=503; collapsed; ttl=-10; detail=stale-if-error"
        # The failing server was asked once.
        assert len(cached.requests) == 2


def test_a_waiter_behind_an_oddly_written_host() -> None:
    """What such a host is answered is nobody else's, and says nothing of what others get."""
    with caching() as cached:
        odd = cached.proxy.client()
        odd.send(b"GET / HTTP/1.1\r\nHost: A.EXAMPLE\r\n\r\n")
        clients = [cached.ask() for _ in range(3)]
        assert len(cached.requests) == 1
        cached.reply(response(FRESH, body=b"odd"))
        # The first of them asks for all.
        assert len(cached.requests) == 2
        cached.reply(OK)
        assert answer(odd).body == b"odd"
        assert told(answer(odd)) == b"fwd=uri-miss; detail=odd-host"
        assert bodies(clients) == [b"hello"] * 3


def test_interim_answers_are_for_who_asked() -> None:
    with caching() as cached:
        clients = flying(cached, 3)
        cached.reply(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        assert clients[0].received.startswith(b"HTTP/1.1 103 ")
        assert clients[1].received == b""
        cached.reply(OK)
        assert [answer(client).interim for client in clients] == [(103,), (), ()]
        assert bodies(clients) == [b"hello"] * 3
        hit = cached.get()
        assert (hit.status, hit.interim) == (200, ())


def test_who_waits_does_not_wait_for_a_slow_first_client() -> None:
    with caching() as cached:
        slow = cached.proxy.client(room=500)
        slow.reads = False
        slow.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        clients = [cached.ask() for _ in range(2)]
        for number in range(5):
            cached.reply(b"HTTP/1.1 103 Early Hints\r\nLink: </%d%b>\r\n\r\n" % (number, b"x" * 200))
        cached.reply(OK)
        assert bodies(clients) == [b"hello"] * 2
        slow.reads = True
        cached.proxy.network.settle()
        assert (answer(slow).body, answer(slow).interim) == (b"hello", (103,) * 5)


@pytest.mark.parametrize("line", [b"Cache-Control: private", FRESH])
def test_a_slow_first_client_has_its_own_pace_afterwards(line: bytes) -> None:
    with caching() as cached:
        cached.proxy.origin.room = 20_000
        slow = cached.proxy.client(room=500)
        slow.reads = False
        slow.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        for _ in range(5):
            cached.reply(b"HTTP/1.1 103 Early Hints\r\nLink: <%b>\r\n\r\n" % (b"x" * 200))
        end = cached.reply(b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: 1500000\r\n\r\n" % line)
        sent = 0
        while taken := end.offer(b"x" * min(10_000, 1_500_000 - sent)):
            sent += taken
        assert sent < 800_000
        assert cached.proxy.queued < 50_000
        slow.reads = True
        cached.proxy.network.settle()
        while taken := end.offer(b"x" * min(10_000, 1_500_000 - sent)):
            sent += taken
        assert (answer(slow).body, answer(slow).complete) == (b"x" * 1_500_000, True)


def test_a_broken_resource_behind_takes_its_own_request_alone() -> None:
    with caching() as cached:

        def respond(request: object) -> None:
            raise RuntimeError("broken")

        inner, cached.cache._inner = cached.cache._inner, type("Broken", (), {"respond": staticmethod(respond)})()
        assert cached.get().status == 500
        assert len(cached.cache.flights) == 0
        assert len(cached.proxy.watch.mistakes) == 1
        cached.proxy.watch.mistakes.clear()
        cached.cache._inner = inner
        cached.answers_with(FRESH)
        assert cached.get().body == b"hello"


def test_tags_are_taken_out_of_answers_that_are_not_stored_too() -> None:
    with caching() as cached:
        cached.answers_with(b"Cache-Control: private", b"Surrogate-Key: a")
        for _ in range(CERTAIN + 4):
            got = cached.get()
            assert (got.get(b"surrogate-key"), told(got)) == (None, b"fwd=uri-miss; detail=private")


PRIVATE = b"fwd=uri-miss; detail=private"
STORED = b"fwd=uri-miss; stored; ttl=60"


def test_what_goes_past_is_looked_at_now_and_then() -> None:
    with caching() as cached:
        cached.answers_with(b"Cache-Control: private")
        for _ in range(CERTAIN):
            assert told(cached.get()) == PRIVATE
        cached.answers_with(FRESH)
        seen = [told(cached.get()) for _ in range(SAMPLED + 10)]
        stored = seen.index(STORED)
        assert stored > 100
        assert set(seen[:stored]) == {PRIVATE}
        assert set(seen[stored + 1 :]) == {b"hit; ttl=60"}


def test_a_few_answers_for_one_visitor_each_are_no_rule() -> None:
    with caching() as cached:
        cached.answers_with(b"Cache-Control: private")
        for _ in range(CERTAIN - 1):
            assert told(cached.get()) == PRIVATE
        cached.answers_with(FRESH)
        assert told(cached.get()) == STORED
        assert told(cached.get()) == b"hit; ttl=60"


def test_an_answer_of_another_kind_begins_the_count_anew() -> None:
    # What can't be reused without validation is no reason to go past the cache: the validator is worth something.
    with caching() as cached:
        cached.answers_with(b"Cache-Control: private")
        for _ in range(CERTAIN - 1):
            cached.get()
        cached.answers_with(b'Cache-Control: no-cache\r\nETag: "1"')
        assert told(cached.get()) != PRIVATE
        cached.answers_with(FRESH)
        assert told(cached.get()) != PRIVATE


def test_a_request_that_wants_something_is_always_looked_at() -> None:
    with caching() as cached:
        cached.answers_with(b"Cache-Control: private")
        cached.get()
        assert told(cached.get(b"/", b"Cache-Control: no-cache")) == b"fwd=uri-miss; detail=private"
        assert told(cached.get(method=b"DELETE")) == b"fwd=method; detail=unsafe-method"
        assert cached.get(b"/", b"Cache-Control: only-if-cached").status == 504
        cached.answers_with(FRESH)
        assert b"stored" in told(cached.get(b"/", b"Cache-Control: no-cache"))
        assert told(cached.get()) == b"hit; ttl=60"
