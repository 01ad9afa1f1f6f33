"""What a shared cache may store, and which fields of it (RFC 9111 §3)."""

from __future__ import annotations

from tests.live.support_cache_checks import Check, asked, check, hit, validated

FRESH = "Cache-Control: max-age=60"
OLD = "Last-Modified: {-864000}"
BASIC = ("Authorization: Basic dTpw",)


def _kept(source: str, why: str, *lines: str, status: int = 200, to: tuple[str, ...] = ()) -> Check:
    return check(source, why, asked(*lines, status=status, to=to), hit(*to))


def _not_kept(source: str, why: str, *lines: str, status: int = 200, to: tuple[str, ...] = ()) -> Check:
    return check(source, why, asked(*lines, status=status, to=to), asked(*lines, status=status))


_STATUSES = tuple(
    _kept("RFC 9111 §3", f"a final status needs only explicit freshness: {status}", FRESH, status=status)
    for status in (
        *(200, 201, 202, 203, 204, 299, 300, 301, 302, 303, 307, 308, 399),
        *(400, 401, 403, 404, 405, 410, 414, 451, 499, 500, 501, 502, 503, 504, 599),
    )
)
_HEURISTIC = tuple(
    _kept("RFC 9110 §15.1", f"defined as heuristically cacheable: {status}", OLD, status=status)
    for status in (200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501)
)
_NOT_HEURISTIC = tuple(
    _not_kept("RFC 9111 §3", f"not heuristically cacheable, so not stored on a guess: {status}", OLD, status=status)
    for status in (201, 202, 299, 302, 303, 307, 399, 400, 403, 409, 451, 499, 500, 502, 503, 504, 599)
)

_DIRECTIVES = (
    _not_kept("RFC 9111 §5.2.2.5", "no-store forbids to store", "Cache-Control: no-store"),
    _not_kept("RFC 9111 §5.2.2.5", "no-store forbids beside max-age", "Cache-Control: max-age=60, no-store"),
    _not_kept("RFC 9111 §5.2", "directives have no case", "Cache-Control: max-age=60, NO-Store"),
    _not_kept("RFC 9110 §5.3", "several lines are one list", FRESH, "Cache-Control: no-store"),
    _not_kept("RFC 9110 §5.6.1", "empty members count as nothing", "Cache-Control: , ,max-age=60,,no-store,"),
    _not_kept("RFC 9111 §4.2.1", "most restrictive: no-store with an argument", 'Cache-Control: no-store="x", max-age=60'),
    _not_kept("RFC 9111 §4.2.1", "most restrictive: no-store behind broken syntax", "Cache-Control: max-age=60; no-store"),
    _not_kept("RFC 9111 §5.2.2.7", "private keeps shared caches away", "Cache-Control: max-age=60, private"),
    _not_kept("RFC 9111 §5.2.2.7", "private beside s-maxage is the stricter", "Cache-Control: s-maxage=60, private"),
    _not_kept("RFC 9111 §5.2.2.7", "private beside public is the stricter", "Cache-Control: public, max-age=60, private"),
    _not_kept("RFC 9111 §5.2.3", "an unknown modifier does not lift private", 'Cache-Control: private, community="x", max-age=60'),
    _not_kept("RFC 9111 §3", "neither freshness nor a validator"),
    _kept("RFC 9111 §5.2.3", "unknown directives are ignored", 'Cache-Control: community="a,no-store", x=y, max-age=60'),
    _kept("RFC 9110 §5.6.4", "what is quoted is no directive", 'Cache-Control: ext="\\"no-store, private", max-age=60'),
    _kept("RFC 9111 §5.4", "Pragma means nothing in responses", FRESH, "Pragma: no-cache"),
    _kept("RFC 9111 §3", "public with a guess of freshness", "Cache-Control: public", OLD, status=302),
    _kept("RFC 9111 §7.3", "a cookie does not inhibit caching", FRESH, "Set-Cookie: a=b"),
    check("RFC 9111 §4.2.2", "a query does not forbid a guess", asked(OLD, at="?a=b"), hit(at="?a=b")),
    _kept("RFC 9111 §5.2.2.3", "must-understand lifts no-store: 200", "Cache-Control: no-store, must-understand, max-age=60"),
    _not_kept("RFC 9111 §5.2.2.3", "must-understand, not understood", "Cache-Control: must-understand, max-age=60", status=299),
    _not_kept("RFC 9111 §5.2.2.3", "must-understand, not understood, no-store", "Cache-Control: must-understand, no-store, max-age=60", status=499),
    _not_kept("RFC 9111 §5.2.2.3", "must-understand does not lift private", "Cache-Control: must-understand, private, no-store, max-age=60"),
    _not_kept("RFC 6585 §4", "429 must not be stored", FRESH, status=429),
    _not_kept("RFC 6585 §3", "428 must not be stored", FRESH, status=428),
    _not_kept("RFC 6585 §5", "431 must not be stored", FRESH, status=431),
    _not_kept("RFC 6585 §6", "511 must not be stored", FRESH, status=511),
    _not_kept("RFC 9110 §15.5.13", "412 is about one client's precondition", FRESH, status=412),
    check("RFC 9111 §3", "a 304 is nothing to store", asked(FRESH, 'ETag: "a"', status=304, to=('If-None-Match: "a"',)), asked(FRESH)),
    check("RFC 9111 §5.2.1.5", "no-store of a request", asked(FRESH, to=("Cache-Control: no-store",)), asked(FRESH)),
    check("RFC 9111 §5.2.1.5", "no-store does not apply to what is stored", asked(FRESH), hit("Cache-Control: no-store")),
)  # fmt: skip

