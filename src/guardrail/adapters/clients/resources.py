"""What an outgoing HTTP request is called in the rules, and what rules may look at of it.

Law: by default a request is `client METHOD host`. The port is part of the host where it is not the scheme's own, unless
the rules name the host without it. The body is never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from guardrail.adapters.hooks import at_once, is_async
from guardrail.adapters.http.attributes import queries_of
from guardrail.adapters.http.resources import verb_of
from guardrail.rules.match import Index

if TYPE_CHECKING:
    from guardrail.guard import Guard

PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

Resource = Callable[[Any], str | None] | Mapping[str, str]  # over the library's own request, or URL pattern: template
User = Callable[[Any], object]


class Outgoing(Mapping[str, object]):
    """Show a request to the rules: a mapping of attributes, each made when a rule names it.

    Args:
        request: The library's own request, for the user's hooks.
        header: The value of a request header by its name; None: there is none.
    """

    def __init__(
        self,
        request: Any,
        method: str,
        url: str,
        header: Callable[[str], object],
        user: User | None,
    ) -> None:
        parts, port = parts_of(url)
        self.request = request
        self.method = method.upper()
        self.scheme = parts.scheme.lower()
        self.host = (parts.hostname or "unknown").rstrip(".")
        self.port = None if port == PORTS.get(self.scheme) else port
        self.path = parts.path or "/"
        self._query_text = parts.query
        self._header = header
        self._user = user

    @property
    def verb(self) -> str:
        """The method as resources name it: HEAD is GET, one that is not HTTP's own is OTHER."""
        return verb_of(self.method)

    @property
    def written_host(self) -> str:
        """The host as a URL writes it."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def authority(self) -> str:
        """The host as a URL writes it, with the port where that is not the scheme's own."""
        return self.written_host if self.port is None else f"{self.written_host}:{self.port}"

    def __getitem__(self, name: str) -> object:
        value = self._look_up(name)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(("method", "host", "path"))

    def __len__(self) -> int:
        return 3

    def _look_up(self, name: str) -> object:
        match name:
            case "method":
                return self.method
            case "host":
                return self.host
            case "path":
                return self.path
            case "user":
                return self._named_user()
            case _:
                kind, _, rest = name.partition(".")
                if kind == "header":
                    return self._header(rest)
                return self._query.get(rest) if kind == "query" else None

    @cached_property
    def _query(self) -> dict[str, str]:
        return queries_of(self._query_text)

    def _named_user(self) -> object:
        try:
            user = None if self._user is None else self._user(self.request)
        except Exception:
            from logging import getLogger  # only a hook that fails needs it

            getLogger("guardrail.adapters").exception("the user= hook failed; the call counts as one without user")
            return None
        return at_once(self._user, user, "guardrail.adapters")


def parts_of(url: str) -> tuple[SplitResult, int | None]:
    """Return the parts of a URL, and its port; empty ones of a URL that is none: what becomes of it the library knows."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return urlsplit(""), None
    return parts, port


class Naming:
    """Find the resource of a request.

    Args:
        resource: A callable over the library's own request, or a mapping of URL patterns to templates; what they leave
            open goes by the default.

    Raises:
        TypeError: It is neither.
        ValueError: A pattern cannot be used.
    """

    def __init__(self, resource: Resource | None) -> None:
        self._ask: Callable[[Any], str | None] | None = None
        self._templates: list[str] = []
        self._patterns = Index()
        if isinstance(resource, Mapping):
            for number, (pattern, template) in enumerate(resource.items()):
                self._templates.append(checked_template(template))
                self._add(pattern, number)
        elif not is_async(resource) and (resource is None or callable(resource)):
            self._ask = resource
        else:
            raise TypeError(
                f"resource must be a callable over the request, or a mapping of URL patterns, got {resource!r}"
            )

    def name_of(self, outgoing: Outgoing, guard: Guard) -> str:
        """Return the resource of a request.

        Raises:
            TypeError: The callable returned something else than a name.
        """
        if self._ask is not None:
            name = self._ask(outgoing.request)
            if name is not None and not isinstance(name, str):
                raise TypeError(f"resource must return the name of a resource, such as 'client orders', got {name!r}")
        else:
            name = self._template_of(outgoing) if self._templates else None
        return name or default_name(outgoing, guard)

    def _template_of(self, outgoing: Outgoing) -> str | None:
        host, port = outgoing.written_host, outgoing.port or PORTS.get(outgoing.scheme, 0)
        found = self._patterns.find(f"{outgoing.verb} {outgoing.scheme}://{host}:{port}{outgoing.path}")
        if not found:
            return None
        template = self._templates[min(found)]
        return f"client {outgoing.verb} {outgoing.authority}{template}" if template.startswith("/") else template

    def _add(self, pattern: object, number: int) -> None:
        if not isinstance(pattern, str) or not pattern.strip():
            raise TypeError(f"resource must map URL patterns such as 'api.example.com/v1/orders/*', got {pattern!r}")
        method, _, url = pattern.strip().rpartition(" ")
        scheme, _, rest = url.rpartition("://")
        host, slash, path = rest.partition("/")
        if ":" not in host.rpartition("]")[2]:
            host = f"{host}:*"
        try:
            self._patterns.add(f"{method or '*'} {scheme or '*'}://{host}/{path if slash else '**'}", number)
        except ValueError as error:
            raise ValueError(f"resource: a URL pattern {error}") from None


def default_name(outgoing: Outgoing, guard: Guard) -> str:
    """Return `client METHOD host`, with the port if need be."""
    name = f"client {outgoing.verb} {outgoing.authority}"
    if outgoing.port is None:
        return name
    bare = name.removesuffix(f":{outgoing.port}")
    named, unnamed = ({rule.name for rule in guard.rules.match(text)} for text in (name, bare))
    return bare if unnamed - named and not named - unnamed else name


def checked_template(template: object) -> str:
    """Return *template*.

    Raises:
        TypeError: It is no name.
    """
    if not isinstance(template, str) or not template:
        raise TypeError(
            f"resource must map URL patterns to names or to paths such as '/v1/orders/{{id}}', got {template!r}"
        )
    return template
