"""Which stored response answers which request, how it is validated, updated and invalidated (RFC 9111 §4)."""

from __future__ import annotations

from tests.live.support_cache_checks import Check, age_of, asked, check, hit, validated

CC = "Cache-Control: "
FRESH = CC + "max-age=60"
STALE = (FRESH, "Age: 100")
TAG = 'ETag: "a"'
MODIFIED = "Last-Modified: {-864000}"
BY = "Vary: X-V"
V1, V2 = ("X-V: 1",), ("X-V: 2",)

_KEYS = (
    check("RFC 9111 §4", "another query is another URI", asked(FRESH, at="?a=1"), asked(FRESH, at="?a=2"), asked(FRESH), hit(at="?a=1", body=1)),
    check("RFC 9111 §4", "an empty query is one", asked(FRESH), asked(FRESH, at="?")),
    check("RFC 9110 §4.2.3", "paths have case", asked(FRESH, at="/a"), asked(FRESH, at="/A")),
    check("RFC 9110 §4.2.3", "a final slash counts", asked(FRESH), asked(FRESH, at="/")),
    check("RFC 9111 §4", "another host is another URI", asked(FRESH), asked(FRESH, host="other.example")),
    check("RFC 9110 §4.2.3", "hosts have no case", asked(FRESH), hit(host="EXAMPLE.com")),
    check("RFC 9110 §4.2.3", "the scheme's own port is none", asked(FRESH), hit(host="example.com:80")),
)  # fmt: skip

_VARY = (
    check("RFC 9111 §4.1", "the same value", asked(FRESH, BY, to=V1), hit(*V1)),
    check("RFC 9111 §4.1", "another value, and both are kept", asked(FRESH, BY, to=V1), asked(FRESH, BY, to=V2), hit(*V1, body=1), hit(*V2, body=2)),
    check("RFC 9111 §4.1", "absent there, present here", asked(FRESH, BY), asked(FRESH, BY, to=V1)),
    check("RFC 9111 §4.1", "present there, absent here", asked(FRESH, BY, to=V1), asked(FRESH, BY)),
    check("RFC 9111 §4.1", "absent in both", asked(FRESH, BY), hit()),
    check("RFC 9111 §4.1", "empty is not absent", asked(FRESH, BY, to=("X-V: ",)), asked(FRESH, BY)),
    check("RFC 9111 §4.1", "values of unknown fields have case", asked(FRESH, BY, to=("X-V: a",)), asked(FRESH, BY, to=("X-V: A",))),
    check("RFC 9111 §4.1", "and order", asked(FRESH, BY, to=("X-V: a, b",)), asked(FRESH, BY, to=("X-V: b, a",))),
    check("RFC 9111 §4.1", "lines may be combined", asked(FRESH, BY, to=("X-V: a", "X-V: b")), hit("X-V: a, b")),
    check("RFC 9111 §4.1", "white space where the syntax allows it", asked(FRESH, "Vary: Accept-Language", to=("Accept-Language: de,en;q=0.5",)),
          hit("Accept-Language: de, en; q=0.5")),
    check("RFC 9111 §4.1", "names in Vary have no case", asked(FRESH, "Vary: x-v", to=V1), asked(FRESH, to=V2)),
    check("RFC 9111 §4.1", "two names: both count", asked(FRESH, "Vary: X-V, X-W", to=("X-V: 1", "X-W: 1")), asked(to=("X-V: 1", "X-W: 2"))),
    check("RFC 9111 §4.1", "two lines: both count", asked(FRESH, BY, "Vary: X-W", to=("X-V: 1", "X-W: 1")), asked(to=("X-V: 1", "X-W: 2"))),
    check("RFC 9111 §4.1", "fields that are not named don't", asked(FRESH, BY, to=(*V1, "X-W: 1")), hit(*V1, "X-W: 2")),
    check("RFC 9111 §4.1", "* never matches", asked(FRESH, "Vary: *"), asked(FRESH, "Vary: *")),
    check("RFC 9111 §4.1", "* among others", asked(FRESH, "Vary: X-V, *", to=V1), asked(to=V1)),
    check("RFC 9111 §4.1", "* first, on a line of its own", asked(FRESH, "Vary: *", BY, to=V1), asked(to=V1)),
    check("RFC 9111 §4.1", "Cookie", asked(FRESH, "Vary: Cookie", to=("Cookie: a=1",)), asked(to=("Cookie: a=2",))),
    check("RFC 9111 §4.1", "a cookie that is not named does not count", asked(FRESH, to=("Cookie: a=1",)), hit("Cookie: a=2")),
    check("RFC 9111 §4", "the most recent Date of two that match", asked(FRESH, BY, "Date: {-30}", to=(*V1, "X-W: 1")),
          asked(FRESH, "Vary: X-W", "Date: {-10}", to=(*V2, "X-W: 1")), hit(*V1, "X-W: 1", body=2)),
    check("RFC 9111 §4", "not the one that came last", asked(FRESH, BY, "Date: {-10}", to=(*V1, "X-W: 1")),
          asked(FRESH, "Vary: X-W", "Date: {-30}", to=(*V2, "X-W: 1")), hit(*V1, "X-W: 1", body=1)),
    check("RFC 9111 §4.1", "one with Vary before one that forgot it", asked(FRESH, "Date: {-10}"),
          asked(FRESH, BY, "Date: {-30}", to=(*V1, CC + "no-cache")), hit(*V1, body=2)),
    check("RFC 9111 §4.3.1", "a variant that the server chooses for another request", asked(FRESH, BY, TAG, "X-A: 1", to=V1),
          validated(FRESH, BY, TAG, "X-A: 2", to=V2, sent=('If-None-Match: "a"',), body=1), hit(*V1, body=1, has=("X-A: 1",))),
    check("RFC 9111 §4.3.3", "or does not choose", asked(FRESH, BY, TAG, to=V1), validated(FRESH, BY, 'ETag: "b"', to=V2, status=200),
          hit(*V1, body=1), hit(*V2, body=2)),
)  # fmt: skip

