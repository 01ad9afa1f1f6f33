"""What is told of a request, as values: ``text.py`` prints them for people, ``--json`` as they are."""

from __future__ import annotations

import attrs

from revproxy.caching.reasons import Reason


@attrs.frozen(kw_only=True)
class Verdict:
    """A decision of the policy, with the reason that it branched on."""

    decision: str
    """In a few words: "answered from the store", "stored, fresh for 60 s" ..."""
    detail: str
    """The token by which logs and Cache-Status call the reason."""
    reason: str
    source: str
    """The RFC and section, or the key of the configuration."""
    remedy: str
    """How to change it; empty where nothing need or can be done."""

    def __str__(self) -> str:
        said = f"{self.decision}: {self.reason}, {self.source}"
        return f"{said}; {self.remedy}" if self.remedy else said

    @classmethod
    def of(cls, decision: str, reason: Reason) -> Verdict:
        """With all that the reason says of itself."""
        return cls(
            decision=decision,
            detail=reason.detail,
            reason=reason.sentence,
            source=reason.source,
            remedy=reason.remedy,
        )


@attrs.frozen(kw_only=True)
class OtherRoute:
    """A route that takes the path and was not chosen."""

    path: str
    place: str
    why: str


@attrs.frozen(kw_only=True)
class RouteTaken:
    """How the request finds its route; ``path`` is empty where it finds none."""

    hosts: tuple[str, ...]
    site_place: str
    path: str
    place: str
    target: str
    others: tuple[OtherRoute, ...]
    elsewhere: int
    """Routes of the site whose paths don't match."""


@attrs.frozen(kw_only=True)
class CacheExplained:
    """What the cache of the route does with the request, and with its answer."""

    options: tuple[str, ...]
    """Those that differ from the defaults."""
    place: str
    key: str
    counted: tuple[str, ...]
    """What counts beside the URL."""
    store: str
    request: Verdict
    status: int | None = None
    """Of the answer that is explained; None where there is none."""
    answer: tuple[str, ...] = ()
    """The fields of that answer that matter to a cache."""
    response: tuple[Verdict, ...] = ()
    """What is decided about it, in order."""


@attrs.frozen(kw_only=True)
class Explanation:
    """All of it. Where the request ends early, the rest is None, and ``ends`` says how it ends."""

    request: str
    listener: str
    note: str = ""
    route: RouteTaken | None = None
    cache: CacheExplained | None = None
    uncached: str = ""
    """Why there is nothing to say of a cache."""
    ends: str = ""
    trouble: str = ""
    """Why the server could not be asked."""