_AUTHORIZATION = (
    _not_kept("RFC 9111 §3.5", "an authorized answer is not shared", FRESH, to=BASIC),
    _not_kept("RFC 9111 §3.5", "nor on a guess", OLD, to=BASIC),
    _not_kept("RFC 9111 §3.5", "nor by Expires", "Expires: {+60}", to=BASIC),
    _not_kept("RFC 9111 §3.5", "proxy-revalidate does not allow it", "Cache-Control: max-age=60, proxy-revalidate", to=BASIC),
    _not_kept("RFC 9111 §3.5", "immutable does not allow it", "Cache-Control: max-age=60, immutable", to=BASIC),
    _kept("RFC 9111 §3.5", "public allows it", "Cache-Control: max-age=60, public", to=BASIC),
    _kept("RFC 9111 §3.5", "s-maxage allows it", "Cache-Control: s-maxage=60", to=BASIC),
    _kept("RFC 9111 §3.5", "must-revalidate allows it", "Cache-Control: max-age=60, must-revalidate", to=BASIC),
    check("RFC 9111 §3.5", "public: for others too", asked("Cache-Control: max-age=60, public", to=BASIC), hit()),
    check("RFC 9111 §3.5", "s-maxage: its rule on what is stale holds",
          asked("Cache-Control: s-maxage=60", "Age: 100", 'ETag: "a"', to=BASIC), validated(to=("Cache-Control: max-stale",))),
    check("RFC 9111 §3.5", "private beside public", asked("Cache-Control: max-age=60, public, private", to=BASIC), asked()),
)  # fmt: skip

_METHODS = (
    check("RFC 9111 §3", "an answer to PUT is not one to GET", asked(FRESH, method="PUT", sends=b"x"), asked(FRESH)),
    check("RFC 9111 §3", "nor is one to OPTIONS", asked(FRESH, method="OPTIONS"), asked(FRESH)),
    check("RFC 9111 §3", "an unknown method is not understood",
          asked(FRESH, method="FOO"), asked(FRESH, method="FOO"), asked(FRESH)),
    check("RFC 9110 §9.3.3", "an answer to POST without Content-Location", asked(FRESH, method="POST", sends=b"x"), asked(FRESH)),
    check("RFC 9110 §9.3.3", "an answer to POST about another resource",
          asked(FRESH, "Content-Location: /other", method="POST", sends=b"x"), asked(FRESH)),
    check("RFC 9110 §9.3.3", "a stored GET does not answer POST", asked(FRESH), asked(FRESH, method="POST", sends=b"x")),
    check("RFC 9110 §9.3.2", "an answer to HEAD has no content for GET", asked(FRESH, method="HEAD", body=b""), asked(FRESH)),
    check("RFC 9110 §9.3.2", "HEAD is answered by a stored GET", asked(FRESH, "X-A: 1"),
          hit(method="HEAD", has=("X-A: 1", "Content-Length: 14"))),
    check("RFC 9111 §4", "PUT is written through", asked(FRESH), asked(method="PUT", sends=b"x")),
    check("RFC 9111 §4", "DELETE is written through", asked(FRESH), asked(method="DELETE")),
    check("RFC 9110 §9.3.1", "content of a GET is not in the key", asked(FRESH), asked(FRESH, sends=b"x")),
)  # fmt: skip

_MANY = ("X-A: 1", "X-A: 2, 3", "Link: </a>; rel=preload", "Link: </b>", "Content-Language: de", "Clear-Site-Data: \"cache\"",
         "Content-Type: text/plain; a=\"b,c\"", "Content-Location: /there", "X-Empty: ", "Warning: 110 - \"x\"", "Refresh: 5",
         "Content-Security-Policy: default-src 'none'", "Set-Cookie: a=b; Path=/", "Set-Cookie: c=d", "Expires: {+30}",
         'ETag: W/"x"', "Last-Modified: {-100}", "Accept-Ranges: bytes", "Pragma: x", "Age-X: 5", "Content-Encoding: unknown")  # fmt: skip
