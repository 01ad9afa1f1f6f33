"""RFC 9773: names of certificates, and windows."""

from __future__ import annotations

import json

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from revproxy.certificates.acme.ari import certificate_id, read_window
from revproxy.certificates.acme.issued import sign_oneself
from revproxy.certificates.acme.renewal import Window

EXAMPLE = b"""-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt
cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS
BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu
7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf
qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B
yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb
+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK
-----END CERTIFICATE-----
"""


def test_the_example_of_the_rfc() -> None:
    """Appendix A and §4.1."""
    assert certificate_id(x509.load_pem_x509_certificate(EXAMPLE)) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"


def test_a_certificate_that_does_not_tell_its_issuer_has_none() -> None:
    assert certificate_id(sign_oneself(["a.example"], 0).leaf) is None


def window(**more: object) -> bytes:
    return json.dumps({"suggestedWindow": {"start": "2021-01-03T00:00:00Z", "end": "2021-01-07T00:00:00Z"}, **more}).encode()


def test_a_window() -> None:
    assert read_window(window(explanationURL="https://a.example/why")) == Window(
        1609632000.0, 1609977600.0, "https://a.example/why"
    )


@pytest.mark.parametrize(
    "text",
    ["2021-01-03T01:00:00+01:00", "2021-01-03t00:00:00z", "2021-01-03T00:00:00.000000000Z", "2021-01-03T00:00:00.25Z"],
)
def test_ways_to_write_a_moment(text: str) -> None:
    found = read_window(json.dumps({"suggestedWindow": {"start": text, "end": "2021-01-07T00:00:00Z"}}).encode())
    assert found is not None
    assert found.start == 1609632000.0


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"suggestedWindow": null}',
        b'{"suggestedWindow": {"start": "2021-01-03T00:00:00Z"}}',
        b'{"suggestedWindow": {"start": 1, "end": 2}}',
        b'{"suggestedWindow": {"start": "soon", "end": "later"}}',
        # §4.2: the end must come after the start.
        b'{"suggestedWindow": {"start": "2021-01-03T00:00:00Z", "end": "2021-01-03T00:00:00Z"}}',
        b'{"suggestedWindow": {"start": "2021-01-07T00:00:00Z", "end": "2021-01-03T00:00:00Z"}}',
    ],
)
def test_what_makes_no_sense_is_no_window(octets: bytes) -> None:
    assert read_window(octets) is None


@settings(max_examples=50)
@given(st.binary() | st.recursive(st.none() | st.text() | st.integers(), lambda each: st.lists(each) | st.dictionaries(
    st.sampled_from(["suggestedWindow", "start", "end"]), each)).map(lambda value: json.dumps(value).encode()))
def test_nothing_raises(octets: bytes) -> None:
    read_window(octets)