_VALIDATING = (
    check("RFC 9111 §4.3.1", "the entity tag is sent", asked(*STALE, TAG), validated(sent=('If-None-Match: "a"',), unsent=("If-Match",))),
    check("RFC 9111 §4.3.1", "a weak one too", asked(*STALE, 'ETag: W/"a"'), validated(sent=('If-None-Match: W/"a"',))),
    check("RFC 9111 §4.3.1", "Last-Modified is sent as it came", asked(*STALE, "Last-Modified: {-86400}", "ETag: not a tag"),
          validated(unsent=("If-None-Match",))),
    check("RFC 9111 §4.3.1", "both where there are both", asked(*STALE, TAG, "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"),
          validated(sent=('If-None-Match: "a"', "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT"))),
    check("RFC 9111 §4.3", "nothing to validate by: the whole is fetched", asked(FRESH, to=(CC + "no-cache",)), asked(FRESH, to=(CC + "no-cache",))),
    check("RFC 9111 §4.3.2", "a client's tags are not taken for ours", asked(*STALE, TAG), validated(TAG, to=('If-None-Match: "c"',), code=200, body=1)),
    check("RFC 9111 §4.3.2", "a client that has ours gets a 304", asked(*STALE, TAG), validated(TAG, to=('If-None-Match: "a"',), code=304)),
    check("RFC 9110 §13.1.2", "a new answer that a client has already", asked(*STALE, TAG),
          validated(FRESH, 'ETag: "b"', status=200, to=('If-None-Match: "b"',), code=304), hit(body=2)),
    check("RFC 9111 §4.3.3", "a full response is used and stored", asked(*STALE, TAG), validated(FRESH, 'ETag: "b"', status=200), hit(body=2)),
    check("RFC 9111 §4.3.3", "one that is not to be stored is used", asked(*STALE, TAG), validated(CC + "no-store", status=200), asked(FRESH)),
    check("RFC 9111 §4.3.3", "so is a 404, and what was stored is over", asked(*STALE, TAG), validated(status=404), asked(FRESH)),
    check("RFC 9111 §4.3.3", "a 5xx may be forwarded, and changes nothing", asked(*STALE, TAG), validated(status=500), validated(FRESH, TAG, body=1), hit(body=1)),
    check("RFC 9111 §4.3.4", "a 304 makes it fresh", asked(*STALE, TAG), validated(FRESH, TAG), hit()),
    check("RFC 9111 §4.3.4", "a 304 without a validator", asked(*STALE, TAG), validated(FRESH), hit()),
    check("RFC 9111 §4.3.4", "a 304 that is stale itself", asked(*STALE, TAG), validated(*STALE, TAG), validated(TAG)),
    check("RFC 9111 §4.3.4", "by Last-Modified alone", asked(*STALE, "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"),
          validated(FRESH, "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"), hit()),
    check("RFC 9111 §4.3.4", "weak tags compare weakly", asked(*STALE, 'ETag: W/"a"'), validated(FRESH, 'ETag: W/"a"'), hit()),
    check("RFC 9111 §3.2", "a 304's fields replace", asked(*STALE, TAG, "X-A: 1", "X-A: 2", "X-B: 1", "Expires: 0"),
          validated(FRESH, TAG, "X-A: 3", "X-C: 4", "Expires: {+50}", "Content-Type: text/x", has=("X-A: 3", "X-B: 1", "X-C: 4")),
          hit(has=("X-A: 3", "X-B: 1", "X-C: 4", "Expires: {+50}", "Content-Type: text/x", FRESH))),
    check("RFC 9111 §3.2", "Date too", asked(*STALE, TAG, "Date: {-50}"), validated(FRESH, TAG, "Date: {-5}"), hit(has=("Date: {-5}",))),
    check("RFC 9111 §3.2", "an Age that is over goes", asked(*STALE, TAG), validated(FRESH, TAG), hit(holds=lambda answer: age_of(answer) < 4)),
    check("RFC 9111 §3.2", "Content-Length does not", asked(*STALE, TAG), validated(FRESH, TAG, "Content-Length: 999", has=("Content-Length: 14",)),
          hit(has=("Content-Length: 14",))),
    check("RFC 9111 §3.2", "nor what is about octets that are stored", asked(*STALE, TAG, "Content-Encoding: x"),
          validated(FRESH, TAG, "Content-Encoding: y", "Content-Range: bytes 0-1/2"), hit(has=("Content-Encoding: x",), lacks=("Content-Range",))),
    check("RFC 9111 §3.2", "nor what is not stored", asked(*STALE, TAG, "X-Hop: 1"),
          validated(FRESH, TAG, "Connection: x-hop", "X-Hop: 2", "Proxy-Authenticate: Basic", "Keep-Alive: timeout=1"),
          hit(lacks=("Proxy-Authenticate", "Keep-Alive"), holds=lambda answer: "2" not in answer.all("X-Hop"))),
    check("RFC 9111 §3.2", "nor what private names", asked(*STALE, TAG), validated(CC + 'max-age=60, private="x-a"', TAG, "X-A: 1"), hit(lacks=("X-A",))),
    check("RFC 9111 §4.3.5", "HEAD updates what agrees", asked(FRESH, TAG, "X-A: 1"),
          asked(FRESH, TAG, "X-A: 2", "X-B: 3", method="HEAD", to=(CC + "no-cache",), content=b"body of step 1"), hit(has=("X-A: 2", "X-B: 3"), body=1)),
    check("RFC 9111 §4.3.5", "HEAD with another tag makes stale", asked(FRESH, TAG),
          asked(FRESH, 'ETag: "b"', method="HEAD", to=(CC + "no-cache",), content=b"body of step 1"), validated(TAG, body=1)),
    check("RFC 9111 §4.3.5", "HEAD with another length makes stale", asked(FRESH, TAG),
          asked(FRESH, TAG, method="HEAD", to=(CC + "no-cache",), content=b"longer than before"), validated(TAG, body=1)),
    check("RFC 9111 §4.3.5", "HEAD with another Last-Modified makes stale", asked(FRESH, "Last-Modified: {-500}"),
          asked(FRESH, "Last-Modified: {-200}", method="HEAD", to=(CC + "no-cache",), content=b"body of step 1"), validated(body=1)),
)  # fmt: skip


