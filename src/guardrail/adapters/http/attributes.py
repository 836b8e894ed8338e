"""What rules may ask of a request: `client.ip`, `header.x-tenant`, `user` ..., worked out when one of them does.

Law: an attribute that no rule names costs nothing; one that cannot be found, or whose hook raises, is missing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from inspect import isawaitable
from logging import getLogger
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from guardrail.adapters.hooks import at_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardrail.adapters.http.address import ClientAddresses

PLAIN = ("method", "client.ip", "user", "resource")
MOST_FIELDS = 1_000  # of a query that are looked at

_QUERIES, _COOKIES, _USER = "?queries", "?cookies", "?user"  # no names of attributes


class RequestAttributes(Mapping[str, object]):
    """Look up the attributes of one request by name. Not safe from several threads at once, nor does it need to be.

    Attributes:
        resource: What is called.
    """

    __slots__ = ("_addresses", "_known", "resource")

    def __init__(self, addresses: ClientAddresses) -> None:
        self._addresses = addresses
        self._known: dict[str, object] = {}
        self.resource = ""

    # ---- what each kind of server says in its own way

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
    def path(self) -> Mapping[str, str]:
        """Return the variable parts of the path."""

    @abstractmethod
    def user(self) -> object:
        """Return who is calling, as the service knows them."""

    # ---- a mapping

    def get(self, name: str, default: object = None) -> object:
        """Return an attribute, or *default* if it is missing."""
        known = self._known
        value = known[name] if name in known else self._find(name)
        return default if value is None else value

    def __getitem__(self, name: str) -> object:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        names = dict.fromkeys((*PLAIN, *(f"header.{name}" for name in self.header_names())))
        names.update(dict.fromkeys(f"query.{name}" for name in self._queries()))
        names.update(dict.fromkeys(f"cookie.{name}" for name in self._cookies()))
        names.update(dict.fromkeys(f"path.{name}" for name in self.path()))
        return (name for name in names if self.get(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def _find(self, name: str) -> object:
        value: object = None
        if name == "client.ip":
            value = self._addresses.find(self.peer(), self.lines)
        elif name == "user":
            value = self._user()
        elif name == "method":
            value = self.method()
        elif name == "resource":
            value = self.resource
        else:
            family, _, rest = name.partition(".")
            if family == "header":
                value = ", ".join(self.lines(rest.lower())) or None
            elif family == "query":
                value = self._queries().get(rest)
            elif family == "cookie":
                value = self._cookies().get(rest)
            elif family == "path":
                value = self.path().get(rest)
            elif family == "user":
                value = _dug(self._user(), rest)
        self._known[name] = value
        return value

    def know_user(self, user: object) -> None:
        """Take it as known who is calling."""
        self._known[_USER] = user

    def _user(self) -> object:
        if _USER not in self._known:
            self._known[_USER] = self.user()
        return self._known[_USER]

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


def _dug(found: object, steps: str) -> object:
    """Return what is found in an object by a dotted name, such as the plan in a user."""
    for step in steps.split("."):
        found = found.get(step) if isinstance(found, Mapping) else getattr(found, step, None)
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


def asked(hook: Callable[..., object], *arguments: object) -> object:
    """Return what a hook says; one that raises, or would have to be awaited, has nothing to say."""
    try:
        said = hook(*arguments)
    except Exception:
        getLogger("guardrail.http").debug("%r raised, so there is no answer", hook, exc_info=True)
        return None
    return at_once(hook, said, "guardrail.http")


async def aasked(hook: Callable[..., object], *arguments: object) -> object:
    """Return what an async hook says; one that raises has nothing to say."""
    try:
        said = hook(*arguments)
        return await said if isawaitable(said) else said
    except Exception:
        getLogger("guardrail.http").debug("%r raised, so there is no answer", hook, exc_info=True)
        return None
