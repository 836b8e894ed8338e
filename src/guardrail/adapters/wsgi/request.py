"""One request of a WSGI server, as rules see it.

Law: an environ is read and never changed; what it lacks is missing, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardrail.adapters.hooks import asked
from guardrail.adapters.http.attributes import LOG, RequestAttributes
from guardrail.adapters.http.resources import known_method, values_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guardrail.adapters.http.options import HttpOptions
    from guardrail.errors import Refused

_WITHOUT_PREFIX = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


class WsgiRequest(RequestAttributes):
    """Look up the attributes of one request.

    Attributes:
        of_route: The variable parts of the path, where a route says so.
        escaped: A refusal that a view let escape, for which the framework has made the answer.
        error: What a view raised that nobody has a handler for.
    """

    of_route: Mapping[str, str] | None = None
    escaped: Refused | None = None
    error: BaseException | None = None

    def __init__(self, environ: dict[str, Any], options: HttpOptions) -> None:
        super().__init__(options)
        self.environ = environ
        path: str = environ.get("PATH_INFO") or ""
        self.path_text = path if path.isascii() else path.encode("latin-1", "replace").decode("utf-8", "replace")

    def origin(self) -> object:
        return self.environ

    def method(self) -> str:
        return known_method(self.environ.get("REQUEST_METHOD", ""))

    def lines(self, header: str) -> Sequence[str]:
        key = _WITHOUT_PREFIX.get(header) or "HTTP_" + header.upper().replace("-", "_")
        value: str | None = self.environ.get(key)
        return [] if value is None else [value.strip(" \t")]

    def header_names(self) -> Sequence[str]:
        names = [key[5:].lower().replace("_", "-") for key in self.environ if key.startswith("HTTP_")]
        return names + [name for name, key in _WITHOUT_PREFIX.items() if key in self.environ]

    def query(self) -> str:
        return self.environ.get("QUERY_STRING") or ""

    def peer(self) -> str | None:
        peer = self.environ.get("REMOTE_ADDR")
        return peer if isinstance(peer, str) and peer else None

    def path_values(self) -> Mapping[str, str]:
        if self.of_route is not None:
            return self.of_route
        return values_in(self.resource, f"{self.method()} {self.path_text}")

    def user(self) -> object:
        hook = self.options.user
        return None if hook is None else asked(hook, self.environ, log=LOG)
