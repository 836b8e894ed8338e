"""Flask behind the WSGI middleware: its routes, and the refusals that its views let escape.

Law: Flask is used as it shows itself and never imported. A handler that the app has for refusals stays.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from guardrail.adapters.escapes import refusal_of
from guardrail.adapters.http.answers import answer_to
from guardrail.adapters.http.resources import verb_of
from guardrail.adapters.wsgi.request import WsgiRequest
from guardrail.admission.ambient import innermost
from guardrail.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_VARIABLE = re.compile(r"<(?:[^<>]*:)?([a-zA-Z_]\w*)>")
_REMEMBERED = 4_096
_DEEPEST = 32


class Taken(NamedTuple):
    """Hold the route that Flask will take."""

    resource: str
    values: Mapping[str, str]


class Flask:
    """Look at a Flask app from outside."""

    __slots__ = ("_app", "_templates")

    def __init__(self, app: Any) -> None:
        self._app = app
        self._templates: dict[str, str] = {}
        handlers = app.error_handler_spec[None][None]
        if Refused not in handlers:
            app.register_error_handler(Refused, _answer)
        vars(app)["handle_exception"] = partial(_handle, app, app.handle_exception)

    def take(self, method: str, path: str) -> Taken | None:
        """Return the route that a request will take; None: there is none."""
        adapter = self._app.url_map.bind("localhost")
        found = _match(adapter, path, method)
        if found is None:
            return None
        text, values = found
        template = self._templates.get(text)
        if template is None:
            if len(self._templates) >= _REMEMBERED:
                self._templates.clear()
            template = self._templates[text] = _VARIABLE.sub(r"{\1}", text)
        return Taken(f"{verb_of(method)} {template}", {name: str(value) for name, value in values.items()})


def flask_of(app: object) -> Flask | None:
    """Return the Flask app that a WSGI app is, or belongs to as `app.wsgi_app` does, perhaps behind other middleware."""
    for _ in range(_DEEPEST):
        owner = getattr(app, "__self__", app)
        if hasattr(owner, "url_map") and hasattr(owner, "error_handler_spec"):
            return Flask(owner)
        inner = getattr(app, "app", None) or getattr(app, "wsgi_app", None)
        if inner is None:
            return None
        app = inner
    return None


def _match(adapter: Any, path: str, method: str) -> tuple[str, Mapping[str, Any]] | None:
    for verb in (method, None):
        try:
            rule, values = adapter.match(path, verb or _allowed(adapter, path), return_rule=True)
        except Exception as answer:  # noqa: BLE001  werkzeug raises its answers: 404, 405, a redirect; none is an error here
            if not getattr(answer, "valid_methods", None):
                return None
        else:
            return rule.rule, values
    return None


def _allowed(adapter: Any, path: str) -> str:
    """Return a method that the path has a route for."""
    return next(iter(adapter.allowed_methods(path)), "GET")


def _handle(app: Any, otherwise: Callable[[Exception], Any], error: Exception) -> Any:
    """Answer what nobody has a handler for, if it comes down to a refusal: a group of them, as of tasks; else note it."""
    refused = refusal_of(error)
    if refused is not None:
        return app.finalize_request(_answer(refused), from_error_handler=True)
    request = innermost()
    if isinstance(request, WsgiRequest):
        request.error = error
    return otherwise(error)


def _answer(refused: Refused) -> Any:
    """Answer a refusal that a view lets escape, and note whose answer it is."""
    request = innermost()
    if isinstance(request, WsgiRequest):
        request.escaped = refused
        custom = request.options.answer(request.environ, refused)
        if callable(custom):
            return custom
    status, fields, body = answer_to(refused)
    return body, status, dict(fields)
