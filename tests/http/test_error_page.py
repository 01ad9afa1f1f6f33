"""Error pages: HTML for people, JSON for programs, and nothing that breaks out of either."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revproxy.http.error_page import error_page, prefers_json
from revproxy.http.fields import Fields
from revproxy.http.render import REASONS

BROWSER = b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"

ACCEPTS: list[tuple[str, bytes, bool]] = [
    ("a browser", BROWSER, False),
    ("a program", b"application/json", True),
    ("a program that takes the rest as well", b"application/json, text/plain, */*", True),
    ("anything", b"*/*", False),
    ("nothing said", b"", False),
    ("both alike: a person may be there", b"text/html, application/json", False),
    ("HTML first", b"text/html, application/json;q=0.9", False),
    ("JSON first", b"application/json, text/html;q=0.9", True),
    ("JSON after anything else", b"application/json;q=0.1, */*;q=0.9", False),
    ("JSON excluded", b"application/json;q=0", False),
    ("JSON excluded, the rest not", b"application/json;q=0, */*", False),
    ("HTML excluded", b"text/html;q=0, application/json;q=0.1", True),
    ("problem details (RFC 9457)", b"application/problem+json", True),
    ("any kind of JSON", b"application/vnd.api+json", True),
    ("a range that has JSON in it", b"application/*", True),
    ("a range that has HTML in it", b"text/*, application/json;q=0.5", False),
    ("media types have no case", b"APPLICATION/JSON;Q=1", True),
    ("white space", b" application/json ; q = 0.9 ,\ttext/html ; q=0.1", True),
    ("other parameters", b"application/json;charset=utf-8;q=0.9, text/html;q=0.8;level=1", True),
    ("a weight that is none", b"application/json;q=x", False),
    ("no number at all", b"application/json;q=nan, text/html;q=0.1", False),
    ("something else altogether", b"image/png", False),
    ("empty members", b",,application/json,", True),
    ("octets above 127", b"\xff/\xfe, application/json", True),
]


@pytest.mark.parametrize(("why", "accept", "expected"), ACCEPTS, ids=[row[0] for row in ACCEPTS])
def test_who_gets_json(why: str, accept: bytes, expected: bool) -> None:
    # RFC 9110 §12.5.1.
    fields = Fields.of([(b"Accept", accept)])
    assert prefers_json(fields) is expected
    media, page = error_page(502, b"id-1", fields)
    assert media == (b"application/json" if expected else b"text/html; charset=utf-8")
    assert page.startswith(b"{" if expected else b"<!DOCTYPE html>")


def test_several_lines_are_one_list() -> None:
    assert prefers_json(Fields.of([(b"Accept", b"text/html;q=0.5"), (b"accept", b"application/json")]))


def test_without_a_request_a_person_is_assumed() -> None:
    assert not prefers_json(None)
    assert error_page(400, b"x", None)[0] == b"text/html; charset=utf-8"


@pytest.mark.parametrize("status", [400, 404, 405, 408, 411, 413, 414, 417, 421, 431, 499, 500, 501, 502, 503, 504, 505, 599])
def test_every_status_has_a_page(status: int) -> None:
    title = REASONS.get(status, b"Error")
    html = error_page(status, b"id-1", None)[1]
    assert b"<h1>%d %b</h1>" % (status, title) in html
    assert b"<code>id-1</code>" in html
    page = json.loads(error_page(status, b"id-1", Fields.of([(b"Accept", b"application/json")]))[1])
    assert (page["status"], page["title"], page["request_id"]) == (status, title.decode(), "id-1")
    assert page["detail"].encode() in html


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_accept_field_gets_some_page(accept: bytes) -> None:
    media, page = error_page(500, b"x", Fields.of([(b"Accept", accept)]))
    assert page.startswith(b"{") is (media == b"application/json")
