"""One connection of an ASGI server, as rules see it.

Law: a scope is read and not changed here; what it lacks is missing, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.adapters.hooks import asked
from guardrail.adapters.http.attributes import LOG, RequestAttributes
from guardrail.adapters.http.resources import known_method, values_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guardrail.adapters.asgi.exchange import Scope
    from guardrail.adapters.asgi.routes import Route
    from guardrail.adapters.http.options import HttpOptions


class AsgiRequest(RequestAttributes):
    """Look up the attributes of one connection.

    Attributes:
        route: Where the path leads; None: that is not known.
        method_text: The method as it came; empty for a WebSocket.
    """

    __slots__ = ("method_text", "route", "scope")

    def __init__(self, scope: Scope, options: HttpOptions) -> None:
        self._known, self.options = {}, options  # here: to call the parent would cost every request
        self.scope = scope
        self.method_text: str = scope.get("method", "")
        self.path_text: str = scope.get("path") or ""
        self.resource = ""
        self.route: Route | None = None

    def origin(self) -> object:
        return self.scope

    def method(self) -> str:
        return known_method(self.method_text or "GET")

    def lines(self, header: str) -> Sequence[str]:
        name = header.encode("latin-1", "replace")
        return [text_of(value).strip(" \t") for key, value in self.scope.get("headers") or () if key == name]

    def header_names(self) -> Sequence[str]:
        return [text_of(key) for key, _ in self.scope.get("headers") or ()]

    def query(self) -> str:
        return text_of(self.scope.get("query_string") or b"")

    def peer(self) -> str | None:
        client = self.scope.get("client")
        host = client[0] if client else None
        return host if isinstance(host, str) else None

    def path_values(self) -> Mapping[str, str]:
        if self.route is not None:
            return self.route.values(self.path_text)
        return values_in(self.resource, f"{self.method()} {self.path_text}")

    def user(self) -> object:
        hook = self.options.user
        return None if hook is None else asked(hook, self.scope, log=LOG)


def text_of(value: bytes | str) -> str:
    """Return a text of a scope, which is bytes unless a server or a test is careless."""
    return value if isinstance(value, str) else value.decode("latin-1")


def path_below(root: object, path: str) -> str:
    """Return *path* from where the app begins; as it is, if it does not begin there."""
    if isinstance(root, str) and path.startswith(root):
        if len(path) == len(root):
            return ""
        if path[len(root)] == "/":
            return path[len(root) :]
    return path
