"""The ASGI middleware: finds what is called, asks the rules, and lets the app answer or answers itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from guardrail.adapters.asgi.exchange import App, Exchange, Receive, Scope, Send
from guardrail.adapters.asgi.request import AsgiRequest, path_below
from guardrail.adapters.asgi.routes import RouteTables
from guardrail.adapters.asgi.websocket import WebSocketExchange
from guardrail.adapters.hooks import is_async
from guardrail.adapters.http.attributes import aasked
from guardrail.adapters.http.options import AWAITS, Options, guard_of, options_of
from guardrail.adapters.http.resources import RuleNames, verb_of
from guardrail.admission.ambient import publish, withdraw

if TYPE_CHECKING:
    from guardrail.admission.permit import Permit
    from guardrail.guard import Guard


class GuardMiddleware:
    """Guard an ASGI app.

    Args:
        app: What is guarded.
        guard: Who decides; None: the default guard.
        trusted_proxies: Addresses and networks whose forwarding headers are believed; `unix` for a unix socket. Default:
            those in GUARDRAIL_TRUSTED_PROXIES.
        headers: What answers say of limits with a key: `ietf-10` (RateLimit), `legacy` (X-RateLimit-*), `both` or `off`.
        exempt: Paths and patterns, with or without a method, that no rule is asked about; `cors-preflight` for these;
            or a callable over the scope. Default: `DEFAULT_EXEMPT` of `adapters.http.resources`.
        user: Says who is calling: a callable over the scope, which may be async. One that raises means: nobody knows.
        resource: Names what is called: a callable over the scope. None from it leaves it to routes and rules.
        on_refused: Makes the answer: a callable over the scope and the refusal, which may be async, and returns a
            response (an ASGI app) or None for the usual one.

    Raises:
        TypeError: There is no such option, or it is of a wrong kind.
        ValueError: An option has a wrong value.
    """

    def __init__(self, app: App, guard: Guard | None = None, **options: Unpack[Options]) -> None:
        self.app = app
        self._guard = guard_of(guard)
        self._options = options_of("GuardMiddleware", options, awaits=AWAITS)
        self._async_user = self._options.user if is_async(self._options.user) else None
        self._enters_late = self._async_user is not None
        self._http: type[Exchange] = Exchange
        self._websocket: type[Exchange] = WebSocketExchange
        self._tables = RouteTables(app)
        self._names = RuleNames()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        kind = scope["type"]
        if kind == "http":
            carried = self._http
        elif kind == "websocket":
            carried = self._websocket
        else:
            await self.app(scope, receive, send)
            return
        guard, request = self._guard(), AsgiRequest(scope, self._options)
        exchange = carried(guard, request, receive, send)
        published = publish(request)
        try:
            if self._locate(guard, request):
                permit = None if self._enters_late else guard.at_once(request.resource, request)
                if permit:
                    exchange.permit = permit
                elif not await self._enter(exchange, permit):
                    return
            await self.app(scope, exchange.receive, exchange.send)
            if exchange.held is not None:
                await exchange.flush()
        except BaseException as error:
            if not await exchange.fail(error):
                raise
        finally:
            if exchange.permit is not None:
                exchange.end()
            withdraw(published)

    async def _enter(self, exchange: Exchange, permit: Permit | None) -> bool:
        """Enter the rules; False: they refuse, and the request is answered.

        Args:
            permit: What they have said; None: they are still to be asked.
        """
        if permit is None:
            request = exchange.request
            if self._async_user is not None:
                request.know_user(await aasked(self._async_user, request.scope))
            permit = await exchange.guard.atry_enter(request.resource, request)
        if permit:
            exchange.permit = permit
            return True
        await exchange.refuse(permit.refusal())
        return False

    def _locate(self, guard: Guard, request: AsgiRequest) -> bool:
        """Find out what is called; False: no rule is asked about it."""
        options, scope, path = self._options, request.scope, request.path_text
        table = self._tables.of(scope)
        root = scope.get("app_root_path", scope.get("root_path")) or table.root_path
        if root:
            path = request.path_text = path_below(root, path)
        verb = verb_of(request.verb or "GET")
        if options.exempts(request, scope, verb, path):
            return False
        if options.resource is not None and (name := options.name(scope)) is not None:
            request.resource = name
            return True
        route = request.route = table.choose(request)
        request.resource = self._names.name(guard.rules, f"{verb} {path}") if route is None else route.resource
        return True
