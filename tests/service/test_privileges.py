"""Root is given up: whom twistd will be, and what goes along."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path
from typing import Any

import pytest

from revproxy.config.model import Config, Listener, TLSOptions
from revproxy.service.access_log import AccessLog
from revproxy.service.privileges import Identity, concerns, give_log, new_identity

NOBODY = pwd.getpwnam("nobody")


@pytest.mark.parametrize(
    ("said", "identity"),
    [
        ({"uid": NOBODY.pw_uid, "gid": None}, Identity(NOBODY.pw_uid, NOBODY.pw_gid)),
        ({"uid": NOBODY.pw_uid, "gid": 7}, Identity(NOBODY.pw_uid, 7)),
        ({"uid": 4_000_001, "gid": None}, None),
        ({"uid": None, "gid": 7}, None),
        ({"uid": None, "gid": None}, None),
        (None, None),
    ],
)
def test_the_group_goes_with_the_user(said: dict[str, Any] | None, identity: Identity | None) -> None:
    assert new_identity(said) == identity


@pytest.mark.parametrize(("euid", "owner", "given"), [(0, 0, True), (1000, 0, False), (0, 33, False)])
def test_a_log_of_roots_is_given_away(
    euid: int, owner: int, given: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: euid)
    monkeypatch.setattr(os, "fchown", lambda fd, uid, gid: changes.append((uid, gid)))
    log = AccessLog(str(tmp_path / "access.log"), "json")
    found = os.stat_result((stat.S_IFREG, 0, 0, 1, owner, 0, 0, 0, 0, 0))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", lambda fd: found)
        give_log(log, Identity(1000, 1001))
    assert changes == ([(1000, 1001)] if given else [])
    give_log(log, None)
    give_log(None, Identity(1000, 1001))
    give_log(AccessLog("-", "json"), Identity(1000, 1001))
    assert len(changes) == int(given)
    log.close(0.0)


def test_running_as_root_is_said() -> None:
    [text] = concerns(Config(), 0)
    assert text.startswith("running as root, which nothing here needs: use twistd --uid and --gid")
    assert list(concerns(Config(), 1000)) == []


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("exists", [True, False])
def test_a_state_folder_that_root_made(
    allowed: bool, exists: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "state"
    if exists:
        folder.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: allowed)
    secured = (Listener(address=":443", tls=True),)
    config = Config(listeners=secured, tls=TLSOptions(internal=True, state=str(folder)))
    wrong = exists and not allowed
    assert list(concerns(config, 1000)) == (
        [f"the folder {folder} (tls.state) can't be written by user id 1000: chown -R 1000 {folder}"] if wrong else []
    )
    # Nothing is kept there: nothing to say.
    assert list(concerns(Config(listeners=secured, tls=TLSOptions(state=str(folder))), 1000)) == []
    assert list(concerns(Config(tls=TLSOptions(internal=True, state=str(folder))), 1000)) == []
