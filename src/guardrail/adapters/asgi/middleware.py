"""The ASGI middleware: finds what is called, asks the rules, and lets the app answer or answers itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from guardrail.adapters.asgi.exchange import App, Exchange, Receive, Scope, Send
from guardrail.adapters.asgi.request import AsgiRequest, path_below
from guardrail.adapters.asgi.routes import RouteTables
from guardrail.adapters.asgi.scrapes import answering_scrapes
from guardrail.adapters.asgi.websocket import WebSocketExchange
from guardrail.adapters.hooks import aasked, is_async
from guardrail.adapters.http.attributes import LOG
from guardrail.adapters.http.nesting import NOTHING, Nesting
from guardrail.adapters.http.options import AWAITS, Options, app_of, options_of
from guardrail.adapters.http.page import page_of
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
        resource: Names what is called: a text, or a callable over the scope. None from it leaves it to routes and rules.
        on_refused: Makes the answer: a callable over the scope and the refusal, which may be async, and returns a
            response (an ASGI app) or None for the usual one.
        metrics: A path, such as `/metrics`, at which the middleware itself answers Prometheus; no rule is asked about it.
            Written as in `exempt`. Several workers: see `deploy/README.md`.

    Raises:
        ImportError: There are to be metrics, and prometheus-client is missing.
        TypeError: There is no such option, or it is of a wrong kind.
        ValueError: An option has a wrong value.
    """

    where = "asgi.GuardMiddleware"  # for messages

    def __init__(self, app: App, guard: Guard | None = None, **options: Unpack[Options]) -> None:
        self.app: App = app_of("GuardMiddleware", "an ASGI app", app)
        self._options = options_of(self.where, options, guard=guard, awaits=AWAITS, request="the ASGI scope")
        self._guard = self._options.guard
        self._nesting = Nesting(self._options, "write app.add_middleware(GuardMiddleware, guard=guard)")
        self._unasked = answering_scrapes(page_of(self._options.metrics, guard), self.app)
        self._async_user = self._options.user if is_async(self._options.user) else None
        self._enters_late = self._async_user is not None
        self._carried: dict[str, type[Exchange]] = {"http": Exchange, "websocket": WebSocketExchange}
        self._tables = RouteTables(app)
        self._names = RuleNames()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        carried = self._carried.get(scope["type"])
        if carried is None:
            await self._unasked(scope, receive, send)
            return
        guard, request = self._guard(), AsgiRequest(scope, self._options)
        exchange = carried(guard, request, receive, send)
        published = publish(request)
        before = published.old_value
        if before is not NOTHING and self._nesting.is_idle(before, request):
            withdraw(published)
            await self.app(scope, receive, send)
            return
        app = self.app
        try:
            if self._locate(guard, request):
                permit = None if self._enters_late else guard.at_once(request.resource, request)
                if permit:
                    exchange.permit = permit
                elif not await self._enter(exchange, permit):
                    return
            else:
                app = self._unasked
            await app(scope, exchange.receive, exchange.send)
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
                request.know_user(await aasked(self._async_user, request.scope, log=LOG))
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
        verb = verb_of(request.method_text or "GET")
        if options.exempts(request, scope, verb, path):
            return False
        if options.resource is not None and (name := options.name(scope)) is not None:
            request.resource = name
            return True
        route = request.route = table.choose(request)
        request.resource = self._names.name(guard.rules, f"{verb} {path}") if route is None else route.resource
        return True
