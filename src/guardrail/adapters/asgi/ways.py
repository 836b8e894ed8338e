"""All ways through the routes of an app, laid out flat: Starlette, FastAPI, and what is built like them.

Law: a way is listed where its router would come to it: those of mounts and included routers in their place. What is of no
known shape is left out, and goes by the names of rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

_BEHIND_MOUNT = "/(?P<path>.*)$"  # how the pattern of a mount ends
_BEHIND_TEMPLATE = "/{path}"
_DEEPEST = 32  # wrappers around a router


class Way(NamedTuple):
    """Hold one way through the routes, not yet for a method.

    Attributes:
        pattern: Matches the path from its beginning.
        template: None: something is mounted here that cannot be looked into.
        methods: None: all.
        host: Where its host stands in the list of hosts; None: any.
        leaf: The route as the framework has it.
    """

    pattern: str
    template: str | None
    methods: frozenset[str] | None
    leaf: object = None
    host: int | None = None


class Ways:
    """Hold the ways through one app, as its routes are now.

    Attributes:
        hosts: Patterns of the hosts that some routes are for.
        http: In the order in which the router asks them.
        websocket: Those of WebSockets.
        methods: All methods that a way names.
    """

    __slots__ = ("hosts", "http", "methods", "websocket")

    def __init__(self, app: object) -> None:
        self.hosts: list[re.Pattern[str]] = []
        self.http = list(self._walk(routes_of(app), websocket=False))
        self.websocket = list(self._walk(routes_of(app), websocket=True))
        self.methods = frozenset[str]().union(*(way.methods for way in self.http if way.methods is not None))

    def _walk(self, routes: Iterable[Any], *, websocket: bool) -> Iterator[Way]:
        for route in routes:
            leaf = getattr(route, "starlette_route", None) or route  # what FastAPI makes of a route it includes
            pattern = getattr(getattr(leaf, "path_regex", None), "pattern", None)
            if hasattr(route, "effective_candidates"):
                yield from self._walk(route.effective_candidates(), websocket=websocket)
            elif hasattr(leaf, "host_regex"):
                yield from self._behind_host(leaf, websocket=websocket)
            elif not isinstance(pattern, str):
                continue
            elif pattern.endswith(_BEHIND_MOUNT) and hasattr(leaf, "routes"):
                yield from self._behind_mount(leaf, pattern, websocket=websocket)
            elif _is_websocket(leaf) == websocket:
                template, methods = getattr(leaf, "path_format", None), getattr(leaf, "methods", None)
                yield Way(pattern, template, frozenset(methods) if methods else None, route)

    def _behind_mount(self, mount: Any, pattern: str, *, websocket: bool) -> Iterator[Way]:
        before = pattern.removesuffix(_BEHIND_MOUNT)
        template = mount.path_format.removesuffix(_BEHIND_TEMPLATE)
        inside = [
            way._replace(pattern=before + way.pattern.removeprefix("^"), template=template + way.template)
            if way.template is not None
            else way._replace(pattern=before + way.pattern.removeprefix("^"))
            for way in self._walk(routes_of(mount), websocket=websocket)
        ]
        yield from inside
        yield from (way._replace(methods=None) for way in inside if way.methods is not None)  # it answers 405 itself
        yield Way(pattern, None, None)

    def _behind_host(self, host: Any, *, websocket: bool) -> Iterator[Way]:
        number = len(self.hosts)
        self.hosts.append(host.host_regex)
        for way in self._walk(routes_of(host), websocket=websocket):
            yield way._replace(host=number) if way.host is None else way
        yield Way("^", None, None, host=number)


def routes_of(app: object) -> Sequence[Any]:
    """Return the routes of an app, which may stand behind middleware that keeps it as `app`."""
    for _ in range(_DEEPEST):
        routes = getattr(app, "routes", None)
        if isinstance(routes, list | tuple) and routes:
            return routes
        inner = getattr(app, "app", None)
        if inner is None or inner is app:
            break
        app = inner
    return ()


def shape_of(app: object) -> int:
    """Return a number that changes when routes are added anywhere."""
    return _count(routes_of(app), 0)


def _count(routes: Sequence[Any], depth: int) -> int:
    total = len(routes)
    for route in routes if depth < _DEEPEST else ():
        router = getattr(route, "original_router", None)
        inner = routes_of(router) if router is not None else routes_of(route) if _may_hold(route) else ()
        total += _count(inner, depth + 1) if inner else 0
    return total


def _may_hold(route: object) -> bool:
    return hasattr(route, "routes") or hasattr(route, "host_regex")


def _is_websocket(route: object) -> bool:
    return not hasattr(route, "methods")