def _conditional(
    why: str, code: int, *to: str, lines: tuple[str, ...] = (TAG,), status: int = 200, source: str = "RFC 9111 §4.3.2"
) -> Check:
    """What a fresh stored response makes of a client's preconditions."""
    return check(source, why, asked(FRESH, *lines, status=status), hit(*to, code=code))


_DATED = "Last-Modified: {-1000}"
_CONDITIONS = (
    _conditional("If-None-Match", 304, 'If-None-Match: "a"'),
    _conditional("in a list", 304, 'If-None-Match: "x", "a"'),
    _conditional("on several lines", 304, 'If-None-Match: "x"', 'If-None-Match: "a"'),
    _conditional("*", 304, "If-None-Match: *"),
    _conditional("compared weakly", 304, 'If-None-Match: W/"a"', source="RFC 9110 §13.1.2"),
    _conditional("a weak one compared", 304, 'If-None-Match: "a"', lines=('ETag: W/"a"',), source="RFC 9110 §13.1.2"),
    _conditional("no match", 200, 'If-None-Match: "b"'),
    _conditional("tags have case", 200, 'If-None-Match: "A"', source="RFC 9110 §8.8.3"),
    _conditional("commas in a tag", 304, 'If-None-Match: "b,c"', lines=('ETag: "b,c"',), source="RFC 9110 §8.8.3"),
    _conditional("part of a tag is none", 200, 'If-None-Match: "b"', lines=('ETag: "b,c"',), source="RFC 9110 §8.8.3"),
    _conditional("no tag is stored", 200, 'If-None-Match: "a"', lines=(_DATED,)),
    _conditional("If-None-Match before If-Modified-Since", 200, 'If-None-Match: "b"', "If-Modified-Since: {+0}", lines=(TAG, _DATED), source="RFC 9110 §13.1.3"),
    _conditional("If-Modified-Since of then", 304, "If-Modified-Since: {-500}", lines=(_DATED,)),
    _conditional("the very date", 304, "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", lines=("Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT",)),
    _conditional("in another form", 304, "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT", lines=("Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT",)),
    _conditional("of before", 200, "If-Modified-Since: {-2000}", lines=(_DATED,)),
    _conditional("no date", 200, "If-Modified-Since: yesterday", lines=(_DATED,), source="RFC 9110 §13.1.3"),
    _conditional("without Last-Modified, Date counts", 304, "If-Modified-Since: {-10}", lines=("Date: {-20}",)),
    _conditional("without Last-Modified, Date counts, before", 200, "If-Modified-Since: {-40}", lines=("Date: {-20}",)),
    _conditional("only of 2xx: 404", 404, 'If-None-Match: "a"', status=404, source="RFC 9110 §13.2.1"),
    _conditional("only of 2xx: 301", 301, 'If-None-Match: "a"', status=301, source="RFC 9110 §13.2.1"),
    check("RFC 9110 §15.4.5", "what a 304 has", asked(FRESH, TAG, "Vary: X-V", "Content-Location: /x", "Expires: {+60}", "Date: {-5}"),
          hit('If-None-Match: "a"', code=304, has=(FRESH, TAG, "Vary: X-V", "Content-Location: /x", "Expires: {+60}", "Date: {-5}"), lacks=("Transfer-Encoding",))),
    check("RFC 9110 §13.1.2", "HEAD gets a 304 too", asked(FRESH, TAG), hit('If-None-Match: "a"', method="HEAD", code=304)),
    check("RFC 9111 §4.3.2", "If-Match is the server's", asked(FRESH, TAG), asked(to=('If-Match: "b"',), status=412)),
    check("RFC 9111 §4.3.2", "If-Unmodified-Since is the server's", asked(FRESH, TAG), asked(to=("If-Unmodified-Since: {-9000}",), status=412)),
    check("RFC 9111 §4.3.2", "without a stored response all conditions are", asked(TAG, status=304, to=('If-None-Match: "a"',), sent=('If-None-Match: "a"',)), asked(FRESH)),
    check("RFC 9111 §4.3.2", "what is unsafe keeps its conditions", asked(FRESH, TAG), asked(method="PUT", sends=b"x", to=('If-None-Match: "a"',), sent=('If-None-Match: "a"',), status=412)),
)  # fmt: skip


