"""What rules may ask of a request: `client.ip`, `header.x-tenant`, `user` ..., worked out when one of them does.

Law: an attribute that no rule names costs nothing; one that cannot be found, or whose hook raises, is missing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from guardrail.adapters.attributes import LazyAttributes

if TYPE_CHECKING:
    from guardrail.adapters.http.options import HttpOptions

LOG = "guardrail.http"
PLAIN = ("method", "client.ip", "user", "resource")
MOST_FIELDS = 1_000  # of a query that are looked at

_QUERIES, _COOKIES = "?queries", "?cookies"  # no names of attributes


class RequestAttributes(LazyAttributes):
    """Look up the attributes of one request by name.

    Attributes:
        resource: What is called; empty: no rule is asked.
        options: Those of the middleware.
        path_text: The path from where the app begins.
    """

    __slots__ = ("options", "path_text", "resource")

    def __init__(self, options: HttpOptions) -> None:
        super().__init__()
        self.options = options
        self.resource = ""
        self.path_text = ""

    # ---- what each kind of server says in its own way

    @abstractmethod
    def origin(self) -> object:
        """Return the request in the server's own form: one object for as long as it is served."""

    @abstractmethod
    def method(self) -> str:
        """Return the method, `OTHER` if it is unknown."""

    @abstractmethod
    def lines(self, header: str) -> Sequence[str]:
        """Return the lines of a header by its lower-case name."""

    @abstractmethod
    def header_names(self) -> Sequence[str]:
        """Return the names of all headers, lower-case."""

    @abstractmethod
    def query(self) -> str:
        """Return what stands behind the `?`."""

    @abstractmethod
    def peer(self) -> str | None:
        """Return who the connection is from."""

    @abstractmethod
    def path_values(self) -> Mapping[str, str]:
        """Return the variable parts of the path."""

    # ---- a mapping

    def names(self) -> Iterator[str]:
        yield from PLAIN
        yield from (f"header.{name}" for name in self.header_names())
        yield from (f"query.{name}" for name in self._queries())
        yield from (f"cookie.{name}" for name in self._cookies())
        yield from (f"path.{name}" for name in self.path_values())

    def look_up(self, name: str) -> object:
        if name == "client.ip":
            return self.options.addresses.find(self.peer(), self.lines)
        if name == "user":
            return self.known_user()
        if name == "method":
            return self.method()
        if name == "resource":
            return self.resource
        family, _, rest = name.partition(".")
        if family == "header":
            return ", ".join(self.lines(rest.lower())) or None
        if family == "query":
            return self._queries().get(rest)
        if family == "cookie":
            return self._cookies().get(rest)
        if family == "path":
            return self.path_values().get(rest)
        return self.of_user(name)

    def _queries(self) -> Mapping[str, str]:
        found = self._known.get(_QUERIES)
        if not isinstance(found, dict):
            found = self._known[_QUERIES] = queries_of(self.query())
        return found

    def _cookies(self) -> Mapping[str, str]:
        found = self._known.get(_COOKIES)
        if not isinstance(found, dict):
            found = self._known[_COOKIES] = cookies_of(self.lines("cookie"))
        return found


def queries_of(text: str) -> dict[str, str]:
    """Return the values of a query by name; of several the last, as frameworks take it."""
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:  # more fields than anybody means
        return {}


def cookies_of(lines: Sequence[str]) -> dict[str, str]:
    """Return the cookies by name; of several the first, which is the one of the nearest path."""
    found: dict[str, str] = {}
    for pair in ";".join(lines).split(";"):
        name, equals, value = pair.strip().partition("=")
        if equals:
            found.setdefault(name.rstrip(), value.lstrip().strip('"'))
    return found
