"""Whatever stands in a file: it is understood, or refused in words."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from revproxy.certificates.folder import Group, understand
from revproxy.certificates.pem import CertificateError, parse_pem
from tests.certificates.making import make_root, pem_of

ROOT = make_root()
LEAF = ROOT.issue("a.example")
WHOLE = pem_of(LEAF.certificate, ROOT.certificate, LEAF.key)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good file with some of its octets replaced, taken away or doubled."""
    octets = bytearray(WHOLE)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(octets)))
        end = min(len(octets), at + draw(st.integers(0, 40)))
        kind = draw(st.sampled_from(("replace", "cut", "double")))
        octets[at:end] = {
            "replace": draw(st.binary(max_size=8)),
            "cut": b"",
            "double": bytes(octets[at:end]) * 2,
        }[kind]
    return bytes(octets)


@given(st.one_of(damaged(), st.binary(max_size=200)))
def test_nothing_else_is_raised(octets: bytes) -> None:
    try:
        parse_pem(octets)
    except CertificateError as mistake:
        assert str(mistake)
    understood = understand(Group("folder", (("a.pem", octets),)))
    if octets == WHOLE:
        assert understood.is_sound
    for certificate in understood.certificates:
        assert certificate.leaf.public_key() == certificate.key.public_key()
