"""Transfer-Encoding in requests: chunked, once, last and alone, or an answer that refuses."""

from __future__ import annotations

from tests.messages.case import chunked, head, onward, onward_chunked, onward_post, passed, post, refused

BODY = b"3\r\nabc\r\n0\r\n\r\n"
ABC = onward_chunked(b"abc")


def of(*fields: bytes) -> bytes:
    return post(*fields, body=BODY)


PASSED = [
    passed("coding-chunked", "RFC 9112 §7.1", "chunked is the one coding that every recipient knows", chunked(BODY), ABC),
    passed("coding-capitals", "RFC 9112 §7", "coding names have no case", of(b"Transfer-Encoding: CHUNKED"), ABC),
    passed("coding-mixed-case", "RFC 9112 §7", "coding names have no case", of(b"TRANSFER-encoding: cHuNkEd"), ABC),
    passed("coding-spaces", "RFC 9112 §5.1", "white space around a value is not its part", of(b"Transfer-Encoding: \t chunked \t"), ABC),
    passed("coding-no-space", "RFC 9112 §5", "the space behind the colon is optional", of(b"Transfer-Encoding:chunked"), ABC),
    passed("coding-no-content", "RFC 9112 §7.1", "a body of no octets is a body", chunked(b"0\r\n\r\n"), onward_chunked(b"")),
    passed(
        "coding-get", "RFC 9110 §9.3.1", "a GET may have content, which is framed like any other",
        head(b"GET / HTTP/1.1", b"Host: a.example", b"Transfer-Encoding: chunked") + BODY, onward(chunks=b"abc"),
    ),
    passed(
        "coding-http-1.9", "RFC 9110 §6.2", "a later minor version is read as 1.1",
        head(b"POST / HTTP/1.9", b"Host: a.example", b"Transfer-Encoding: chunked") + BODY, ABC,
    ),
    passed(
        "coding-listed-in-connection", "RFC 9110 §7.6.1", "an option that names the framing does not undo it",
        of(b"Connection: Transfer-Encoding", b"Transfer-Encoding: chunked"), ABC,
    ),
    passed(
        "coding-underscore", "RFC 9112 §11.2", "a twin that CGI takes for the real one is dropped",
        post(b"Transfer_Encoding: chunked"), onward_post(),
    ),
    passed(
        "coding-underscore-length", "RFC 9112 §11.2", "a twin that CGI takes for the real one is dropped",
        post(b"Content-Length: 3", b"Transfer_Encoding: chunked", body=b"abc"), onward_post(length=3, body=b"abc"),
    ),
    passed(
        "coding-x-prefix", "RFC 9110 §5.1", "another name is another field",
        post(b"X-Transfer-Encoding: chunked"), onward_post(b"X-Transfer-Encoding: chunked"),
    ),
    passed(
        "coding-content-encoding", "RFC 9110 §8.4", "a content coding is no transfer coding",
        post(b"Content-Encoding: chunked"), onward_post(b"Content-Encoding: chunked"),
    ),
]  # fmt: skip

