"""``python -m revproxy.demo.twistd ARGUMENTS``: ``twistd`` as the demo starts it.

In a process group of its own, so that Ctrl-C in the terminal reaches the demo only, which then ends this
process once and in order; and, where the system can do it, ended together with a demo that was killed.
"""

import ctypes
import os
import signal
import sys

from twisted.scripts.twistd import run

PR_SET_PDEATHSIG = 1  # from linux/prctl.h

if __name__ == "__main__":
    os.setpgid(0, 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    sys.argv[0] = "twistd"
    run()
