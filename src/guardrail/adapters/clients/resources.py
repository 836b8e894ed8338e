"""What an outgoing HTTP request is called in the rules, and what rules may look at of it.

Law: by default a request is `client METHOD host`. The port is part of the host where it is not the scheme's own, unless
the rules name the host without it. The body is never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import SplitResult, urlsplit

from guardrail.adapters.attributes import LazyAttributes
from guardrail.adapters.escapes import CLIENT
from guardrail.adapters.hooks import asked, checked_hook, named
from guardrail.adapters.http.attributes import queries_of
from guardrail.adapters.http.resources import verb_of
from guardrail.rules.match import Index

if TYPE_CHECKING:
    from guardrail.guard import Guard

LOG = "guardrail.clients"
PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

# Of all requests, over the library's own request, or URL pattern: template.
Resource = str | Callable[[Any], str | None] | Mapping[str, str]
User = Callable[[Any], object]


class Outgoing(LazyAttributes):
    """Look up the attributes of one outgoing request.

    Method, host, path, headers and query are those of this request alone: a header that it lacks is empty, and not that of
    a request being served meanwhile. All else that it lacks, such as `client.ip` or a `user` without a hook, is that one's.

    Args:
        request: The library's own request, for the user's hooks.
        headers: By their names in any case.
    """

    def __init__(
        self, request: Any, method: str, url: str, headers: Mapping[str, object], hook: Callable[[Any], object] | None
    ) -> None:
        super().__init__()
        parts, port = parts_of(url)
        self.request = request
        self.method = method.upper()
        self.scheme = parts.scheme.lower()
        self.host = (parts.hostname or "unknown").rstrip(".")
        self.port = None if port == PORTS.get(self.scheme) else port
        self.path = parts.path or "/"
        self._query_text = parts.query
        self._headers = headers
        self._hook = hook
        self._queries: dict[str, str] | None = None

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

    def names(self) -> Iterator[str]:
        yield from ("method", "host", "path", "user")
        yield from (f"header.{name.lower()}" for name in self._headers)
        yield from (f"query.{name}" for name in self._query())

    def look_up(self, name: str) -> object:
        match name:
            case "method":
                return self.method
            case "host":
                return self.host
            case "path":
                return self.path
            case _:
                kind, _, rest = name.partition(".")
                if kind == "header":
                    return self._headers.get(rest) or ""
                return self._query().get(rest, "") if kind == "query" else self.of_user(name)

    def user(self) -> object:
        return None if self._hook is None else asked(self._hook, self.request, log=LOG)

    def _query(self) -> dict[str, str]:
        if self._queries is None:
            self._queries = queries_of(self._query_text)
        return self._queries


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
        resource: A text for all, a callable over the library's own request, or a mapping of URL patterns to templates; what
            they leave open goes by the default.

    Raises:
        TypeError: It is none of them.
        ValueError: A pattern cannot be used.
    """

    def __init__(self, resource: object) -> None:
        self._name = resource if isinstance(resource, str) else ""
        self._ask: Callable[[Any], object] | None = None
        self._templates: list[str] = []
        self._patterns = Index()
        if isinstance(resource, Mapping):
            for number, (pattern, template) in enumerate(cast("Mapping[object, object]", resource).items()):
                self._templates.append(checked_template(template))
                self._add(pattern, number)
        elif resource is None or callable(resource):
            self._ask = checked_hook("resource", resource, "the request")
        elif not self._name:
            raise TypeError(
                f"resource must be a name, a callable over the request, or a mapping of URL patterns, got {resource!r}"
            )

    def name_of(self, outgoing: Outgoing, guard: Guard) -> str:
        """Return the resource of a request."""
        if self._ask is not None:
            name = named(self._ask, outgoing.request, log=LOG)
        else:
            name = self._template_of(outgoing) if self._templates else self._name
        return name or default_name(outgoing, guard)

    def _template_of(self, outgoing: Outgoing) -> str | None:
        host, port = outgoing.written_host, outgoing.port or PORTS.get(outgoing.scheme, 0)
        found = self._patterns.find(f"{outgoing.verb} {outgoing.scheme}://{host}:{port}{outgoing.path}")
        if not found:
            return None
        template = self._templates[min(found)]
        return f"{CLIENT}{outgoing.verb} {outgoing.authority}{template}" if template.startswith("/") else template

    def _add(self, pattern: object, number: int) -> None:
        if not isinstance(pattern, str) or not pattern.strip():
            raise TypeError(f"resource must map URL patterns such as 'api.example.com/v1/orders/*', got {pattern!r}")
        method, _, url = pattern.strip().rpartition(" ")
        scheme, _, rest = url.rpartition("://")
        host, slash, path = rest.partition("/")
        if not host:
            raise ValueError(
                f"resource: a URL pattern begins with a host, such as api.example.com/v1/*, got {pattern!r}"
            )
        if ":" not in host.rpartition("]")[2]:
            host = f"{host}:*"
        try:
            self._patterns.add(f"{method or '*'} {scheme or '*'}://{host}/{path if slash else '**'}", number)
        except ValueError as error:
            raise ValueError(f"resource: a URL pattern {error}") from None


def default_name(outgoing: Outgoing, guard: Guard) -> str:
    """Return `client METHOD host`, with the port if need be."""
    name = f"{CLIENT}{outgoing.verb} {outgoing.authority}"
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