def _outdating(why: str, method: str = "POST", status: int = 200, *lines: str, source: str = "RFC 9111 §4.4") -> Check:
    return check(
        source, why, asked(FRESH, TAG), asked(*lines, method=method, status=status, sends=b"x"), validated(TAG, body=1)
    )


def _harmless(why: str, method: str, status: int, *lines: str, source: str = "RFC 9111 §4.4") -> Check:
    return check(source, why, asked(FRESH, TAG), asked(*lines, method=method, status=status), hit(body=1))


def _naming(why: str, outdates: bool, line: str, status: int = 200) -> Check:
    """Whether an answer to POST outdates what a field of it names; ``%`` is the place of the target."""
    last = validated(TAG, body=1, at="/named") if outdates else hit(at="/named", body=1)
    return check(
        "RFC 9111 §4.4",
        why,
        asked(FRESH, TAG, at="/named"),
        asked(line, method="POST", sends=b"x", status=status, at="/it"),
        last,
    )


_INVALIDATING = (
    *[_outdating(f"{method} invalidates", method) for method in ("POST", "PUT", "DELETE", "PATCH")],
    *[_outdating(f"a method of unknown safety does: {method}", method) for method in ("FOO", "get", "MKCOL")],
    *[_outdating(f"every 2xx and 3xx does: {status}", "POST", status) for status in (201, 204, 299, 301, 303, 399)],
    *[_harmless(f"an error does not: {status}", "POST", status) for status in (400, 404, 409, 499, 500, 503, 599)],
    _harmless("OPTIONS is safe", "OPTIONS", 200),
    check("RFC 9111 §4.4", "all variants of the target", asked(FRESH, BY, TAG, to=V1),
          validated(FRESH, BY, 'ETag: "b"', status=200, to=V2), asked(method="DELETE"),
          validated(BY, TAG, to=V1, body=1), validated(BY, 'ETag: "b"', to=V2, body=2)),
    check("RFC 9111 §4.4", "what has no validator is fetched again", asked(FRESH), asked(method="DELETE"), asked(FRESH), hit(body=3)),
    check("RFC 9111 §4.4", "another query is another URI", asked(FRESH, at="?a"), asked(method="DELETE"), hit(at="?a", body=1)),
    check("RFC 9111 §4.4", "what was invalidated can't be served stale", asked(CC + "max-age=60, stale-if-error=600", TAG), asked(method="DELETE"),
          validated(status=503)),
    check("RFC 9111 §4.4", "max-stale can't have it either", asked(FRESH, TAG), asked(method="DELETE"), validated(to=(CC + "max-stale",), body=1)),
    _naming("Location, relative", True, "Location: named"),
    _naming("Content-Location, relative", True, "Content-Location: ./named"),
    _naming("with a fragment", True, "Location: named#top"),
    _naming("of a 303", True, "Location: named", 303),
    _naming("an error's names nothing", False, "Location: named", 400),
    _naming("of another origin: another host", False, "Location: http://other.example/named"),
)  # fmt: skip


