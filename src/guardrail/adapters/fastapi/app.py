"""Installing: the middleware, the handler for refusals and the document of an app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Router

from guardrail.adapters.asgi import GuardMiddleware
from guardrail.adapters.asgi.late import LateExchange, LateWebSocketExchange
from guardrail.adapters.fastapi.document import documented
from guardrail.adapters.fastapi.user import EXCHANGE, UserDependency
from guardrail.adapters.hooks import aasked, checked_hook
from guardrail.adapters.http.answers import answer_to
from guardrail.adapters.http.attributes import LOG
from guardrail.adapters.http.options import AWAITS, app_of, options_of
from guardrail.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import HTTPConnection

    from guardrail.adapters.asgi.exchange import App, Exchange
    from guardrail.adapters.http.options import CommonOptions
    from guardrail.admission.permit import Permit
    from guardrail.guard import Guard


def install(
    app: FastAPI,
    guard: Guard | None = None,
    *,
    user: Callable[..., Any] | None = None,
    **options: Unpack[CommonOptions],
) -> None:
    """Guard a FastAPI app: middleware, exception handler, and 429 and 503 in its documentation.

    Args:
        guard: Who decides; None: the default guard.
        user: A dependency that says who is calling: rules see it as `user`, and parts of it as `user.plan`. With it, rules
            are entered once, after routing. Where it raises, they are entered without a user; the request goes on unless
            its endpoint asks for the user itself.
        options: Those of `GuardMiddleware`.

    Raises:
        ImportError: There are to be metrics, and prometheus-client is missing.
        RuntimeError: The app has started.
        TypeError: It is no FastAPI app; or there is no such option, or it is of a wrong kind.
        ValueError: An option has a wrong value.
    """
    _check(app)
    checked = options_of("install", options, guard=guard, awaits=AWAITS, request="the ASGI scope")
    checked_hook("user", user, awaits=True)
    if app.middleware_stack is not None:
        raise RuntimeError("install(app, ...) must come before the app has started")
    app.user_middleware.append(Middleware(FastApiMiddleware, guard=guard, dependency=user, **options))
    app.exception_handlers.setdefault(Refused, _answering(checked.on_refused))
    vars(app)["openapi"] = documented(app.openapi, checked.exempt)


class FastApiMiddleware(GuardMiddleware):
    """Guard a FastAPI app, entering late where a dependency says who is calling."""

    where = "fastapi.install"

    def __init__(
        self,
        app: App,
        guard: Guard | None = None,
        *,
        dependency: Callable[..., Any] | None = None,
        **options: Unpack[CommonOptions],
    ) -> None:
        super().__init__(app, guard, **options)
        self._user = None if dependency is None else UserDependency(dependency)
        if dependency is not None:
            self._carried = {"http": LateExchange, "websocket": LateWebSocketExchange}
            self._enters_late = True

    async def _enter(self, exchange: Exchange, permit: Permit | None) -> bool:
        route = exchange.request.route
        leaf = None if route is None else route.leaf
        dependant = getattr(getattr(leaf, "starlette_route", None) or leaf, "dependant", None)
        if self._user is None or dependant is None or not isinstance(exchange, LateExchange):
            return await super()._enter(exchange, permit)
        self._user.prepare(dependant)
        exchange.is_waiting = True
        exchange.request.scope[EXCHANGE] = exchange
        return True


def _check(app: object) -> None:
    """Raise a TypeError that says what to do instead, if it is no FastAPI app."""
    if isinstance(app, FastAPI):
        return
    app_of("install", "a FastAPI app", app)
    if isinstance(app, Starlette):
        instead = "write app.add_middleware(GuardMiddleware, guard=guard), with that of guardrail.adapters.asgi"
    elif isinstance(app, Router):
        instead = "guard the app that includes it"
    else:
        instead = "what stands around one is added to it: app.add_middleware(...)"
    raise TypeError(f"app must be a FastAPI app, got {type(app).__name__}; {instead}")


def _answering(hook: Callable[[Any, Refused], Any] | None) -> Callable[[Any, Any], Awaitable[Any]]:
    """Return the exception handler for refusals that an endpoint lets escape."""

    async def answer(connection: HTTPConnection, refused: Refused) -> Any:
        if connection.scope["type"] != "http":
            raise refused  # the middleware knows how to turn a WebSocket away
        made = None if hook is None else await aasked(hook, connection.scope, refused, log=LOG)
        if callable(made):
            return made
        status, fields, body = answer_to(refused)
        return Response(body, status, dict(fields))

    return answer
