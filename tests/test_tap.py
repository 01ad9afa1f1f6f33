"""The options of ``twistd revproxy``, where no server need be started to see them."""

from __future__ import annotations

import subprocess
import sys

import twisted
from revproxy._version import VERSION


def test_version_tells_ours_and_twisteds() -> None:
    # In a process of its own: the options install a reactor.
    asked = "from revproxy.tap import Options; Options().parseOptions(['--version'])"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout == f"revproxy {VERSION}, Twisted {twisted.__version__}\n"
    assert done.stderr == ""
