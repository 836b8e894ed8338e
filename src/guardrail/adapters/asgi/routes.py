"""Which route a request will take, found before it takes it: Starlette, FastAPI, and what is built like them.

Law: a path gets the route that the router will choose: the first that matches path and method, else the first that
matches the path. Mounts and included routers are laid out flat, so that one regular expression asks all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from guardrail.adapters.http.resources import METHODS, OTHER

if TYPE_CHECKING:
    from guardrail.adapters.http.attributes import RequestAttributes

_BEHIND_MOUNT = "/(?P<path>.*)$"  # how the pattern of a mount ends
_BEHIND_TEMPLATE = "/{path}"
_NAMED_GROUP = re.compile(r"\(\?P<(\w+)>")
_DEEPEST = 32  # wrappers around a router
Hosts = tuple[bool, ...]


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


@dataclass(frozen=True)
class Route:
    """Hold what a path leads to with one method.

    Attributes:
        resource: Its name, with the full template.
        leaf: The route as the framework has it.
    """

    resource: str
    leaf: object
    pattern: str

    @cached_property
    def _named(self) -> tuple[re.Pattern[str], list[str]]:
        names: list[str] = []

        def numbered(match: re.Match[str]) -> str:
            names.append(match[1])
            return f"(?P<_{len(names)}>"  # a mount and a route inside may use one name twice

        return re.compile(_NAMED_GROUP.sub(numbered, self.pattern)), names

    def values(self, path: str) -> dict[str, str]:
        """Return the variable parts of a path that leads here."""
        pattern, names = self._named
        match = pattern.match(path)
        return {} if match is None else {name: match[f"_{number}"] for number, name in enumerate(names, 1)}


class Chooser:
    """Choose among the ways that are open to one method (or to WebSockets)."""

    __slots__ = ("_fixed", "_pattern", "_routes")

    def __init__(self, ways: Sequence[Way], verb: str) -> None:
        self._routes: dict[int, Route | None] = {}
        self._fixed: dict[str, Route | None] = {}
        texts: list[str] = []
        group = 0
        for way in ways:
            plain = _NAMED_GROUP.sub("(?:", way.pattern)
            groups = _groups_in(plain)
            if groups is None:
                continue
            group += groups + 1
            texts.append(f"{plain}()")
            self._routes[group] = (
                None if way.template is None else Route(f"{verb} {way.template}", way.leaf, way.pattern)
            )
        self._pattern = re.compile("|".join(texts)) if texts else None
        for way in ways:
            if way.template is not None and "{" not in way.template:
                self._fixed[way.template] = self.choose(way.template)

    def choose(self, path: str) -> Route | None:
        """Return where the router will send *path*; None: nowhere, or out of sight."""
        route = self._fixed.get(path)
        if route is not None or self._pattern is None:
            return route
        match = self._pattern.match(path)
        return None if match is None else self._routes[match.lastindex or 0]


class RouteTable:
    """Find the route of requests to one app. The app may get more routes while it is in use."""

    __slots__ = ("_app", "_choosers", "_hosts", "_known", "_plain", "_shape", "_ways", "_websockets", "root_path")

    def __init__(self, app: object) -> None:
        self._app = app
        self._shape = -1  # nobody has looked yet
        self._plain: dict[str, Chooser] = {}  # the choosers by method, where the host does not matter
        self.root_path = str(getattr(app, "root_path", "") or "")

    def choose(self, verb: str, path: str, request: RequestAttributes) -> Route | None:
        """Return the route that a path leads to; None: none that is known.

        Args:
            verb: The method; empty for a WebSocket.
        """
        chooser = self._plain.get(verb)
        route = (self._chooser(verb, request) if chooser is None else chooser).choose(path)
        if route is None and self._shape != shape_of(self._app):
            self._look()
            route = self._chooser(verb, request).choose(path)
        return route

    def _chooser(self, verb: str, request: RequestAttributes) -> Chooser:
        if self._shape < 0:
            self._look()
        verb = verb if verb in self._known else OTHER
        hosts: Hosts = ()
        if self._hosts:
            host = _host_of(request)
            hosts = tuple(pattern.match(host) is not None for pattern in self._hosts)
        chooser = self._choosers.get((verb, hosts))
        if chooser is None:
            chooser = self._choosers[verb, hosts] = self._choice(verb, hosts)
        if not self._hosts:
            self._plain[verb] = chooser
        return chooser

    def _choice(self, verb: str, hosts: Hosts) -> Chooser:
        if not verb:
            return Chooser([way for way in self._websockets if way.host is None or hosts[way.host]], "GET")
        first: list[Way] = []
        second: list[Way] = []
        for way in self._ways:
            if way.host is None or hosts[way.host]:
                (first if way.methods is None or verb in way.methods else second).append(way)
        return Chooser([*first, *second], "GET" if verb == "HEAD" else verb)

    def _look(self) -> None:
        self._shape = shape_of(self._app)
        self._choosers: dict[tuple[str, Hosts], Chooser] = {}
        self._plain = {}
        self._hosts: list[re.Pattern[str]] = []
        self._ways = list(self._walk(routes_of(self._app), websocket=False))
        self._websockets = list(self._walk(routes_of(self._app), websocket=True))
        named = (way.methods for way in self._ways if way.methods is not None)
        self._known = METHODS.union(("",), *named)

    def _walk(self, routes: Iterable[Any], *, websocket: bool) -> Iterator[Way]:
        for route in routes:
            leaf = getattr(route, "starlette_route", None) or route  # what FastAPI makes of a route it includes
            pattern = getattr(getattr(leaf, "path_regex", None), "pattern", None)
            if hasattr(route, "effective_candidates"):
                yield from self._walk(route.effective_candidates(), websocket=websocket)
            elif hasattr(leaf, "host_regex"):
                yield from self._behind_host(leaf, websocket=websocket)
            elif not isinstance(pattern, str):
                continue  # of no shape that is known: whatever it answers goes by the names of rules
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
        number = len(self._hosts)
        self._hosts.append(host.host_regex)
        for way in self._walk(routes_of(host), websocket=websocket):
            yield way._replace(host=number) if way.host is None else way
        yield Way("^", None, None, host=number)


class RouteTables:
    """Hold the tables of the apps that one middleware serves: as a rule there is one."""

    __slots__ = ("_app", "_last", "_tables")

    def __init__(self, app: object) -> None:
        self._app = app
        self._tables: dict[int, tuple[object, RouteTable]] = {}
        self._last = (app, RouteTable(app))

    def of(self, scope: Mapping[str, Any]) -> RouteTable:
        """Return the table of the outermost router that a request will pass or has passed."""
        app = scope.get("router") or scope.get("app") or self._app
        if app is self._last[0]:
            return self._last[1]
        found = self._tables.get(id(app))
        if found is None:
            if len(self._tables) >= _DEEPEST:
                self._tables.clear()
            found = self._tables[id(app)] = (app, RouteTable(app))  # who is held here keeps its id
        self._last = found
        return found[1]


def _host_of(request: RequestAttributes) -> str:
    """Return what the Host header says, without the port."""
    host = "".join(request.lines("host")[:1]).lower()
    return host if host.endswith("]") else host.rpartition(":")[0] or host


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


def _groups_in(pattern: str) -> int | None:
    """Return how many groups a pattern has; None: it cannot do without the names of groups."""
    try:
        return re.compile(pattern).groups
    except re.error:
        return None


def _may_hold(route: object) -> bool:
    return hasattr(route, "routes") or hasattr(route, "host_regex")


def _is_websocket(route: object) -> bool:
    return not hasattr(route, "methods")
