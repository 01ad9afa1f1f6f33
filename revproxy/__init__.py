"""revproxy: an event-driven reverse proxy on Twisted."""

from revproxy._version import VERSION as __version__

__all__ = ["__version__"]
