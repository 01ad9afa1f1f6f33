"""Tells ``twistd`` that there is a ``revproxy`` command; ``revproxy.tap`` is imported only when it is used."""

from twisted.application.service import ServiceMaker

revproxy = ServiceMaker(
    "revproxy",
    "revproxy.tap",
    "An event-driven reverse proxy: --to URL, or --config FILE.",
    "revproxy",
)
