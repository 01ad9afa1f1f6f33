"""Where two rules meet, and what a careless cache gets wrong."""

from __future__ import annotations

from tests.live.support_cache_checks import Check, asked, check, hit, validated

CC = "Cache-Control: "
FRESH = CC + "max-age=60"
STALE = (FRESH, "Age: 100")
TAG = 'ETag: "a"'
BASIC = ("Authorization: Basic dTpw",)
DIGITS = b"0123456789"
LARGE = bytes(range(256)) * 1500
PART = (FRESH, TAG, "Content-Range: bytes 2-5/10")

_TARGETS = (
    check("RFC 3986 §2.2", "an encoded slash is no slash", asked(FRESH, at="/a/b"), asked(FRESH, at="/a%2Fb")),
    check("RFC 3986 §2.2", "an encoded question mark begins no query", asked(FRESH, at="?q"), asked(FRESH, at="%3Fq")),
    check("RFC 3986 §2.2", "plus is no space", asked(FRESH, at="?q=a+b"), asked(FRESH, at="?q=a%20b"), hit(at="?q=a+b", body=1)),
    check("RFC 3986 §2.2", "an encoded ampersand joins nothing", asked(FRESH, at="?a=1&b=2"), asked(FRESH, at="?a=1%26b=2")),
    check("RFC 9110 §4.2.3", "two slashes are not one", asked(FRESH, at="/a"), asked(FRESH, at="//a")),
    check("RFC 9110 §4.2.3", "another port is another origin", asked(FRESH), asked(FRESH, host="example.com:8080")),
    check("RFC 9111 §2", "the order of parameters counts", asked(FRESH, at="?a=1&b=2"), asked(FRESH, at="?b=2&a=1")),
)  # fmt: skip

