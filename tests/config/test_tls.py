"""The TLS tables: what they mean, and every mistake that can be seen without looking into a certificate."""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import pytest

from revproxy.config.load import Examination, examine, load
from revproxy.config.model import HSTS, Config, Listener, Route, Site, SiteTLS, TLSOptions, UpstreamTLS
from revproxy.config.schema import schema
from revproxy.config.validate import validate

LISTENER = '[[listener]]\naddress = ":443"\ntls = true\n'
SITE = '[[site]]\nhosts = ["a.example"]\n[[site.route]]\nproxy = "http://a"\n'
INTERNAL = "[tls]\ninternal = true\n"


def check(folder: Path, text: str) -> Examination:
    file = folder / "site.toml"
    file.write_text(text)
    return examine(file)


def told(folder: Path, text: str) -> list[str]:
    return [str(mistake).partition("site.toml:")[2] for mistake in check(folder, text).mistakes]


def test_everything_that_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "certs").mkdir()
    (tmp_path / "one.pem").touch()
    (tmp_path / "ca.pem").touch()
    (tmp_path / "crl.pem").touch()
    text = f"""
        {LISTENER}
        [[listener]]
        address = ":80"
        redirect_to_https = 301
        [tls]
        certificates = ["certs", "one.pem"]
        profile = "modern"
        default = "a.example"
        unknown_name = "refuse"
        internal = true
        misdirected = true
        ocsp_stapling = false
        state = "state"
        [[site]]
        hosts = ["a.example"]
        redirect_to_https = true
        [site.tls]
        client_certificates = "optional"
        client_ca = "ca.pem"
        client_crl = "crl.pem"
        client_subject = "X-SSL-Client-S-DN"
        profile = "intermediate"
        hsts = {{ max_age = "365d", include_subdomains = true, preload = true }}
        [[site.route]]
        proxy = "http://a"
    """
    examination = check(tmp_path, text)
    assert examination.mistakes == ()
    config = load(tmp_path / "site.toml")
    assert [listener.tls for listener in config.listeners] == [True, False]
    assert [listener.redirect_to_https for listener in config.listeners] == [0, 301]
    assert config.tls == TLSOptions(
        certificates=(str(tmp_path / "certs"), str(tmp_path / "one.pem")),
        profile="modern",
        default="a.example",
        unknown_name="refuse",
        internal=True,
        misdirected=True,
        ocsp_stapling=False,
        state=str(tmp_path / "state"),
    )
    (site,) = config.sites
    assert site.redirect_to_https == 308
    assert site.tls == SiteTLS(
        client_certificates="optional",
        client_ca=str(tmp_path / "ca.pem"),
        client_crl=str(tmp_path / "crl.pem"),
        client_subject="X-SSL-Client-S-DN",
        profile="intermediate",
        hsts=HSTS(max_age=365 * 86400, include_subdomains=True, preload=True),
    )


def test_short_forms(tmp_path: Path) -> None:
    (tmp_path / "certs").mkdir()
    text = LISTENER + '[tls]\ncertificates = "certs"\n' + SITE + '[site.tls]\nhsts = "365d"\n'
    config = check(tmp_path, text).config
    assert config is not None
    assert config.tls.certificates == (str(tmp_path / "certs"),)
    assert config.sites[0].tls.hsts == HSTS(max_age=365 * 86400)
    assert TLSOptions(certificates="certs").certificates == ("certs",)  # type: ignore[arg-type]  # read as one
    assert Listener(address=":80", redirect_to_https=True).redirect_to_https == 308
    assert Site(redirect_to_https=False).redirect_to_https == 0


def test_files_of_an_upstream_are_seen_from_the_folder_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    text = """
        [[site]]
        hosts = ["*"]
        [[site.route]]
        proxy = "app"
        [upstream.app]
        servers = ["https://app.example"]
        [upstream.app.tls]
        ca = "file"
        certificate = "file"
        key = "file"
    """
    config = check(tmp_path, text).config
    assert config is not None
    here = str(tmp_path / "file")
    assert config.upstreams[0].tls == UpstreamTLS(ca=here, certificate=here, key=here)


def test_the_schema_takes_the_short_forms() -> None:
    definitions = schema()["$defs"]
    certificates = definitions["TLSOptions"]["properties"]["certificates"]
    assert {"type": "string"} in certificates["anyOf"]
    redirect = definitions["Listener"]["properties"]["redirect_to_https"]
    assert (redirect["enum"], redirect["default"]) == ([True, False, 301, 308], False)