def _located(why: str, outdates: bool, origin: str, name: str = "Location") -> Check:
    """The same with an absolute URI, whose path is told apart by its query."""
    path = f"/located?{why.replace(' ', '-')}"
    last = validated(TAG, body=1, whole=path) if outdates else hit(whole=path, body=1)
    return check(
        "RFC 9111 §4.4",
        f"{name}: {why}",
        asked(FRESH, TAG, whole=path),
        asked(f"{name}: {origin}{path}", method="POST", sends=b"x"),
        last,
    )


_LOCATED = (
    _located("absolute of the same origin", True, "http://example.com"),
    _located("the same origin in other case", True, "HTTP://EXAMPLE.com"),
    _located("the same origin with its port", True, "http://example.com:80"),
    _located("absolute path", True, ""),
    _located("same origin in Content-Location", True, "http://example.com", "Content-Location"),
    _located("another port", False, "http://example.com:8080"),
    _located("another scheme", False, "https://example.com"),
    _located("another host", False, "http://example.org"),
    _located("a host that begins the same", False, "http://example.com.example.org"),
    _located("user information that looks so", False, "http://example.com@example.org"),
    _located("another host in Content-Location", False, "http://example.org", "Content-Location"),
)

_SWR, _SIE = CC + "max-age=60, stale-while-revalidate=600", CC + "max-age=60, stale-if-error=600"


