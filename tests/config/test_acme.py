"""The tables of ACME: what they mean, and every mistake that can be seen without asking a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from revproxy.config.acme_tables import DIRECTORY, STAGING, AcmeCertificate, AcmeOptions, ExternalAccount, OnDemand
from revproxy.config.checks.acme import check_acme
from revproxy.config.load import Examination, examine, load
from revproxy.config.model import Config, Listener, Site, TLSOptions

LISTENERS = '[[listener]]\naddress = ":80"\n[[listener]]\naddress = ":443"\ntls = true\n'
SITE = '[[site]]\nhosts = ["a.example"]\n[[site.route]]\nproxy = "http://a"\n'
ACME = "[tls.acme]\nagree = true\n"
BASE = LISTENERS + SITE + ACME
LINES = BASE.count("\n")


def check(folder: Path, text: str) -> Examination:
    file = folder / "site.toml"
    file.write_text(text)
    return examine(file)


def told(folder: Path, text: str) -> list[str]:
    return [str(mistake).partition("site.toml:")[2] for mistake in check(folder, text).mistakes]


def test_the_least_that_can_be_written(tmp_path: Path) -> None:
    assert check(tmp_path, BASE).mistakes == ()
    options = load(tmp_path / "site.toml").tls.acme
    assert options == AcmeOptions(agree=True)
    assert options is not None
    assert options.directory_url == DIRECTORY
    assert options.challenges == ("tls-alpn-01", "http-01")


def test_everything_that_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    text = (
        BASE
        + """
        contact = "ops@example.com"
        directory = "https://ca.internal/acme/directory"
        ca = "ca.pem"
        challenges = "http-01"
        key_type = "rsa"
        preferred_chain = "Root X1"
        [[tls.acme.certificate]]
        names = ["a.example", "www.a.example"]
        [[tls.acme.certificate]]
        names = ["b.example"]
        [tls.acme.external_account]
        key_id = "kid-1"
        key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
        [tls.acme.on_demand]
        allow = ["*.shops.example", "b.example"]
        ask = "http://127.0.0.1:9000/ask"
        ask_timeout = "2s"
        remember = "1d"
        per_hour = 5
        names = 50
        """
    )
    assert check(tmp_path, text).mistakes == ()
    assert load(tmp_path / "site.toml").tls.acme == AcmeOptions(
        agree=True,
        contact=("ops@example.com",),
        directory="https://ca.internal/acme/directory",
        ca=str(tmp_path / "ca.pem"),
        challenges=("http-01",),
        key_type="rsa",
        preferred_chain="Root X1",
        certificates=(AcmeCertificate(names=("a.example", "www.a.example")), AcmeCertificate(names=("b.example",))),
        external_account=ExternalAccount(
            key_id="kid-1", key="zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
        ),
        on_demand=OnDemand(
            allow=("*.shops.example", "b.example"),
            ask="http://127.0.0.1:9000/ask",
            ask_timeout=2.0,
            remember=86400.0,
            per_hour=5,
            names=50,
        ),
    )


def test_the_staging_server(tmp_path: Path) -> None:
    assert check(tmp_path, BASE + "staging = true").mistakes == ()
    options = load(tmp_path / "site.toml").tls.acme
    assert options is not None
    assert options.directory_url == STAGING


LISTED = "[[tls.acme.certificate]]\nnames = "
DEMAND = "[tls.acme.on_demand]\n"
MISTAKES = [
    (LISTENERS + SITE + "[tls.acme]", 'tls.acme.agree: read the terms of service of the server, and write "agree = true"'),
    (BASE + 'directory = "http://ca"', 'tls.acme.directory: "http://ca" is no URL that begins with https://'),
    (BASE + 'directory = "https://ca"\nstaging = true', "tls.acme.staging: directory names a server"),
    (BASE + 'ca = "gone.pem"', 'tls.acme.ca: the file "{here}/gone.pem" does not exist'),
    (BASE + 'contact = "ops"', 'tls.acme.contact: "ops" is no mail address'),
    (BASE + 'contact = ["a@b.c", "a@b.c,d@e.f"]', 'tls.acme.contact[1]: "a@b.c,d@e.f" is no mail address'),
    (BASE + 'challenges = ["dns-01", "http-01"]', 'tls.acme.challenges[0]: "dns-01" needs your DNS server'),
    (BASE + 'challenges = ["http", "http-01"]', 'tls.acme.challenges[0]: "http" is not known'),
    (BASE + 'challenges = ["http-01", "http-01"]', 'tls.acme.challenges[1]: "http-01" stands there twice'),
    (BASE + "challenges = []", "tls.acme.challenges: "),
    (BASE + 'key_type = "dsa"', 'tls.acme.key_type: "dsa" is none of the choices'),
    (BASE + "certificates = 5", 'unknown key "certificates"; did you mean "certificate"?'),
    (
        LISTENERS.replace(":443", ":8443").replace(":80\"", ":8080\"") + SITE + ACME,
        "tls.acme.challenges: warning: no listener is on port 443 or 80, which the server connects to",
    ),
    (
        '[[listener]]\naddress = ":443"\ntls = true\n' + SITE + ACME + 'challenges = "http-01"',
        'tls.acme.challenges: http-01 needs a listener without TLS, with address = ":80"',
    ),
    (SITE + ACME, 'tls.acme: no listener has "tls = true": nothing would use the certificates'),
    (BASE + LISTED + '["*.a.example"]', '"*.a.example": there are no certificates for patterns without dns-01'),
    (BASE + LISTED + '["127.0.0.1"]', '"127.0.0.1" is an address'),
    (BASE + LISTED + '["intranet"]', '"intranet" is no public name'),
    (BASE + LISTED + '["a b.c"]', '"a b.c" is no host name'),
    (BASE + LISTED + "[]", "tls.acme.certificate[0].names: "),
    (BASE + LISTED + '["a.example", "A.example."]', 'names[1]: "A.example." stands there twice'),
    (BASE + LISTED + '["b.example"]\n' + LISTED + '["b.example"]', 'certificate[1].names[0]: "b.example" stands there twice'),
    (BASE + LISTED + str([f"n{number}.example" for number in range(101)]), "a certificate has 100 names at most"),
    (BASE.replace("a.example", "*.a.example"), 'site[0].hosts[0]: "*.a.example": there are no certificates for patterns'),
    (BASE.replace("a.example", "localhost"), "tls.acme: no site has a public name to get a certificate for"),
    (LISTENERS + SITE + "[tls]\ninternal = true\n" + ACME, "list the names for ACME in [[tls.acme.certificate]]"),
    (BASE + '[tls.acme.external_account]\nkey_id = "a"\nkey = "?"', "external_account.key: it is no base64url text"),
    (BASE + '[tls.acme.external_account]\nkey_id = "a"\nkey = ""', "external_account.key: it is no base64url text"),
    (BASE + '[tls.acme.external_account]\nkey_id = ""\nkey = "c2VjcmV0"', "external_account.key_id: it is empty"),
    (BASE + '[tls.acme.external_account]\nkey = "c2VjcmV0"', "key_id"),
    (BASE + DEMAND, "tls.acme.on_demand: anybody could have certificates made: write allow"),
    (BASE + DEMAND + 'allow = "*"', 'tls.acme.on_demand.allow: "*" allows anybody'),
    (BASE + DEMAND + 'allow = ["a.example", "a*.example"]', "tls.acme.on_demand.allow[1]: "),
    (BASE + DEMAND + 'ask = "127.0.0.1:9000"', 'tls.acme.on_demand.ask: "127.0.0.1:9000" is no http:// or https:// URL'),
    (BASE + DEMAND + 'ask = "http://127.0.0.1/a#b"', "tls.acme.on_demand.ask: a fragment"),
    (BASE + DEMAND + 'ask = "http://a"\nper_hour = 0', "tls.acme.on_demand.per_hour: "),
    (BASE + DEMAND + 'ask = "http://a"\nask_timeout = "2h"', "tls.acme.on_demand.ask_timeout: "),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES, ids=[message[:40] for _, message in MISTAKES])
def test_mistakes(text: str, message: str, tmp_path: Path) -> None:
    lines = told(tmp_path, text)
    assert len(lines) == 1, lines
    assert message.format(here=tmp_path) in lines[0]


def test_a_socket_from_systemd_may_be_on_the_right_port(tmp_path: Path) -> None:
    named = LISTENERS.replace(":443", "systemd:https").replace(":80", "systemd:http") + SITE + ACME
    assert told(tmp_path, named) == []
    assert told(tmp_path, named + 'challenges = "http-01"') == []


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    (line,) = told(tmp_path, BASE + '[tls.acme.external_account]\nkey_id = "a"\nkey = "not base64 at all!"')
    assert "not base64" not in line


def test_patterns_are_had_on_demand_or_from_files(tmp_path: Path) -> None:
    (tmp_path / "wild.pem").touch()
    text = BASE.replace("a.example", "*.a.example")
    assert told(tmp_path, text + DEMAND + 'allow = "*.a.example"') == []
    assert told(tmp_path, text.replace("[tls.acme]", '[tls]\ncertificates = "wild.pem"\n[tls.acme]')) == [
        # A file may be for all of them, and then there is nothing to be had.
        "12:6: tls.acme: no site has a public name to get a certificate for: list names in [[tls.acme.certificate]]"
    ]


def test_the_extra_may_be_missing() -> None:
    config = Config(
        listeners=(Listener(address=":443", tls=True),),
        sites=(Site(hosts=("a.example",)),),
        tls=TLSOptions(acme=AcmeOptions(agree=True)),
    )
    assert list(check_acme(config, lambda: True)) == []
    (mistake,) = check_acme(config, lambda: False)
    assert "pip install 'txrevproxy[acme]'" in str(mistake)