MISTAKES = [
    (
        LISTENER + SITE,
        "3:1: listener[0].tls: there are no certificates: name files or folders in tls.certificates, or write"
        ' "tls.internal = true"',
    ),
    (
        LISTENER + SITE + '[tls]\ncertificates = "nowhere"',
        '9:1: tls.certificates: the file or folder "{here}/nowhere" does not exist',
    ),
    (
        LISTENER + SITE + '[tls]\ncertificates = [""]\ninternal = true',
        "9:17: tls.certificates[0]: ",
    ),
    (LISTENER + SITE + INTERNAL + 'default = "a b"', '10:1: tls.default: "a b" is no host name'),
    (LISTENER + SITE + INTERNAL + 'profile = "old"', '10:1: tls.profile: "old" is none of the choices'),
    (LISTENER + SITE + INTERNAL + 'unknown_name = "refused"', 'did you mean "refuse"?'),
    (LISTENER + SITE + INTERNAL + 'state = "file"', '10:1: tls.state: "{here}/file" is no folder'),
    (LISTENER + SITE + INTERNAL + 'certificate = "file"', 'unknown key "certificate"; did you mean "certificates"?'),
    (SITE + "redirect_to_https = 302", "redirect_to_https"),
    (SITE + '[[listener]]\naddress = ":80"\nredirect_to_https = 302', "true, false, 301 or 308 is expected"),
    (
        LISTENER + "redirect_to_https = true\n" + SITE + INTERNAL,
        "4:1: listener[0].redirect_to_https: what comes over TLS needs no redirect: take it away",
    ),
    (
        SITE + '[[listener]]\naddress = ":80"\nredirect_to_https = true',
        '7:1: listener[0].redirect_to_https: warning: no listener has "tls = true"',
    ),
    (SITE + "[tls]\ncertificates = 'file'", '6:1: tls.certificates: warning: no listener has "tls = true"'),
    (
        LISTENER + SITE + '[site.tls]\nclient_certificates = "required"\n' + INTERNAL,
        "9:1: site[0].tls.client_certificates: client_ca is missing",
    ),
    (
        LISTENER + SITE + '[site.tls]\nclient_certificates = "require"\n' + INTERNAL,
        'did you mean "required"?',
    ),
    (
        SITE + '[site.tls]\nclient_certificates = "required"\nclient_ca = "file"',
        '6:1: site[0].tls.client_certificates: no listener has "tls = true": no client can show a certificate',
    ),
    (
        LISTENER + SITE + '[site.tls]\nclient_certificates = "required"\nclient_ca = "gone"\n' + INTERNAL,
        '10:1: site[0].tls.client_ca: the file "{here}/gone" does not exist',
    ),
    (
        LISTENER + SITE + '[site.tls]\nclient_certificates = "required"\nclient_ca = "."\n' + INTERNAL,
        '10:1: site[0].tls.client_ca: "{here}" is a folder, not a file',
    ),
    (
        LISTENER + SITE + '[site.tls]\nclient_ca = "file"\n' + INTERNAL,
        '9:1: site[0].tls.client_ca: warning: has no effect without client_certificates = "required" or "optional"',
    ),
    (
        LISTENER
        + SITE
        + '[site.tls]\nclient_certificates = "optional"\nclient_ca = "file"\nclient_subject = "X-User"\n'
        + INTERNAL,
        '11:1: site[0].tls.client_subject: "X-User": the name must begin with "X-SSL-Client-" or "SSL-Client-"',
    ),
    (SITE + '[site.tls]\nhsts = "1d"', "6:1: site[0].tls.hsts: warning: no listener"),
    (
        LISTENER + SITE + '[site.tls]\nhsts = "soon"\n' + INTERNAL,
        '9:1: site[0].tls.hsts.max_age: "soon" is no duration',
    ),
    (LISTENER + SITE + "[site.tls]\nhsts = true\n" + INTERNAL, "text in quotes or a table is expected"),
    (
        LISTENER
        + SITE
        + '[site.tls]\nhsts = { max_age = "1d", include_subdomains = true, preload = true }\n'
        + INTERNAL,
        "9:53: site[0].tls.hsts.preload: the browsers' lists take only sites with include_subdomains",
    ),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_mistakes(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    lines = told(tmp_path, text)
    assert len(lines) == 1, lines
    assert message.format(here=tmp_path) in lines[0]


def test_what_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    # Root may read everything, and tests may run as root.
    monkeypatch.setattr(os, "access", lambda file, mode: False)
    (line,) = told(tmp_path, LISTENER + SITE + "[tls]\ncertificates = 'file'")
    assert "can't be read: no permission" in line


def test_python_is_checked_as_well() -> None:
    site = Site(hosts=("a.example",), routes=(Route(proxy="http://a"),))
    good = Config(listeners=(Listener(address=":443", tls=True),), sites=(site,), tls=TLSOptions(internal=True))
    assert validate(good) == []
    wrong = attrs.evolve(good, listeners=(*good.listeners, Listener(address=":80", redirect_to_https=302)))
    (mistake,) = validate(wrong)
    assert (mistake.path, mistake.text) == (
        ("listeners", 1, "redirect_to_https"),
        "True, False, 301 or 308 is expected, not int",
    )