def _failing(
    why: str,
    lines: tuple[str, ...],
    code: int,
    *to: str,
    status: int = 503,
    ending: str = "length",
    source: str = "RFC 5861 §4",
) -> Check:
    """A validation that fails: ``code`` 200 where the stored response stands in."""
    return check(source, why, asked(*lines, TAG), validated(status=status, to=to, code=code, ending=ending,
                 body=1 if code == 200 else None, holds=lambda answer: code != 200 or age_of(answer) >= 100))  # fmt: skip


_STALES = (
    check("RFC 9111 §4.2.4", "stale is not used unasked", asked(*STALE, TAG), validated(TAG)),
    check("RFC 5861 §3", "not for longer than that", asked(CC + "max-age=60, stale-while-revalidate=20", "Age: 100", TAG), validated(TAG)),
    check("RFC 5861 §3", "not against must-revalidate", asked(_SWR + ", must-revalidate", "Age: 100", TAG), validated(TAG)),
    check("RFC 5861 §3", "not against no-cache", asked(_SWR + ", no-cache", "Age: 100", TAG), validated(TAG)),
    check("RFC 5861 §3", "not against s-maxage", asked(_SWR + ", s-maxage=60", "Age: 100", TAG), validated(TAG)),
    check("RFC 5861 §3", "not against a client's max-age", asked(_SWR, "Age: 100", TAG), validated(TAG, to=(CC + "max-age=300",))),
    check("RFC 5861 §3", "a broken number allows nothing", asked(CC + "max-age=60, stale-while-revalidate=x", "Age: 100", TAG), validated(TAG)),
    *[_failing(f"stale when the server says {status}", (_SIE, "Age: 100"), 200, status=status) for status in (500, 502, 503, 504)],
    *[_failing(f"not when it says {status}", (_SIE, "Age: 100"), status, status=status) for status in (404, 400, 501, 505)],
    _failing("stale when there is no answer", (_SIE, "Age: 100"), 200, ending="nothing"),
    _failing("not for longer than that", (CC + "max-age=60, stale-if-error=20", "Age: 100"), 503),
    _failing("a client may ask for it", STALE, 200, CC + "stale-if-error=600"),
    _failing("for less than it needs", STALE, 503, CC + "stale-if-error=20"),
    _failing("a client can't override must-revalidate", (FRESH + ", must-revalidate", "Age: 100"), 503, CC + "stale-if-error=600", source="RFC 9111 §5.2.2.2"),
    _failing("must-revalidate before stale-if-error", (_SIE + ", must-revalidate", "Age: 100"), 503, source="RFC 9111 §5.2.2.2"),
    _failing("proxy-revalidate before stale-if-error", (_SIE + ", proxy-revalidate", "Age: 100"), 503, source="RFC 9111 §5.2.2.8"),
    _failing("s-maxage before stale-if-error", (_SIE + ", s-maxage=60", "Age: 100"), 503, source="RFC 9111 §5.2.2.10"),
    _failing("no-cache before stale-if-error", (_SIE + ", no-cache", "Age: 100"), 503, source="RFC 9111 §5.2.2.4"),
    _failing("must-revalidate, no answer: an error", (FRESH + ", must-revalidate", "Age: 100"), 502, ending="nothing", source="RFC 9111 §5.2.2.2"),
)  # fmt: skip

