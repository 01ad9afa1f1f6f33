"""``twistd`` with revproxy, whose cached routes keep responses in their folder with no memory in front of it.

Nobody would run it so. It shows what the folder costs: with memory before it, whatever is asked for often comes from
there.
"""

from __future__ import annotations

import revproxy.service.caching

# Before anything has taken the name from there.
revproxy.service.caching.open_store = revproxy.service.caching.open_folder

if __name__ == "__main__":
    from twisted.scripts.twistd import run

    run()
