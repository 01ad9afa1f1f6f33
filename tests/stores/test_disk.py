"""The disk store: the contract."""

from __future__ import annotations

import shutil

from twisted.internet.task import Clock

from revproxy.interfaces import IStore
from revproxy.stores.disk import DiskStore
from tests.stores import contract
from tests.stores.contract import LARGEST, MOST
from tests.stores.responses import new_folder


class DiskTests(contract.BoundedContract):
    def make_store(self, most: int = MOST, largest: int = LARGEST) -> IStore:
        folder = new_folder()
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.clock = Clock()
        store = DiskStore(folder, most, largest, self.clock)
        self.addCleanup(store.stop)
        return store
