"""A request whose stored responses are far away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from revproxy.caching.controls import RequestControls
from revproxy.caching.stored import StoredResponse
from revproxy.errors import ProxyError
from revproxy.interfaces import Request

if TYPE_CHECKING:
    from revproxy.resources.caching import CachingResource

_log = Logger()


class Lookup:
    """A request that waits for a store that is far away."""

    __slots__ = ("_alone", "_cache", "_controls", "_gone", "_key", "_request")

    def __init__(
        self, cache: CachingResource, request: Request, controls: RequestControls, key: bytes, *, alone: bool = False
    ) -> None:
        self._cache = cache
        self._alone = alone
        self._request = request
        self._controls = controls
        self._key = key
        self._gone = False
        request.source = self

    def wait(self, found: Deferred[tuple[StoredResponse, ...]]) -> None:
        """Goes on when the store answers; what fails there is found to be nothing."""
        found.addErrback(lambda failure: ()).addCallback(self._found).addErrback(self._failed)

    def _found(self, found: tuple[StoredResponse, ...]) -> None:
        if not self._gone:
            self._request.source = None
            self._cache.found(self._request, self._controls, self._key, found, alone=self._alone)

    def _failed(self, failure: Failure) -> None:
        _log.failure("{id}: a request failed behind the store's answer", failure, id=self._request.request_id.decode())
        self._request.fail(ProxyError(f"the cache failed: {failure.value!r}"))

    def pause(self) -> None:
        """Nothing is sent yet."""

    def resume(self) -> None:
        """Nothing is sent yet."""

    def cancel(self, error: ProxyError) -> None:
        """The client is gone."""
        self._gone = True

