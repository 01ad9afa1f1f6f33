"""Routes: paths that can match, none in another's shadow, one target each."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from urllib.parse import quote

from revproxy.config.addresses import is_server, parse_server
from revproxy.config.checks.fields import TOKEN, check_changes
from revproxy.config.hosts import normal_host
from revproxy.config.imports import resource_mistake
from revproxy.config.mistakes import Mistake, Path
from revproxy.config.model import Config, Route, Site
from revproxy.config.shape import choices_of_one
from revproxy.config.suggest import did_you_mean

_PATH_OCTETS = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-F]{2})+")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]")
_PROTOCOL = re.compile(rf"{TOKEN}(?:/{TOKEN})?")
_KNOWN_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")


def check_routes(config: Config, site: Site, path: Path) -> Iterator[Mistake]:
    """Mistakes in the routes of one site; ``path`` is where they are."""
    for number, route in enumerate(site.routes):
        here = (*path, number)
        wrong = path_mistake(route.path)
        if wrong:
            yield Mistake(path=(*here, "path"), text=wrong)
        yield from _check_shadow(site.routes, number, path)
        yield from _check_target(config, route, here)
        yield from _check_methods(route, here)
        yield from _check_upgrade(route, here)
        yield from _check_host(route, here)
        yield from check_changes(route.request_headers, (*here, "request_headers"), request=True)
        yield from check_changes(route.response_headers, (*here, "response_headers"), request=False)


def path_mistake(path: str) -> str:
    """Why no request's path can match this one, or empty.

    Routes match a normalised copy of the path (RFC 3986 §6.2.2): what that copy never contains can't be matched.
    """
    if not path.startswith("/"):
        return f'"{path}" must begin with a slash: write "/{path}"'
    if "?" in path or "#" in path:
        return f'"{path}": a route matches the path alone, without "?" and "#"'
    if "//" in path:
        return f'"{path}" never matches: an empty segment is left out of the paths that are compared'
    if any(segment in (".", "..") for segment in path.split("/")):
        return f'"{path}" never matches: "." and ".." are resolved before paths are compared'
    plain = _ESCAPE.sub(_decode_unreserved, path)
    if plain != path:
        return f'"{path}" never matches: escapes are in their shortest form when compared; write "{plain}"'
    if not _PATH_OCTETS.fullmatch(path):
        written = quote(path, safe="/!$&'()*+,;=:@%-._~")
        if _PATH_OCTETS.fullmatch(written):
            return f'"{path}" never matches: a path arrives percent-encoded; write "{written}"'
        return f'"{path}" never matches: "%" must be followed by two hexadecimal digits'
    if "%00" in path:
        return f'"{path}" never matches: an encoded NUL is refused'
    return ""


def _decode_unreserved(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if _UNRESERVED.match(character) else match[0].upper()


def _check_shadow(routes: tuple[Route, ...], number: int, path: Path) -> Iterator[Mistake]:
    route = routes[number]
    for other_number, other in enumerate(routes[:number]):
        if other.path != route.path:
            continue
        both = set(route.methods) & set(other.methods)
        if both or not route.methods or not other.methods:
            what = f" for {', '.join(sorted(both))}" if both else ""
            yield Mistake(
                path=(*path, number, "path"),
                text=f'route {other_number + 1} of this site takes "{route.path}" already{what}',
                related=((*path, number, "methods"), (*path, other_number, "path"), (*path, other_number, "methods")),
            )
            return


def _check_target(config: Config, route: Route, here: Path) -> Iterator[Mistake]:
    for group in choices_of_one(Route):
        written = [each.name for each in group if getattr(route, each.name) is not None]
        names = ", ".join(f'"{each.name}"' for each in group)
        related = tuple((*here, each.name) for each in group)
        if not written:
            yield Mistake(path=here, text=f"the route leads nowhere: one of {names} is needed", related=related)
        elif len(written) > 1:
            both = " and ".join(f'"{name}"' for name in written)
            yield Mistake(
                path=(*here, written[1]), text=f"{both} are both there: one of {names} can be", related=related
            )
    if route.proxy is not None:
        yield from _check_proxy(config, route.proxy, (*here, "proxy"))
    if route.files is not None:
        yield from _check_files(route.files, (*here, "files"))
    if route.resource is not None:
        wrong = resource_mistake(route.resource)
        if wrong:
            yield Mistake(path=(*here, "resource"), text=f"the value {wrong}")


def _check_proxy(config: Config, proxy: str, path: Path) -> Iterator[Mistake]:
    names = [upstream.name for upstream in config.upstreams]
    if is_server(proxy):
        try:
            parse_server(proxy)
        except ValueError as error:
            yield Mistake(path=path, text=str(error))
    elif proxy not in names:
        hint = did_you_mean(proxy, names)
        if ":" in proxy:
            hint = f'; did you mean "http://{proxy}"?'
        yield Mistake(path=path, text=f'there is no upstream "{proxy}"{hint}', related=(("upstreams",),))


def _check_files(folder: str, path: Path) -> Iterator[Mistake]:
    if "\0" in folder or not os.path.exists(folder):
        yield Mistake(path=path, text=f'the folder "{folder}" does not exist')
    elif not os.path.isdir(folder):
        yield Mistake(path=path, text=f'"{folder}" is no folder')
    elif not os.access(folder, os.R_OK | os.X_OK):
        yield Mistake(path=path, text=f'the folder "{folder}" can\'t be read')


def _check_methods(route: Route, here: Path) -> Iterator[Mistake]:
    for number, method in enumerate(route.methods):
        path = (*here, "methods", number)
        if not re.fullmatch(TOKEN, method):
            yield Mistake(path=path, text=f'"{method}" is no method')
        elif method in ("CONNECT", "TRACE"):
            yield Mistake(path=path, text=f"{method} is never served")
        elif method.upper() in _KNOWN_METHODS and method not in _KNOWN_METHODS:
            # RFC 9110 §9.1: methods are case-sensitive.
            yield Mistake(path=path, text=f'methods are written in capitals: "{method.upper()}"')
        elif method in route.methods[:number]:
            yield Mistake(path=path, text=f"{method} is listed twice")


def _check_upgrade(route: Route, here: Path) -> Iterator[Mistake]:
    for number, protocol in enumerate(route.upgrade):
        path = (*here, "upgrade", number)
        if not _PROTOCOL.fullmatch(protocol):
            yield Mistake(path=path, text=f'"{protocol}" is no name of a protocol')
        elif protocol.lower() in ("h2c", "h2", "http/2.0", "tls/1.0", "tls/1.2", "http/1.1"):
            # A tunnel of HTTP to a backend would carry requests past every route and limit.
            yield Mistake(path=path, text=f'"{protocol}" can\'t be tunnelled: its requests would bypass the routes')


def _check_host(route: Route, here: Path) -> Iterator[Mistake]:
    if route.host is None:
        return
    path = (*here, "host")
    name, colon, port = route.host.rpartition(":")
    if not colon or route.host.endswith("]"):
        name, colon, port = route.host, "", ""
    if colon and not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        yield Mistake(path=path, text=f'"{route.host}": "{port}" is no port (1 to 65535)')
        return
    try:
        normal_host(name)
    except ValueError as error:
        yield Mistake(path=path, text=str(error))
        return
    if not name.isascii():
        yield Mistake(path=path, text=f'"{name}" must be written as "{normal_host(name)}"')
    if route.proxy is None:
        yield Mistake(path=path, text="has no effect without proxy", related=((*here, "proxy"),), warning=True)
