"""Which route a request will take, found before it takes it.

Law: a path gets the route that the router will choose: the first that matches path and method, else the first that
matches the path. One regular expression asks all the ways there are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from guardrail.adapters.asgi.ways import Way, Ways, shape_of
from guardrail.adapters.http.resources import LONGEST, METHODS, OTHER

if TYPE_CHECKING:
    from guardrail.adapters.asgi.request import AsgiRequest

_NAMED_GROUP = re.compile(r"\(\?P<(\w+)>")
_NEVER = "(?!)"
MOST_PATHS = 1_024  # that are known for a method
_MOST_APPS = 32  # that one middleware remembers
Hosts = tuple[bool, ...]


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
    """Choose among the ways that are open to one method (or to WebSockets).

    Attributes:
        known: Where paths lead that came lately.
    """

    __slots__ = ("_match", "_routes", "known")

    def __init__(self, ways: Sequence[Way], verb: str) -> None:
        self._routes: dict[int, Route | None] = {}
        self.known: dict[str, Route] = {}
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
        self._match = re.compile("|".join(texts) or _NEVER).match

    def choose(self, path: str) -> Route | None:
        """Return where the router will send *path*; None: nowhere, or out of sight."""
        match = self._match(path)
        route = None if match is None else self._routes[match.lastindex or 0]
        if route is not None and len(path) <= LONGEST:
            if len(self.known) >= MOST_PATHS:
                self.known.clear()
            self.known[path] = route
        return route


class RouteTable:
    """Find the route of requests to one app. The app may get more routes while it is in use."""

    __slots__ = ("_app", "_choosers", "_plain", "_shape", "_ways", "root_path")

    def __init__(self, app: object) -> None:
        self._app = app
        self._shape = -1  # nobody has looked yet
        self._plain: dict[str, Chooser] = {}  # the choosers by method, where the host does not matter
        self.root_path = str(getattr(app, "root_path", "") or "")

    def choose(self, request: AsgiRequest) -> Route | None:
        """Return the route that a request will take; None: none that is known."""
        chooser = self._plain.get(request.method_text) or self._chooser(request)
        path = request.path_text
        route = chooser.known.get(path) or chooser.choose(path)
        if route is None and self._shape != shape_of(self._app):
            self._look()
            route = self._chooser(request).choose(path)
        return route

    def _chooser(self, request: AsgiRequest) -> Chooser:
        if self._shape < 0:
            self._look()
        ways, verb = self._ways, request.method_text
        if verb and verb not in METHODS and verb not in ways.methods:
            verb = OTHER
        hosts: Hosts = ()
        if ways.hosts:
            host = _host_of(request)
            hosts = tuple(pattern.match(host) is not None for pattern in ways.hosts)
        chooser = self._choosers.get((verb, hosts))
        if chooser is None:
            chooser = self._choosers[verb, hosts] = self._choice(verb, hosts)
        if not ways.hosts:
            self._plain[verb] = chooser
        return chooser

    def _choice(self, verb: str, hosts: Hosts) -> Chooser:
        ways = self._ways.http if verb else self._ways.websocket
        here = [way for way in ways if way.host is None or hosts[way.host]]
        if not verb:
            return Chooser(here, "GET")
        first = [way for way in here if way.methods is None or verb in way.methods]
        second = [way for way in here if way.methods is not None and verb not in way.methods]
        return Chooser([*first, *second], "GET" if verb == "HEAD" else verb)

    def _look(self) -> None:
        shape, ways = shape_of(self._app), Ways(self._app)
        self._choosers: dict[tuple[str, Hosts], Chooser] = {}
        self._plain = {}
        self._ways = ways
        self._shape = shape


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
        last = self._last
        if app is last[0]:
            return last[1]
        found = self._tables.get(id(app))
        if found is None:
            if len(self._tables) >= _MOST_APPS:
                self._tables.clear()
            found = self._tables[id(app)] = (app, RouteTable(app))  # who is held here keeps its id
        self._last = found
        return found[1]


def _groups_in(pattern: str) -> int | None:
    """Return how many groups a pattern has; None: it cannot do without the names of groups."""
    try:
        return re.compile(pattern).groups
    except re.error:
        return None


def _host_of(request: AsgiRequest) -> str:
    """Return what the Host header says, without the port."""
    host = "".join(request.lines("host")[:1]).lower()
    return host if host.endswith("]") else host.rpartition(":")[0] or host