_MEETING = (
    check("RFC 9111 §4.3.2", "without Range a part can't answer a condition", asked(*PART, status=206, content=b"2345", to=("Range: bytes=2-5",)),
          asked(status=304, to=('If-None-Match: "a"',), sent=('If-None-Match: "a"',))),
    check("RFC 9111 §4.3.2", "nor *", asked(*PART, status=206, content=b"2345", to=("Range: bytes=2-5",)),
          asked(status=304, to=("If-None-Match: *",), sent=("If-None-Match: *",))),
    check("RFC 9111 §4.3.2", "with a range in it, it can", asked(*PART, status=206, content=b"2345", to=("Range: bytes=2-5",)),
          hit('If-None-Match: "a"', "Range: bytes=2-3", code=304)),
    check("RFC 9110 §13.1.5", "If-Range without Range is ignored", asked(FRESH, TAG), hit('If-Range: "b"')),
    check("RFC 9110 §14.2", "Range of a 204", asked(FRESH, status=204), hit("Range: bytes=0-3", code=204)),
    check("RFC 9110 §14.2", "of nothing there are no ranges, so Range is ignored", asked(FRESH, TAG, content=b""), hit("Range: bytes=0-3", code=200)),
    check("RFC 9110 §8.6", "no content at all is content", asked(FRESH, content=b""), hit(body=b"", has=("Content-Length: 0",))),
    check("RFC 9111 §3.3", "much content, whole and cut", asked(FRESH, TAG, content=LARGE), hit(),
          hit("Range: bytes=130000-270000", code=206, body=LARGE[130000:270001], has=("Content-Range: bytes 130000-270000/384000",))),
    check("RFC 9111 §3.3", "much content in chunks", asked(FRESH, TAG, content=LARGE, ending="chunked"), hit(has=("Content-Length: 384000",))),
    check("RFC 9111 §5.2.1.5", "no-store and stale: nothing that comes is stored", asked(*STALE, TAG, "X-A: 1"),
          asked(FRESH, TAG, "X-A: 2", to=(CC + "no-store",)), validated(TAG, has=("X-A: 1",), body=1)),
    check("RFC 9111 §5.2.1.5", "no-store of a request leaves what is stored", asked(FRESH, TAG), asked(FRESH, 'ETag: "b"', to=(CC + "no-cache, no-store",)),
          hit(body=1)),
    check("RFC 9111 §3.5", "a validation with credentials does not make their answer everybody's", asked(*STALE, TAG),
          validated(FRESH, 'ETag: "b"', status=200, to=BASIC), validated(TAG, body=1)),
    check("RFC 9111 §3.5", "nor their fields", asked(*STALE, TAG), validated(FRESH, TAG, "X-Mine: 1", to=BASIC), validated(FRESH, TAG, lacks=("X-Mine",)), hit(lacks=("X-Mine",))),
    check("RFC 9111 §3.5", "unless it says so", asked(*STALE, TAG), validated(FRESH + ", public", TAG, "X-All: 1", to=BASIC), hit(has=("X-All: 1",))),
    check("RFC 9111 §5.2.2.5", "a 304 with no-store answers once", asked(*STALE, TAG), validated(CC + "no-store", TAG), asked(FRESH)),
    check("RFC 9111 §5.2.2.7", "a 304 with private answers once", asked(*STALE, TAG), validated(CC + "private, max-age=60", TAG), asked(FRESH)),
    check("RFC 9111 §4.3.4", "a 304 with no-cache", asked(*STALE, TAG), validated(CC + "no-cache", TAG), validated(TAG)),
    check("RFC 9111 §4.3.4", "a 304 that names Vary", asked(*STALE, TAG, to=("X-V: 1",)), validated(FRESH, TAG, "Vary: X-V", to=("X-V: 1",)),
          hit("X-V: 1"), validated(FRESH, "Vary: X-V", 'ETag: "b"', status=200, to=("X-V: 2",))),
    check("RFC 9111 §4.3.4", "a 304 with Vary: *", asked(*STALE, TAG), validated(FRESH, TAG, "Vary: *"), asked(FRESH)),
    check("RFC 9111 §5.2.2.4", "a 304 may bring back what no-cache names", asked(CC + 'max-age=60, no-cache="x-a"', "Age: 100", TAG, "X-A: 1"),
          validated(CC + 'max-age=60, no-cache="x-a"', TAG, "X-A: 2", has=("X-A: 2",)), hit(lacks=("X-A",))),
    check("RFC 9111 §4", "only-if-cached stops no unsafe method", asked(method="POST", sends=b"x", to=(CC + "only-if-cached",))),
    check("RFC 9111 §4.3.5", "HEAD, stale: the server is asked", asked(*STALE, TAG), asked(*STALE, TAG, method="HEAD", content=b"body of step 1")),
    check("RFC 9111 §5.2.1.7", "HEAD and only-if-cached", asked(FRESH), hit(CC + "only-if-cached", method="HEAD")),
    check("RFC 9110 §9.3.3", "an answer to POST that is the target's representation", asked(FRESH, "Content-Location: /post-a", method="POST", sends=b"x", whole="/post-a"),
          hit(whole="/post-a")),
    check("RFC 9110 §9.3.3", "the same, absolute", asked(FRESH, "Content-Location: http://example.com/post-b", method="POST", sends=b"x", whole="/post-b"),
          hit(whole="/post-b")),
    check("RFC 9110 §9.3.3", "without explicit freshness", asked("Content-Location: /post-c", "Last-Modified: {-864000}", method="POST", sends=b"x", whole="/post-c"),
          asked(FRESH, whole="/post-c")),
    check("RFC 9110 §9.3.3", "Content-Location of another origin", asked(FRESH, "Content-Location: http://example.org/post-d", method="POST", sends=b"x", whole="/post-d"),
          asked(FRESH, whole="/post-d")),
    check("RFC 9110 §9.3.3", "a 201 is not its representation", asked(FRESH, "Content-Location: /post-e", method="POST", sends=b"x", status=201, whole="/post-e"),
          asked(FRESH, whole="/post-e")),
    check("RFC 9110 §5.6.7", "a leap second is a date", asked("Expires: Thu, 31 Dec 2099 23:59:60 GMT"), hit()),
    check("RFC 9110 §5.5", "octets beyond ASCII stay as they are", asked(FRESH, "X-A: caf\u00e9"), hit(has=("X-A: caf\u00e9",))),
    check("RFC 9110 §8.8.3", "two entity tags are none to trust", asked(*STALE, 'ETag: "a"', 'ETag: "b"'), asked(FRESH)),
    check("RFC 9111 §4.3.1", "a tag without quotes is none", asked(*STALE, "ETag: a", "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"),
          validated(unsent=("If-None-Match",), sent=("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",))),
    check("RFC 9110 §8.8.3", "an empty tag is one", asked(*STALE, 'ETag: ""'), validated('ETag: ""', sent=('If-None-Match: ""',))),
    check("RFC 9110 §13.1.2", "a client's tag without quotes matches nothing", asked(FRESH, TAG), hit("If-None-Match: a", code=200)),
    check("RFC 9112 §6.3", "an end by the end of the connection", asked(FRESH, ending="close")),
    check("RFC 9211 §2", "a broken Cache-Status of another does not break ours", asked(FRESH, 'Cache-Status: "', says="revproxy; "), hit(says="revproxy; hit")),
    check("RFC 9111 §4.2.2", "a broken Last-Modified is no ground for a guess", asked("Last-Modified: long ago"), asked()),
    check("RFC 9111 §4.2.3", "Date in an old form counts", asked(FRESH, TAG, "Date: {-100 rfc850}"), validated(TAG)),
    check("RFC 9111 §4.2.1", "must-revalidate grants no time", asked(CC + "must-revalidate", TAG), validated(TAG)),
    check("RFC 9111 §5.2.2.9", "public grants no time", asked(CC + "public", TAG), validated(TAG)),
    check("RFC 8246 §2", "immutable grants no time", asked(CC + "immutable", TAG), validated(TAG)),
    check("RFC 9111 §5.2.2.6", "no-transform is passed on and obeyed", asked(CC + "max-age=60, no-transform", "Content-Encoding: x", has=("Content-Encoding: x",)),
          hit(has=("Content-Encoding: x", CC + "max-age=60, no-transform"))),
    check("RFC 9110 §12.5.5", "a name in Vary that is none never matches", asked(FRESH, "Vary: X V"), asked(FRESH)),
    check("RFC 9110 §12.5.5", "an empty Vary names nothing", asked(FRESH, "Vary: "), hit("X-V: 1")),
    check("RFC 9111 §4.1", "Vary: Host is in the key", asked(FRESH, "Vary: Host"), hit()),
    check("RFC 9111 §4.1", "what the proxy writes by the key alone does not differ", asked(FRESH, "Vary: X-Forwarded-Proto"), hit()),
    *[check("RFC 9111 §4.1", f"what the proxy writes for each client differs: {name}", asked(FRESH, f"Vary: Accept, {name}"), asked(FRESH))
      for name in ("X-Forwarded-For", "Forwarded", "X-Request-ID", "Client-Cert", "Client-Cert-Chain", "X-SSL-Client-S-DN")],
    check("RFC 9111 §4.4", "an unsafe method and no answer", asked(FRESH, TAG), asked(method="POST", sends=b"x", ending="nothing", code=502), hit(body=1)),
    check("RFC 9111 §4.3.3", "what ended with a 410 does not come back", asked(*STALE, TAG), validated(FRESH, status=410), hit()),
    check("RFC 9111 §4.3.3", "a redirect replaces", asked(*STALE, TAG), validated(FRESH, "Location: /x", status=301), hit(has=("Location: /x",))),
    check("RFC 9110 §15.4.5", "a stored error is not validated", asked(*STALE, TAG, "Last-Modified: {-1000}", status=404), asked(FRESH)),
    check("RFC 5861 §4", "HEAD too", asked(CC + "max-age=60, stale-if-error=600", "Age: 100", TAG), asked(method="HEAD", status=503, code=200)),
    check("RFC 9111 §4.2.4", "max-stale reads no broken member", asked(*STALE, TAG), validated(TAG, to=(CC + "max-stale=",))),
    check("RFC 9111 §5.2.1.1", "a client's broken max-age asks for the most", asked(FRESH, "Age: 10", TAG), validated(TAG, to=(CC + "max-age=x",))),
    check("RFC 9111 §5.2.2.3", "must-understand of a 206 that is understood", asked(CC + "no-store, must-understand, max-age=60", TAG, "Content-Range: bytes 2-5/10",
          status=206, content=b"2345", to=("Range: bytes=2-5",)), hit("Range: bytes=2-5", code=206, body=b"2345")),
    check("RFC 9111 §3", "Vary and parts", asked(*PART, "Vary: X-V", status=206, content=b"2345", to=("Range: bytes=2-5", "X-V: 1")),
          asked(*PART, "Vary: X-V", status=206, content=b"2345", to=("Range: bytes=2-5", "X-V: 2"))),
    check("RFC 9110 §14.3", "several ranges of a server are passed on, not stored", asked(FRESH, TAG, "Content-Type: multipart/byteranges; boundary=x", status=206,
          to=("Range: bytes=0-1,5-6",)), asked(FRESH, TAG, "Content-Type: multipart/byteranges; boundary=x", status=206, to=("Range: bytes=0-1,5-6",))),
    check("RFC 9110 §15.3.7", "a 206 to If-Range may lack fields, so it is no base", asked(*PART, status=206, content=b"2345", to=("Range: bytes=2-5", 'If-Range: "a"')),
          asked(*PART, "Content-Type: text/x", status=206, content=b"2345", to=("Range: bytes=2-5",))),
    check("RFC 9111 §3.4", "a part of a new representation ends the old whole", asked(*STALE, TAG, content=DIGITS),
          validated(FRESH, 'ETag: "b"', "Content-Range: bytes 0-3/9", status=206, content=b"abcd", to=("Range: bytes=0-3",)),
          asked(FRESH, 'ETag: "b"', content=b"abcdefghi")),
)  # fmt: skip

CORNERS: tuple[Check, ...] = (*_TARGETS, *_MEETING)
