"""How a request's body ends: Content-Length and Transfer-Encoding, alone and together."""

from __future__ import annotations

import pytest

from revproxy.errors import BadRequest, NotImplementedCoding, ProxyError
from revproxy.http.framing import CHUNKED, LARGEST, NO_BODY, Framing
from tests.support.feeding import Accepted, request_outcome

Expected = Framing | type[ProxyError]


def length(octets: int) -> Framing:
    return Framing("length", octets)


LENGTHS: list[tuple[str, str, bytes, Expected]] = [
    ("9112-6.3", "neither field: no body", b"", NO_BODY),
    ("9110-8.6", "zero", b"Content-Length: 0", length(0)),
    ("9110-8.6", "a number", b"Content-Length: 42", length(42)),
    ("9110-8.6", "leading zeros", b"Content-Length: 0042", length(42)),
    ("9110-8.6", "no end of leading zeros", b"Content-Length: " + b"0" * 60 + b"7", length(7)),
    ("9110-5.5", "white space around it", b"Content-Length: \t 42 \t", length(42)),
    ("9110-5.1", "a name has no case", b"cONTENT-lENGTH: 42", length(42)),
    ("9110-8.6", "2^63 - 1", b"Content-Length: 9223372036854775807", length(LARGEST)),
    ("9110-8.6", "2^63", b"Content-Length: 9223372036854775808", BadRequest),
    ("9110-8.6", "2^64 would wrap to 0", b"Content-Length: 18446744073709551616", BadRequest),
    ("9110-8.6", "2^64 + 5 would wrap to 5", b"Content-Length: 18446744073709551621", BadRequest),
    ("9110-8.6", "a thousand digits", b"Content-Length: " + b"9" * 1000, BadRequest),
    ("9112-6.3", "twice, different", b"Content-Length: 1\r\nContent-Length: 2", BadRequest),
    ("9112-6.3", "twice the same: refused, not repaired", b"Content-Length: 5\r\nContent-Length: 5", BadRequest),
    ("9112-6.3", "twice in two cases", b"Content-Length: 5\r\ncontent-length: 5", BadRequest),
    ("9112-6.3", "twice, one empty", b"Content-Length: 5\r\nContent-Length:", BadRequest),
    ("9112-6.3", "a list", b"Content-Length: 5, 5", BadRequest),
    ("9112-6.3", "a list without space", b"Content-Length: 5,5", BadRequest),
    ("9112-6.3", "a list with an empty member", b"Content-Length: 5,", BadRequest),
    ("9110-8.6", "empty", b"Content-Length:", BadRequest),
    ("9110-8.6", "a plus sign", b"Content-Length: +5", BadRequest),
    ("9110-8.6", "a minus sign", b"Content-Length: -5", BadRequest),
    ("9110-8.6", "minus zero", b"Content-Length: -0", BadRequest),
    ("9110-8.6", "hexadecimal", b"Content-Length: 0x5", BadRequest),
    ("9110-8.6", "hexadecimal digits alone", b"Content-Length: a", BadRequest),
    ("9110-8.6", "an underscore, as in Python", b"Content-Length: 1_0", BadRequest),
    ("9110-8.6", "a fraction", b"Content-Length: 5.0", BadRequest),
    ("9110-8.6", "an exponent", b"Content-Length: 1e1", BadRequest),
    ("9110-8.6", "a space inside", b"Content-Length: 5 0", BadRequest),
    ("9110-8.6", "quotes", b'Content-Length: "5"', BadRequest),
    ("9110-8.6", "a parameter", b"Content-Length: 5;a=b", BadRequest),
    ("9110-8.6", "octets behind it", b"Content-Length: 5x", BadRequest),
    ("9110-8.6", "superscript two in Latin-1", b"Content-Length: \xb2", BadRequest),
    ("9110-8.6", "Arabic digits in UTF-8", b"Content-Length: \xd9\xa5", BadRequest),
    ("9110-8.6", "full-width digits in UTF-8", b"Content-Length: \xef\xbc\x95", BadRequest),
    ("9110-8.6", "a no-break space before it", b"Content-Length: \xa05", BadRequest),
    ("9110-5.1", "a twin with an underscore frames nothing", b"Content_Length: 5", NO_BODY),
]