_TOLD = (
    check("RFC 9211 §2", "a miss that is stored, then a hit", asked(FRESH, says="revproxy; fwd=uri-miss; stored; ttl="), hit(says="revproxy; hit; ttl=")),
    check("RFC 9211 §2.2", "fwd=vary-miss", asked(FRESH, BY, to=V1), asked(FRESH, BY, to=V2, says="fwd=vary-miss")),
    check("RFC 9211 §2.2", "fwd=stale and fwd-status", asked(*STALE, TAG), validated(TAG, FRESH, says="fwd=stale; fwd-status=304; stored")),
    check("RFC 9211 §2.2", "fwd=request", asked(FRESH, TAG), validated(to=(CC + "no-cache",), says="fwd=request; fwd-status=304")),
    check("RFC 9211 §2.2", "fwd=method", asked(method="POST", sends=b"x", says="fwd=method")),
    check("RFC 9211 §2.2", "fwd=partial", asked(FRESH, "Content-Range: bytes 0-4/10", status=206, content=b"01234", to=("Range: bytes=0-4",)),
          asked(FRESH, says="fwd=partial")),
    check("RFC 9211 §2.1", "a 304 that is made here is a hit", asked(FRESH, TAG), hit('If-None-Match: "a"', code=304, says="; hit")),
    check("RFC 9211 §2", "what caches before us said stays, first", asked(FRESH, "Cache-Status: Inner; hit", has=()),
          hit(holds=lambda answer: ", ".join(answer.all("Cache-Status")).startswith("Inner; hit, revproxy; hit"))),
    check("RFC 9211 §2", "on a miss too", asked("Cache-Status: Inner; hit",
          holds=lambda answer: ", ".join(answer.all("Cache-Status")).startswith("Inner; hit, revproxy; fwd="))),
    check("RFC 9211 §2.5", "what is not stored is not called so", asked(CC + "no-store", holds=lambda answer: "; stored" not in answer.get("Cache-Status"))),
    check("revproxy", "tags are the operator's own", asked(FRESH, "Surrogate-Key: a b", "Cache-Tag: c", "xkey: d", lacks=("Surrogate-Key", "Cache-Tag", "xkey")),
          hit(lacks=("Surrogate-Key", "Cache-Tag", "xkey"))),
    check("revproxy", "also of what is not stored", asked("Surrogate-Key: a", lacks=("Surrogate-Key",)), asked("Surrogate-Key: a", lacks=("Surrogate-Key",))),
    check("revproxy", "also on a 304 and for HEAD", asked(FRESH, TAG, "Surrogate-Key: a"), hit('If-None-Match: "a"', code=304, lacks=("Surrogate-Key",)),
          hit(method="HEAD", lacks=("Surrogate-Key",))),
)  # fmt: skip


def _grouped(
    why: str,
    outdates: bool,
    groups: str,
    says: str,
    *,
    method: str = "POST",
    status: int = 200,
    host: str = "example.com",
) -> Check:
    last = validated(TAG, body=1, at="/member") if outdates else hit(at="/member", body=1)
    return check("RFC 9875 §3", why, asked(FRESH, TAG, f"Cache-Groups: {groups}", at="/member"),
                 asked(f"Cache-Group-Invalidation: {says}", method=method, status=status, at="/it", host=host), last)  # fmt: skip


_GROUPS = (
    _grouped("a group is invalidated", True, '"ga1"', '"ga1"'),
    _grouped("one of several", True, '"gb1", "gb2"', '"x", "gb2"'),
    _grouped("parameters are ignored", True, '"gc1";a=b', '"gc1";c'),
    _grouped("names have case", False, '"gd1"', '"GD1"'),
    _grouped("a safe method's is ignored", False, '"ge1"', '"ge1"', method="GET"),
    _grouped("of another origin", False, '"gf1"', '"gf1"', host="other.example"),
    _grouped("tokens are no strings", False, '"gg1"', "gg1"),
    _grouped("a broken list is none", False, '"gh1"', '"gh1", "'),
    _grouped("32 groups of 32", True, ", ".join(f'"gi{number:030d}"' for number in range(32)), f'"gi{31:030d}"'),
)

USING: tuple[Check, ...] = (
    *_KEYS,
    *_VARY,
    *_VALIDATING,
    *_CONDITIONS,
    *_INVALIDATING,
    *_LOCATED,
    *_STALES,
    *_TOLD,
    *_GROUPS,
)
