"""A decision of the cache's policy, as it is told."""

from __future__ import annotations

import attrs

from revproxy.caching.reasons import Reason

_OF_THE_ROUTE = " of the route"


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

    @property
    def text(self) -> str:
        """The decision and its reason, without the rule where that is told beside it."""
        said = f"{self.decision}: {self.reason}" if self.decision else self.reason
        if not self.rfc and not self.key:
            said += f", {self.source}"
        return f"{said}; {self.remedy}" if self.remedy else said

    @property
    def rfc(self) -> str:
        """The RFC and section, where it is one's rule."""
        return self.source if self.source.startswith("RFC ") else ""

    @property
    def key(self) -> str:
        """The setting of the route's cache, where it is that one's rule."""
        source = self.source
        return source[len("cache.") : -len(_OF_THE_ROUTE)] if source.endswith(_OF_THE_ROUTE) else ""

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
