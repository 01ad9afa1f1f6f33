"""What a route's cache decides, asked of the functions that decide it.

The order is that of ``resources/caching.py`` and ``fetch.py``; a test holds what is said here against the Cache-Status
that they send.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from revproxy.caching.controls import RequestControls
from revproxy.caching.decisions import (
    Forward,
    Freshen,
    GatewayTimeout,
    PassOn,
    Refetch,
    Refuse,
    Revalidate,
    Serve,
    Store,
)
from revproxy.caching.key import KeyOptions, is_canonical, rewriting_field
from revproxy.caching.material import device_of
from revproxy.caching.policy import (
    FAILURES,
    on_failure,
    on_head,
    on_request,
    on_response,
    on_validation,
    validation_fields,
)
from revproxy.caching.reasons import Reason
from revproxy.caching.stored import StoredResponse
from revproxy.caching.vary import matching
from revproxy.explain.question import Probe
from revproxy.explain.values import Verdict
from revproxy.http.fields import Fields
from revproxy.resources.caching import CachingResource

SPEAKING: Final = frozenset(
    (
        b"cache-control cdn-cache-control surrogate-control expires pragma age date etag last-modified vary set-cookie"
        b" content-range content-location"
    ).split()
)
"""Fields of an answer that are shown."""


class CacheWalk:
    """One request on its way through one cache."""

    def __init__(self, resource: CachingResource, keys: KeyOptions, probe: Probe, now: float) -> None:
        self.resource = resource
        self.options = resource.options
        self.probe = probe
        self.now = now
        self.controls = RequestControls(probe.fields)
        self.rewriting = bool(rewriting_field(probe.fields))
        self._keys = keys
        self.key = resource.keys.of(
            probe.public_scheme,
            probe.authority,
            probe.target,
            public_authority=probe.public_authority,
            method=probe.method,
            fields=probe.fields,
            trusted=probe.client.trusted,
        )
        self.url = resource.url_of(probe)
        self.selected: Sequence[StoredResponse] = ()
        self.decision: Serve | Forward | Revalidate | GatewayTimeout | None = None

    @property
    def counted(self) -> tuple[str, ...]:
        """What counts for the key beside the URL."""
        keys = self._keys
        words = [f"cookie {name.decode('ascii')}" for name in keys.cookies]
        words += [f"field {name.decode('ascii')}" for name in keys.headers]
        if keys.device:
            words.append(f"device {device_of(self.probe.fields).decode('ascii')}")
        if self.probe.client.trusted:
            words.append("what the trusted proxy claims")
        return tuple(words)

    def ask(self, found: Sequence[StoredResponse]) -> Verdict:
        """What is done with the request, where this is stored under its key."""
        if self.rewriting:
            self.decision = Forward(Reason.REWRITING_FIELD, False, False, False)
        else:
            self.selected = tuple(matching(found, self.probe.fields, self.now))
            self.decision = on_request(self.probe.method, self.controls, self.selected, found, self.options, self.now)
        decision = self.decision
        if isinstance(decision, Serve):
            what = f"answered from the store, {_age(decision.age)}"
            if decision.stale:
                what += ", stale" + (", and validated in the background" if decision.revalidate else "")
        elif isinstance(decision, Revalidate):
            what = "sent on, to validate what is stored" if decision.add else "sent on"
        elif isinstance(decision, GatewayTimeout):
            what = "answered with 504"
        else:
            what = "sent on"
        return Verdict.of(what, decision.reason)

    @property
    def served_status(self) -> int | None:
        """The status that is answered without a server; None where one is asked."""
        if isinstance(self.decision, Serve):
            return self.decision.stored.head.status
        return 504 if isinstance(self.decision, GatewayTimeout) else None

    def sent(self) -> Probe:
        """The request as the server gets it."""
        asked = self.decision
        if isinstance(asked, Revalidate):
            return self.probe.with_fields(validation_fields(self.probe.fields, asked))
        return self.probe

    def answered(self, status: int, fields: Fields, length: int) -> list[Verdict]:
        """What is done with an answer of the server; ``length`` is its content's, negative where it doesn't tell."""
        verdicts: list[Verdict] = []
        method, now, options, controls = self.probe.method, self.now, self.options, self.controls
        asked = self.decision
        if isinstance(asked, Revalidate) and method != b"HEAD":
            if status in FAILURES:
                failure = on_failure(asked.stored, controls, status, options, now)
                if isinstance(failure, Serve):
                    return [Verdict.of(f"a stored response is sent instead, {_age(failure.age)}", failure.reason)]
                verdicts.append(Verdict.of("the failure is passed on", failure.reason))
            result = on_validation(method, controls, asked, self.selected, status, fields, options, now, now)
            verdicts.append(Verdict.of(_VALIDATED[type(result).__name__], result.reason))
            if isinstance(result, Freshen | PassOn | Refetch | Serve):
                return verdicts
        elif method == b"HEAD" and self.selected:
            heard = on_head(controls, self.selected, status, fields, options, now, now)
            verdicts.append(Verdict.of("what is stored is looked at", heard.reason))
        verdicts.append(self._stored(status, fields, length))
        return verdicts

    def _stored(self, status: int, fields: Fields, length: int) -> Verdict:
        if self.rewriting:
            return Verdict.of("not stored", Reason.REWRITING_FIELD)
        verdict = on_response(
            self.probe.method, self.controls, status, fields, self.options, self.now, self.now,
            key=self.key, url=self.url, selected=self.selected,
        )  # fmt: skip
        if isinstance(verdict, Refuse):
            return Verdict.of("not stored", verdict.reason)
        assert isinstance(verdict, Store)
        if self.resource.is_too_large(length):
            return Verdict.of("not stored", Reason.TOO_LARGE)
        if not is_canonical(self.probe.authority, self.probe.public_scheme):
            return Verdict.of("not stored", Reason.ODD_HOST)
        fresh = f"fresh for {verdict.ttl} s" if verdict.ttl > 0 else "validated before each use"
        return Verdict.of(f"stored, {fresh}", verdict.reason)


_VALIDATED: Final = {
    "Freshen": "what is stored is made fresh, and sent",
    "PassOn": "passed on",
    "Refetch": "the request is sent again, without our conditions",
    "Serve": "a stored response is sent instead",
    "Replace": "what is stored is replaced",
}


def _age(seconds: int) -> str:
    return f"{seconds} s old"


def telling(fields: Fields, targeted: Sequence[bytes] = ()) -> tuple[str, ...]:
    """The fields of an answer by which a cache judges it."""
    return tuple(
        f"{name.decode('latin-1')}: {value.decode('latin-1')}"
        for lower, name, value in fields.lines
        if lower in SPEAKING or lower in targeted
    )
