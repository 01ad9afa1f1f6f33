"""Which site answers for a host, under our own listeners and in a stock Site."""

from __future__ import annotations

import pytest
from twisted.web.resource import IResource, Resource
from twisted.web.static import Data

from revproxy.resources.vhost import VirtualHosts
from tests.support.dialogue import answer
from tests.support.fixtures import MakeProxy
from tests.support.proxy import Proxy


def said(text: bytes) -> Resource:
    """A tree whose root says ``text``."""
    resource = Data(text, "text/plain")
    resource.isLeaf = True
    return resource


def hosts(*names: bytes) -> VirtualHosts:
    tree = VirtualHosts()
    for name in names:
        tree.addHost(name, said(name))
    return tree


NAMES = (b"a.example", b"*.a.example", b"*.b.a.example", b"[::1]", b"192.0.2.1", b"*")
TABLE = [
    (b"a.example", b"a.example"),
    (b"A.Example", b"a.example"),
    (b"a.example:8080", b"a.example"),
    (b"a.example.", b"a.example"),
    (b"a.example.:80", b"a.example"),
    (b"x.a.example", b"*.a.example"),
    (b"y.x.a.example", b"*.a.example"),
    (b"b.a.example", b"*.a.example"),
    (b"x.b.a.example", b"*.b.a.example"),
    (b"xa.example", b"*"),
    (b"[::1]", b"[::1]"),
    (b"[::1]:8080", b"[::1]"),
    (b"192.0.2.1:1", b"192.0.2.1"),
    (b"other", b"*"),
]


@pytest.mark.parametrize(("host", "expected"), TABLE)
def test_the_most_particular_name_wins(make_proxy: MakeProxy, host: bytes, expected: bytes) -> None:
    proxy = make_proxy(root=lambda proxy: hosts(*NAMES))
    client = proxy.client()
    client.send(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
    assert answer(client).body == expected


def test_an_absolute_target_overrides_host(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(root=lambda proxy: hosts(b"a.example", b"b.example"))
    client = proxy.client()
    client.send(b"GET http://B.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n")
    assert answer(client).body == b"b.example"


@pytest.mark.parametrize("host", [b"b.example", b""])
def test_without_a_default_other_names_are_404(make_proxy: MakeProxy, host: bytes) -> None:
    proxy = make_proxy(root=lambda proxy: hosts(b"a.example"))
    client = proxy.client()
    client.send(b"GET / HTTP/1.0\r\n" + (b"Host: %b\r\n" % host if host else b"") + b"\r\n")
    assert answer(client).status == 404


def test_a_host_may_be_removed() -> None:
    tree = hosts(*NAMES)
    for name in NAMES:
        tree.removeHost(name)
    assert [tree.find(host) for host in (b"a.example", b"x.a.example", b"z")] == [None] * 3
    with pytest.raises(KeyError):
        tree.removeHost(b"a.example")


def test_hosts_below_other_trees(make_proxy: MakeProxy) -> None:
    def root(proxy: Proxy) -> IResource:
        top = VirtualHosts()
        inner = hosts(b"a.example", b"*")
        top.addHost(b"*", inner)
        return top

    proxy = make_proxy(root=root)
    client = proxy.client()
    client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
    assert answer(client).body == b"a.example"
