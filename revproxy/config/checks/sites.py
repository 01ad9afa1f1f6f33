"""Sites: host names that are names, each served by one site."""

from __future__ import annotations

from collections.abc import Iterator

from revproxy.config.checks.routes import check_routes
from revproxy.config.hosts import normal_pattern
from revproxy.config.mistakes import Mistake, Path
from revproxy.config.model import Config, Site


def check_sites(config: Config) -> Iterator[Mistake]:
    """Mistakes in the sites and all that is in them."""
    seen: dict[str, tuple[int, Path]] = {}
    for number, site in enumerate(config.sites):
        yield from _check_hosts(site, number, seen)
        yield from check_routes(config, site, ("sites", number, "routes"))


def _check_hosts(site: Site, number: int, seen: dict[str, tuple[int, Path]]) -> Iterator[Mistake]:
    for place, host in enumerate(site.hosts):
        path: Path = ("sites", number, "hosts", place)
        try:
            name = normal_pattern(host)
        except ValueError as error:
            yield Mistake(path=path, text=str(error))
            continue
        if name not in seen:
            seen[name] = (number, path)
            continue
        other, other_path = seen[name]
        which = "this site" if other == number else f"site {other + 1} of the file"
        what = "the default for all other names" if name == "*" else f'"{name}"'
        yield Mistake(path=path, text=f"{what} is listed already by {which}", related=(other_path,))
