"""How many names may be had on demand: limits of an hour and in all, kept in the state folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.logger import Logger

from revproxy.certificates.acme.ondemand import HOUR, Permission
from revproxy.certificates.acme.renewal import Progress
from revproxy.certificates.acme.store import Store
from revproxy.certificates.collection import InThread
from revproxy.config.acme_tables import OnDemand

_log = Logger()
_BEGAN: Final = "began.json"


class Admission:
    """Lets names in that clients asked for. Only the process with the lock uses it."""

    def __init__(self, options: OnDemand, permission: Permission, store: Store, in_thread: InThread) -> None:
        self._options = options
        self._permission = permission
        self._store = store
        self._in_thread = in_thread
        self._said: tuple[str, float] = ("", 0.0)

    async def admit(
        self, progress: dict[str, Progress], is_covered: Callable[[str], bool], now: float
    ) -> set[str]:
        """Which names may be looked at now; new ones are put into ``progress``. ``now`` is seconds since 1970."""
        options, store, in_thread = self._options, self._store, self._in_thread
        requested = await in_thread(store.requested)
        if not requested:
            return set()
        admitted: set[str] = set()
        count = sum(each.on_demand for each in progress.values())
        began = len(await in_thread(self._began, now))
        for since, name in requested:
            # Whoever still wants a name that waited for an hour has asked again.
            if is_covered(name) or self._permission.known(name) is False or now - since > HOUR:
                await in_thread(store.fulfil, name)
                continue
            if began + len(admitted) >= options.per_hour:
                self._say(f"there were {options.per_hour} in the last hour", "per_hour", now)
                break
            if name not in progress:
                if count >= options.names:
                    self._say(f"there are {count} of them", "names", now)
                    await in_thread(store.fulfil, name)
                    continue
                count += 1
                progress[name] = Progress((name,), on_demand=True)
            admitted.add(name)
        return admitted

    def _say(self, limit: str, setting: str, now: float) -> None:
        """Once an hour."""
        if self._said[0] == setting and now - self._said[1] < HOUR:
            return
        self._said = (setting, now)
        _log.warn(
            "ACME: no further names on demand for now: {limit} (tls.acme.on_demand.{setting})",
            limit=limit,
            setting=setting,
        )

    async def begins(self, now: float) -> None:
        """One of them is ordered."""
        await self._in_thread(self._note, now)

    def _note(self, now: float) -> None:
        self._store.write_json(_BEGAN, {"times": [*self._began(now), now]})

    def _began(self, now: float) -> list[float]:
        """When those of the last hour were ordered."""
        found = self._store.read_json(_BEGAN).get("times")
        times = found if isinstance(found, list) else []
        return [float(each) for each in times if isinstance(each, int | float) and now - HOUR < each <= now]