CODINGS: list[tuple[str, str, bytes, Expected]] = [
    ("9112-7.1", "chunked", b"Transfer-Encoding: chunked", CHUNKED),
    ("9112-7", "codings have no case", b"Transfer-Encoding: ChUnKeD", CHUNKED),
    ("9110-5.5", "white space around it", b"Transfer-Encoding: \t chunked \t ", CHUNKED),
    ("9110-5.1", "a name has no case", b"transfer-ENCODING: chunked", CHUNKED),
    ("9112-6.1", "a coding before chunked: not understood", b"Transfer-Encoding: gzip, chunked", NotImplementedCoding),
    ("9112-6.1", "the same in two lines", b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", NotImplementedCoding),
    ("9112-6.1", "identity before chunked", b"Transfer-Encoding: identity, chunked", NotImplementedCoding),
    ("9112-6.1", "an unknown coding before chunked", b"Transfer-Encoding: x, chunked", NotImplementedCoding),
    ("9112-6.3", "chunked not last", b"Transfer-Encoding: chunked, gzip", BadRequest),
    ("9112-6.3", "chunked not last, in two lines", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip", BadRequest),
    ("9112-6.3", "chunked, then identity", b"Transfer-Encoding: chunked, identity", BadRequest),
    ("9112-6.3", "gzip alone", b"Transfer-Encoding: gzip", BadRequest),
    ("9112-6.3", "identity alone, which is obsolete", b"Transfer-Encoding: identity", BadRequest),
    ("9112-6.1", "chunked twice", b"Transfer-Encoding: chunked, chunked", BadRequest),
    ("9112-6.1", "chunked twice, in two lines", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", BadRequest),
    ("9112-6.1", "chunked twice, one in upper case", b"Transfer-Encoding: CHUNKED, chunked", BadRequest),
    ("9112-6.1", "empty", b"Transfer-Encoding:", BadRequest),
    ("9110-5.6.1", "an empty member behind", b"Transfer-Encoding: chunked,", BadRequest),
    ("9110-5.6.1", "an empty member before", b"Transfer-Encoding: ,chunked", BadRequest),
    ("9112-7", "a parameter of chunked", b"Transfer-Encoding: chunked;a=b", BadRequest),
    ("9112-7", "quotes", b'Transfer-Encoding: "chunked"', BadRequest),
    ("9112-7", "octets before it", b"Transfer-Encoding: xchunked", BadRequest),
    ("9112-7", "octets behind it", b"Transfer-Encoding: chunkedx", BadRequest),
    ("9112-7", "a space instead of a comma", b"Transfer-Encoding: gzip chunked", BadRequest),
    ("9112-7", "a semicolon instead of a comma", b"Transfer-Encoding: gzip; chunked", BadRequest),
    ("9112-7", "vertical tab before it", b"Transfer-Encoding: \x0bchunked", BadRequest),
    ("9112-7", "a no-break space before it", b"Transfer-Encoding: \xa0chunked", BadRequest),
    ("9112-7", "the Kelvin sign folds to k", b"Transfer-Encoding: chun\xe2\x84\xaaed", BadRequest),
    ("9112-5.2", "folded", b"Transfer-Encoding:\r\n chunked", BadRequest),
    ("9112-6.1", "both fields", b"Content-Length: 5\r\nTransfer-Encoding: chunked", BadRequest),
    ("9112-6.1", "both fields the other way round", b"Transfer-Encoding: chunked\r\nContent-Length: 5", BadRequest),
    ("9112-6.1", "both fields, the length zero", b"Transfer-Encoding: chunked\r\nContent-Length: 0", BadRequest),
    ("9112-6.1", "both fields, the length malformed", b"Transfer-Encoding: chunked\r\nContent-Length: x", BadRequest),
    ("9112-6.1", "both fields, the coding not understood", b"Transfer-Encoding: gzip, chunked\r\nContent-Length: 5", BadRequest),
    ("9112-6.1", "a twin with an underscore frames nothing", b"Transfer_Encoding: chunked", NO_BODY),
    ("9112-7.4", "TE frames nothing", b"TE: chunked", NO_BODY),
    ("9110-8.4", "Content-Encoding frames nothing", b"Content-Encoding: chunked", NO_BODY),
]

ROWS = LENGTHS + CODINGS


@pytest.mark.parametrize(("rfc", "why", "lines", "expected"), ROWS, ids=[f"{row[0]} {row[1]}" for row in ROWS])
@pytest.mark.parametrize("method", [b"POST", b"GET", b"HEAD", b"OPTIONS"])
def test_framing_does_not_depend_on_the_method(
    rfc: str, why: str, lines: bytes, expected: Expected, method: bytes
) -> None:
    raw = method + b" / HTTP/1.1\r\nHost: a\r\n" + (lines + b"\r\n" if lines else b"") + b"\r\n"
    for behind in (b"", b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n", b"hello"):
        outcome = request_outcome(raw + behind) if len(raw) < 300 else request_outcome(raw)
        if isinstance(expected, Framing):
            assert outcome.result == Accepted(method, framing=expected)
            assert len(raw) > 300 or outcome.rest == behind
        else:
            assert outcome.error is expected


@pytest.mark.parametrize(("rfc", "why", "lines", "expected"), CODINGS, ids=[f"{row[0]} {row[1]}" for row in CODINGS])
def test_http10_has_no_transfer_codings(rfc: str, why: str, lines: bytes, expected: Expected) -> None:
    # RFC 9112 §6.1: whoever forwarded it from HTTP/1.0 did not see the coding.
    outcome = request_outcome(b"POST / HTTP/1.0\r\nHost: a\r\n" + lines + b"\r\n\r\n")
    if lines.lower().startswith((b"transfer-encoding", b"content-length")):
        assert outcome.error is BadRequest
    else:
        assert outcome.result == Accepted(b"POST", version=10)


@pytest.mark.parametrize(("rfc", "why", "lines", "expected"), LENGTHS, ids=[f"{row[0]} {row[1]}" for row in LENGTHS])
def test_http10_lengths_are_judged_alike(rfc: str, why: str, lines: bytes, expected: Expected) -> None:
    raw = b"POST / HTTP/1.0\r\nHost: a\r\n" + (lines + b"\r\n" if lines else b"") + b"\r\n"
    outcome = request_outcome(raw)
    if isinstance(expected, Framing):
        assert outcome.result == Accepted(b"POST", version=10, framing=expected)
    else:
        assert outcome.error is expected