_FIELDS = (
    check("RFC 9111 §3.1", "all fields are stored, unknown ones too", asked(FRESH, *_MANY, has=_MANY), hit(has=_MANY)),
    check("RFC 9111 §3.1", "Connection and what it names are not", asked(FRESH, "X-Hop: 1", "X-End: 2", "Connection: x-hop", lacks=("X-Hop",)),
          hit(has=("X-End: 2",), lacks=("X-Hop",))),
    check("RFC 9110 §7.6.1", "names in Connection have no case; several lines", asked(FRESH, "X-One: 1", "Connection: Keep-Alive, X-ONE",
          "Connection: x-two", "X-Two: 2"), hit(lacks=("X-One", "X-Two"))),
    check("RFC 9110 §7.6.1", "hop-by-hop fields that Connection forgets", asked(FRESH, "Keep-Alive: timeout=5", "Proxy-Connection: x", "TE: trailers",
          lacks=("Keep-Alive", "Proxy-Connection", "TE")), hit(lacks=("Keep-Alive", "Proxy-Connection", "TE"))),
    check("RFC 9111 §3.1", "what is a proxy's own", asked(FRESH, "Proxy-Authenticate: Basic", "Proxy-Authentication-Info: x=y",
          "Proxy-Authorization: Basic x"), hit(lacks=("Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization"))),
    check("RFC 9111 §5.2.2.7", "private with names stores the rest", asked('Cache-Control: max-age=60, private="X-A, x-b"', "X-A: 1", "X-B: 2",
          "X-C: 3", has=("X-A: 1",)), hit(has=("X-C: 3",), lacks=("X-A", "X-B"))),
    check("RFC 9111 §5.2.2.7", "names have no case, Set-Cookie", asked('Cache-Control: max-age=60, private="SET-cookie"', "Set-Cookie: a=b"),
          hit(lacks=("Set-Cookie",))),
    check("RFC 9111 §5.2", "the token form is accepted too", asked("Cache-Control: max-age=60, private=x-a", "X-A: 1"), hit(lacks=("X-A",))),
    check("RFC 9111 §5.2.2.4", "no-cache with names excludes these", asked('Cache-Control: max-age=60, no-cache="X-A"', "X-A: 1", "X-B: 2"),
          hit(has=("X-B: 2",), lacks=("X-A",))),
    check("RFC 9111 §5.2.2.4", "no-cache without names beside one with them",
          asked('Cache-Control: max-age=60, no-cache="X-A", no-cache', 'ETag: "a"'), validated()),
    check("RFC 9111 §5.2.2.4", "an empty list of names restricts", asked('Cache-Control: max-age=60, no-cache=""', 'ETag: "a"'), validated()),
    check("RFC 9111 §5.2.2.7", "an empty list of names restricts", asked('Cache-Control: max-age=60, private=""'), asked()),
    check("RFC 9111 §3.1", "trailers do not become header fields",
          asked(FRESH, "Trailer: X-T", ending="chunked", trailers=("X-T: 1", "Cache-Control: no-store")), hit(lacks=("X-T",), has=(FRESH,))),
    check("RFC 9110 §6.6.1", "who stores what has no Date appends one", asked(FRESH, "Date: -", holds=lambda answer: "Date" in answer),
          hit(holds=lambda answer: "Date" in answer)),
    check("RFC 9110 §6.6.1", "Date is the origination's, so it stays", asked(FRESH, "Date: {-30}"), hit(has=("Date: {-30}",))),
    check("RFC 9111 §5.2", "a proxy passes directives on, both ways",
          asked('Cache-Control: max-age=60, ext="a,b"', to=("Cache-Control: x=y, no-cache",), sent=("Cache-Control: x=y, no-cache",),
                has=('Cache-Control: max-age=60, ext="a,b"',)), hit(has=('Cache-Control: max-age=60, ext="a,b"',))),
    check("RFC 9110 §15.2", "interim answers pass and are not stored",
          asked(FRESH, early=("HTTP/1.1 103 Early Hints\r\nLink: </a>", "HTTP/1.1 102 Processing"), interim=(103, 102), lacks=("Link",)),
          hit(lacks=("Link",))),
    check("RFC 9110 §15.2", "an interim answer's directives are not the final one's",
          asked(early=("HTTP/1.1 103 Early Hints\r\nCache-Control: max-age=60\r\nETag: \"a\"",), interim=(103,)), asked()),
    check("RFC 9110 §8.6", "chunks are stored as a whole", asked(FRESH, ending="chunked"), hit()),
    check("RFC 9112 §8", "an answer that ends short of its length is no whole one",
          asked(FRESH, ending="cut", body=b"body of"), asked(FRESH)),
    check("RFC 9112 §8", "nor are chunks without their end", asked(FRESH, ending="cut chunked", body=b"body of", holds=lambda answer: not answer.complete),
          asked(FRESH)),
)  # fmt: skip

STORING: tuple[Check, ...] = (
    *_STATUSES,
    *_HEURISTIC,
    *_NOT_HEURISTIC,
    *_DIRECTIVES,
    *_AUTHORIZATION,
    *_METHODS,
    *_FIELDS,
)
