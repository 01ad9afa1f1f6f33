from __future__ import annotations

import pytest

from revproxy.config.addresses import SystemdAddress, TcpAddress, UnixAddress, overlap, parse_listener, parse_server


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":8080", TcpAddress("", 8080)),
        (":0", TcpAddress("", 0)),
        ("127.0.0.1:8080", TcpAddress("127.0.0.1", 8080)),
        ("[::1]:80", TcpAddress("::1", 80)),
        ("[0:0:0:0:0:0:0:1]:80", TcpAddress("::1", 80)),
        ("unix:/run/x.sock", UnixAddress("/run/x.sock")),
        ("systemd:web", SystemdAddress("web")),
        ("systemd:revproxy@a b.socket", SystemdAddress("revproxy@a b.socket")),
        ("systemd:" + "x" * 255, SystemdAddress("x" * 255)),
    ],
)
def test_listener(text: str, address: object) -> None:
    assert parse_listener(text) == address


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("8080", 'write ":8080"'),
        ("127.0.0.1", "names no port"),
        (":99999", "no port"),
        (":-1", "no port"),
        (":", "no port"),
        (":http", "no port"),
        ("localhost:80", 'write "127.0.0.1:80"'),
        ("example.com:80", "takes no names"),
        ("::1:80", "needs brackets"),
        ("[::g]:80", "no IPv6 address"),
        ("[::1]", "names no port"),
        ("http://127.0.0.1:80", "is a URL"),
        ("unix:run/x.sock", "absolute"),
        ("unix:", "absolute"),
        ("unix:///run/x.sock", 'write "unix:/run/x.sock"'),
        ("unix:/run/", "folder"),
        ("unix:/" + "x" * 200, "longer than 107"),
        ("unix:/a\0b", "control character"),
        ("systemd:", 'write "systemd:NAME"'),
        ("systemd:a:b", "other than a colon"),
        ("systemd:web\n", "printable"),
        ("systemd:bücher", "ASCII"),
        ("systemd:" + "x" * 256, "longer than 255"),
        ("a:b:c", "no address"),
    ],
)
def test_no_listener(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_listener(text)


@pytest.mark.parametrize(
    ("text", "address", "url"),
    [
        ("http://127.0.0.1:8000", TcpAddress("127.0.0.1", 8000), "http://127.0.0.1:8000"),
        ("http://Example.COM/", TcpAddress("example.com", 80), "http://example.com:80"),
        ("HTTP://app_1:80", TcpAddress("app_1", 80), "http://app_1:80"),
        ("http://[::1]:81", TcpAddress("::1", 81), "http://[::1]:81"),
        ("https://a.example", TcpAddress("a.example", 443, secure=True), "https://a.example:443"),
        ("HTTPS://[::1]:8443", TcpAddress("::1", 8443, secure=True), "https://[::1]:8443"),
        ("http://bücher.example", TcpAddress("xn--bcher-kva.example", 80), "http://xn--bcher-kva.example:80"),
        ("unix:/run/app.sock", UnixAddress("/run/app.sock"), "unix:/run/app.sock"),
    ],
)
def test_server(text: str, address: TcpAddress | UnixAddress, url: str) -> None:
    assert parse_server(text) == address
    assert address.url == url
    assert parse_server(url) == address


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ftp://10.0.0.1", "a server is"),
        ("10.0.0.1:80", "no server"),
        ("http://", "names no host"),
        ("http://:80", "names no host"),
        ("http://a/b", 'write "http://a"'),
        ("http://a?b", "query"),
        ("http://a/#b", "fragment"),
        ("http://a:0", "1 to 65535"),
        ("http://a:65536", "no port"),
        ("http://a:", "no port"),
        ("http://a b", "no host name"),
        ("http://a\r\nb", "no host name"),
        ("http://::1:80", "needs brackets"),
        ("http://[::1", "no server"),
        ("http://1.2.3.4.5", "no IPv4 address"),
        ("unix:x", "absolute"),
    ],
)
def test_no_server(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_server(text)


def test_password_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="user name") as caught:
        parse_server("http://me:secret@host/")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (":80", ":80", True),
        (":80", ":81", False),
        (":80", "127.0.0.1:80", True),
        ("[::1]:80", ":80", True),
        ("0.0.0.0:80", "127.0.0.1:80", True),
        ("0.0.0.0:80", "[::1]:80", False),
        ("[::]:80", "[::1]:80", True),
        ("127.0.0.1:80", "127.0.0.2:80", False),
        (":0", ":0", False),
        ("unix:/a", "unix:/a", True),
        ("unix:/a", "unix:/b", False),
        ("unix:/a", ":80", False),
        ("systemd:a", "systemd:a", True),
        ("systemd:a", "systemd:b", False),
        ("systemd:a", ":80", False),
        ("systemd:a", "unix:/a", False),
    ],
)
def test_overlap(one: str, other: str, expected: bool) -> None:
    assert overlap(parse_listener(one), parse_listener(other)) is expected
    assert overlap(parse_listener(other), parse_listener(one)) is expected
