"""``revproxy explain`` as a process: whoever asks a server runs a reactor, and that can be done once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def explained(folder: Path, *arguments: str) -> tuple[int, str]:
    """The exit code, and what was printed."""
    run = subprocess.run(
        [sys.executable, "-m", "revproxy.cli", "explain", *arguments],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    return run.returncode, run.stdout + run.stderr