REFUSED = [
    refused(f"coding-{name}", section, reason, of(*fields), status)
    for name, section, reason, status, fields in [
        ("gzip", "RFC 9112 §6.3", "the end can't be told without chunked", 400, [b"Transfer-Encoding: gzip"]),
        ("identity", "RFC 9112 §7", "identity is no transfer coding any more", 400, [b"Transfer-Encoding: identity"]),
        ("chunked-gzip", "RFC 9112 §6.3", "chunked has to be last", 400, [b"Transfer-Encoding: chunked, gzip"]),
        ("chunked-identity", "RFC 9112 §6.3", "chunked has to be last", 400, [b"Transfer-Encoding: chunked, identity"]),
        ("chunked-then-gzip", "RFC 9110 §5.3", "two lines are one list", 400, [b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip"]),
        ("chunked-then-identity", "RFC 9110 §5.3", "two lines are one list", 400, [b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"]),
        ("parameter", "RFC 9112 §7.1", "chunked has no parameters", 400, [b"Transfer-Encoding: chunked;a=b"]),
        ("empty", "RFC 9112 §6.1", "no coding is not chunked", 400, [b"Transfer-Encoding:"]),
        ("comma-before", "RFC 9112 §6.1", "an empty member is read in two ways", 400, [b"Transfer-Encoding: ,chunked"]),
        ("comma-behind", "RFC 9112 §6.1", "an empty member is read in two ways", 400, [b"Transfer-Encoding: chunked,"]),
        ("empty-line-first", "RFC 9110 §5.3", "two lines are one list", 400, [b"Transfer-Encoding:", b"Transfer-Encoding: chunked"]),
        ("twice", "RFC 9112 §6.1", "chunked must not be applied twice", 400, [b"Transfer-Encoding: chunked, chunked"]),
        ("two-lines", "RFC 9112 §6.1", "chunked must not be applied twice", 400, [b"Transfer-Encoding: chunked"] * 2),
        ("two-cases", "RFC 9110 §5.1", "names have no case", 400, [b"Transfer-Encoding: chunked", b"transfer-encoding: Chunked"]),
        ("around-gzip", "RFC 9112 §6.1", "chunked must not be applied twice", 400, [b"Transfer-Encoding: chunked, gzip, chunked"]),
        ("xchunked", "RFC 9112 §7", "a coding is a whole token", 400, [b"Transfer-Encoding: xchunked"]),
        ("chunke", "RFC 9112 §7", "a coding is a whole token", 400, [b"Transfer-Encoding: chunke"]),
        ("chun-ked", "RFC 9112 §7", "a coding is a whole token", 400, [b"Transfer-Encoding: chun ked"]),
        ("quoted", "RFC 9112 §7", "a coding is a token, not a string", 400, [b'Transfer-Encoding: "chunked"']),
        ("single-quoted", "RFC 9112 §7", "these quotes belong to the token", 400, [b"Transfer-Encoding: 'chunked'"]),
        ("bracketed", "RFC 9112 §7", "a coding is a token", 400, [b"Transfer-Encoding: [chunked]"]),
        ("semicolon", "RFC 9112 §6.1", "this separates no members", 400, [b"Transfer-Encoding: identity;chunked"]),
        ("space-list", "RFC 9112 §6.1", "this separates no members", 400, [b"Transfer-Encoding: gzip chunked"]),
        ("colon", "RFC 9112 §7", "the colon belongs to the value", 400, [b"Transfer-Encoding: : chunked"]),
        ("vertical-tab", "RFC 9110 §5.5", "a control octet is no white space", 400, [b"Transfer-Encoding: \x0bchunked"]),
        ("form-feed", "RFC 9110 §5.5", "a control octet is no white space", 400, [b"Transfer-Encoding: chunked\x0c"]),
        ("nul", "RFC 9110 §5.5", "what ends a string in C ends nothing here", 400, [b"Transfer-Encoding: chunked\x00"]),
        ("no-break-space", "RFC 9110 §5.6.3", "only SP and HTAB are white space", 400, [b"Transfer-Encoding: \xa0chunked"]),
        ("long-s", "RFC 9112 §7", "no other letter has the case of an ASCII one", 400, [b"Transfer-Encoding: chun\xe2\x84\xaaed"]),
        ("space-before-colon", "RFC 9112 §5.1", "recipients differ on whose name that is", 400, [b"Transfer-Encoding : chunked"]),
        ("tab-before-colon", "RFC 9112 §5.1", "recipients differ on whose name that is", 400, [b"Transfer-Encoding\t: chunked"]),
        ("space-before-name", "RFC 9112 §2.2", "recipients differ on what a line behind white space is", 400, [b" Transfer-Encoding: chunked"]),
        ("folded", "RFC 9112 §5.2", "recipients differ on whether a line goes on", 400, [b"Transfer-Encoding:", b" chunked"]),
        ("fold-hides", "RFC 9112 §5.2", "recipients differ on whether a line goes on", 400, [b"X: y", b" Transfer-Encoding: chunked"]),
        ("bare-lf", "RFC 9112 §2.2", "recipients differ on what an LF is", 400, [b"X: y\nTransfer-Encoding: chunked"]),
        ("bare-lf-behind", "RFC 9112 §2.2", "recipients differ on what an LF is", 400, [b"Transfer-Encoding: chunked\nX: y"]),
        ("bare-lf-in-name", "RFC 9112 §2.2", "recipients differ on what an LF is", 400, [b"Transfer-Encoding\n: chunked"]),
        ("bare-cr", "RFC 9112 §2.2", "recipients differ on what a CR is", 400, [b"X: y\rTransfer-Encoding: chunked"]),
        ("length", "RFC 9112 §6.1", "with both fields the end is in doubt", 400, [b"Content-Length: 3", b"Transfer-Encoding: chunked"]),
        ("before-length", "RFC 9112 §6.1", "with both fields the end is in doubt", 400, [b"Transfer-Encoding: chunked", b"Content-Length: 13"]),
        ("bad-length", "RFC 9112 §6.3", "a bad length is not healed by chunks", 400, [b"Transfer-Encoding: chunked", b"Content-Length: x"]),
        ("length-zero", "RFC 9112 §6.1", "with both fields the end is in doubt", 400, [b"Content-Length: 0", b"Transfer-Encoding: chunked"]),
        ("gzip-length", "RFC 9112 §6.1", "with both fields the end is in doubt", 400, [b"Content-Length: 3", b"Transfer-Encoding: gzip"]),
        ("identity-length", "RFC 9112 §6.1", "with both fields the end is in doubt", 400, [b"Content-Length: 3", b"Transfer-Encoding: identity"]),
        ("gzip-chunked", "RFC 9112 §6.1", "a coding that is not understood is answered 501", 501, [b"Transfer-Encoding: gzip, chunked"]),
        ("identity-chunked", "RFC 9112 §6.1", "a coding that is not understood is answered 501", 501, [b"Transfer-Encoding: identity, chunked"]),
        ("unknown-chunked", "RFC 9112 §6.1", "a coding that is not understood is answered 501", 501, [b"Transfer-Encoding: cow, chunked"]),
        ("three", "RFC 9112 §6.1", "a coding that is not understood is answered 501", 501, [b"Transfer-Encoding: deflate, gzip, chunked"]),
        ("gzip-then-chunked", "RFC 9110 §5.3", "two lines are one list", 501, [b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"]),
        ("gzip-parameter", "RFC 9112 §7", "other codings may have parameters", 501, [b"Transfer-Encoding: gzip;q=1, chunked"]),
    ]
]  # fmt: skip

OTHERS = [
    refused(
        "coding-http-1.0", "RFC 9112 §6.1", "HTTP/1.0 has no chunks: its framing is faulty",
        head(b"POST / HTTP/1.0", b"Host: a.example", b"Transfer-Encoding: chunked") + BODY,
    ),
    refused(
        "coding-http-1.0-keep-alive", "RFC 9112 §6.1", "the connection of such a message ends with it",
        head(b"POST / HTTP/1.0", b"Connection: keep-alive", b"Transfer-Encoding: chunked") + BODY,
    ),
    refused(
        "coding-http-1.0-length", "RFC 9112 §6.1", "nor does a length beside it help",
        head(b"POST / HTTP/1.0", b"Content-Length: 3", b"Transfer-Encoding: chunked") + BODY,
    ),
    refused(
        "coding-get-gzip", "RFC 9112 §6.3", "a method without content gets no other rules",
        head(b"GET / HTTP/1.1", b"Host: a.example", b"Transfer-Encoding: gzip"),
    ),
]  # fmt: skip

CASES = [*PASSED, *REFUSED, *OTHERS]
