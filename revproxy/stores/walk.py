"""Something that is done to every response that selections name: a part in one transaction, the rest in turns of its
own, so that neither this reactor nor other workers wait for long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from revproxy.interfaces import Selection
from revproxy.stores.changes import Change
from revproxy.stores.folder import Folder
from revproxy.stores.tables import ID, Writing

STEP: Final = 256
"""Responses in one transaction, at most."""

Act = Callable[[Writing, bytes, Change], int]
"""Does it to a response with this id, if the change concerns it; 1 if it counts."""


class Walk:
    """A walk through a folder. What comes while it lasts is left alone: it began afterwards, or it is not stored."""

    def __init__(self, folder: Folder, selections: list[Selection], act: Act, reactor: IReactorTime) -> None:
        self._folder = folder
        self._left = [*selections]
        self._selections = selections
        self._act = act
        self._reactor = reactor
        self._count = 0
        self._place = b""
        self._last = 0
        self._steps = 0
        self._generation = 0
        self._call: IDelayedCall | None = None
        self._done: Deferred[int] | None = None

    def start(self) -> int | Deferred[int]:
        """How many it was done to."""
        if self._left:
            self._step()
        # Several small selections are done at once, a large one is not.
        while self._left and not self._place:
            self._step()
        if not self._left:
            return self._count
        self._done = Deferred()
        self._call = self._reactor.callLater(0, self._go_on)
        return self._done

    def stop(self) -> None:
        """Ends it here."""
        self._left = []
        if self._call is not None and self._call.active():
            self._call.cancel()
        if self._done is not None and not self._done.called:
            self._done.callback(self._count)

    @property
    def is_done(self) -> bool:
        return not self._left

    def _go_on(self) -> None:
        self._step()
        if self._left:
            self._call = self._reactor.callLater(0, self._go_on)
        elif self._done is not None:
            self._done.callback(self._count)

    def _step(self) -> None:
        count = self._count
        if not self._generation:
            self._folder.open()
            self._generation = self._folder.environment.generation
        wrote = self._folder.write("a purge was not written", self._work, must=True)
        if not wrote or self._folder.environment.generation != self._generation:
            # All of it is gone, or there is nothing that could be purged.
            self._count = count
            self._left = []

    def _work(self, writing: Writing) -> bool:
        counts = writing.counts
        if not self._last:
            self._last = counts.next_id
            for selection in self._selections:
                writing.order(Change(selection=selection))
        selection = self._left[0]
        found, place = writing.candidates(selection, self._place, STEP)
        change = Change(selection=selection)
        count = sum(self._act(writing, number, change) for number in found if ID.unpack(number)[0] <= self._last)
        if selection.everything:
            if place and ID.unpack(place)[0] > self._last:
                place = b""
            if place and counts.floor < self._last:
                # They are gone at once; only the room is made in steps.
                count += writing.count_between(counts.floor, place, self._last)
                counts.floor = self._last
        self._count += count
        self._place = place
        self._steps += 1
        if not place:
            self._left = self._left[1:]
        if not self._left and self._steps > len(self._selections):
            # Whoever keeps copies dropped them at the beginning, and may have found some of them here again since.
            for selection in self._selections:
                writing.note_change(Change(selection=selection))
        return True
