"""The soak run, for seconds instead of minutes: it works, and it can tell what is wrong."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from revproxy.config.load import load
from revproxy.errors import ConfigError
from tests.live.support_tls import write_certificates
from tests.soak.__main__ import AFTERMATH, explained, grown, main
from tests.soak.clients import Failure, Kept, Tunnel
from tests.soak.disturbances import DRAIN, Disturbances, Site
from tests.soak.figures import Held


def test_a_few_seconds_of_everything(started: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--minutes", "0.06", "--seed", "1"]) == 0
    shown = capsys.readouterr().out
    assert "no errors" in shown
    assert "after the last upgrade" in shown


def disturbed(*, kills: tuple[float, ...] = (), upgrades: tuple[float, ...] = ()) -> Disturbances:
    made = Disturbances.__new__(Disturbances)
    made.kills, made.upgrades = list(kills), list(upgrades)
    return made


@pytest.mark.parametrize(
    ("kind", "began", "ended", "kills", "upgrades", "known"),
    [
        (Kept.kind, 100.0, 100.1, (), (), False),
        (Kept.kind, 100.0, 100.1, (100.05,), (), True),
        (Kept.kind, 100.0 + AFTERMATH / 2, 102.0, (100.0,), (), True),
        (Kept.kind, 100.0, 100.1, (101.0,), (), False),
        (Kept.kind, 110.0, 110.1, (100.0,), (), False),
        (Kept.kind, 100.0, 100.1, (), (99.9,), False),
        (Tunnel.kind, 107.0, 107.9, (), (100.0,), True),
        (Tunnel.kind, 100.0, 100.0 + DRAIN + AFTERMATH + 1, (), (100.0,), False),
    ],
)
def test_what_explains_a_loss(
    kind: str, began: float, ended: float, kills: tuple[float, ...], upgrades: tuple[float, ...], known: bool
) -> None:
    failure = Failure(kind, began, ended, "ConnectionResetError")
    assert bool(explained(failure, disturbed(kills=kills, upgrades=upgrades))) is known


def test_growth_is_told() -> None:
    before = Held(3, 100 << 20, 50)
    assert grown([]) == grown([before]) == grown([before, before]) == []
    assert len(grown([before, Held(3, 100 << 20, 80)])) == 1
    assert len(grown([before, Held(3, 160 << 20, 50)])) == 1
    # What came before the last upgrade is of another process.
    assert grown([Held(3, 10 << 20, 1), before, before]) == []


def test_every_version_of_the_site_can_be_used_and_the_next_differs(tmp_path: Path) -> None:
    write_certificates(tmp_path / "certs", "localhost")
    site = Site(tmp_path, "http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3")
    seen = []
    for _ in range(6):
        site.write()
        seen.append(load(str(site.file)))
    assert all(one != other for one, other in pairwise(seen))
    site.write(usable=False)
    with pytest.raises(ConfigError, match="nonsense"):
        load(str(site.file))


