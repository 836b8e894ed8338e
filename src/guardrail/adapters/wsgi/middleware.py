"""The WSGI middleware: finds what is called, asks the rules, and lets the app answer or answers itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from logging import getLogger
from typing import TYPE_CHECKING, Any, Unpack, cast

from guardrail.adapters.escapes import refusal_of
from guardrail.adapters.http.answers import TITLES, answer_to
from guardrail.adapters.http.nesting import NOTHING, Nesting
from guardrail.adapters.http.options import Options, app_of, options_of
from guardrail.adapters.http.page import Page, page_of
from guardrail.adapters.http.resources import RuleNames, verb_of
from guardrail.adapters.wsgi.exchange import Environ, Exchange, StartResponse
from guardrail.adapters.wsgi.flask import flask_of
from guardrail.adapters.wsgi.request import WsgiRequest
from guardrail.admission.ambient import publish, withdraw

if TYPE_CHECKING:
    from guardrail.errors import Refused
    from guardrail.guard import Guard

WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]


class GuardMiddleware:
    """Guard a WSGI app.

    Args:
        app: What is guarded.
        guard: Who decides; None: the default guard.
        trusted_proxies: Addresses and networks whose forwarding headers are believed; `unix` for a unix socket. Default:
            those in GUARDRAIL_TRUSTED_PROXIES.
        headers: What answers say of limits with a key: `ietf-10` (RateLimit), `legacy` (X-RateLimit-*), `both` or `off`.
        exempt: Paths and patterns, with or without a method, that no rule is asked about; `cors-preflight` for these;
            or a callable over the environ. Default: `DEFAULT_EXEMPT` of `adapters.http.resources`.
        user: Says who is calling: a callable over the environ. One that raises means: nobody knows.
        resource: Names what is called: a text, or a callable over the environ. None from it leaves it to routes and rules.
        on_refused: Makes the answer: a callable over the environ and the refusal that returns a WSGI app, such as a
            response of Flask, or None for the usual one.
        metrics: A path, such as `/metrics`, at which the middleware itself answers Prometheus; no rule is asked about it.
            Written as in `exempt`. Several workers: see `deploy/README.md`.

    Raises:
        ImportError: There are to be metrics, and prometheus-client is missing.
        TypeError: There is no such option, or it is of a wrong kind.
        ValueError: An option has a wrong value.
    """

    def __init__(self, app: WsgiApp, guard: Guard | None = None, **options: Unpack[Options]) -> None:
        self.app: WsgiApp = app_of("GuardMiddleware", "a WSGI app", app)
        self._options = options_of("wsgi.GuardMiddleware", options, guard=guard, request="the WSGI environ")
        self._guard = self._options.guard
        self._nesting = Nesting(self._options, "write app.wsgi_app = GuardMiddleware(app.wsgi_app, guard)")
        self._page = page_of(self._options.metrics, guard)
        self._flask = flask_of(app)
        self._names = RuleNames()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        guard = self._guard()
        request = WsgiRequest(environ, self._options)
        exchange = Exchange(guard, request, start_response, self._refuse)
        published = publish(request)
        before = published.old_value
        if before is not NOTHING and self._nesting.is_idle(before, request):
            withdraw(published)
            return self.app(environ, start_response)
        try:
            if self._locate(guard, request):
                permit = guard.try_enter(request.resource, request)
                if not permit:
                    return self._refuse(exchange, permit.refusal())
                permit.is_held = True  # by the server, which closes what it is given
                exchange.permit = permit
            elif self._page is not None and self._page.is_asked(environ.get("REQUEST_METHOD", ""), request.path_text):
                return _show(self._page, request, start_response)
            exchange.take(self.app(environ, exchange.start))
        except BaseException as error:
            refused = refusal_of(error)
            if refused is None or exchange.begun:
                exchange.end(refused or error)
                raise
            return self._refuse(exchange, refused)
        finally:
            withdraw(published)
        return exchange

    def _locate(self, guard: Guard, request: WsgiRequest) -> bool:
        """Find out what is called; False: no rule is asked about it."""
        options, environ, path = self._options, request.environ, request.path_text
        method = environ.get("REQUEST_METHOD", "")
        verb = verb_of(method)
        if options.exempts(request, environ, verb, path):
            return False
        name = options.name(environ)
        if name is not None:
            request.resource = name
            return True
        taken = None if self._flask is None else self._flask.take(method, path)
        if taken is not None:
            request.resource, request.of_route = taken
        else:
            request.resource = self._names.name(guard.rules, f"{verb} {path}")
        return True

    def _refuse(self, exchange: Exchange, refused: Refused) -> Iterable[bytes]:
        """Answer with a refusal, and end the call."""
        exchange.restart(refused)
        environ = exchange.request.environ
        custom: Any = self._options.answer(environ, refused)
        if callable(custom):
            try:
                exchange.take(cast("WsgiApp", custom)(environ, exchange.start))
            except Exception:
                if exchange.begun:
                    raise
                getLogger("guardrail.http").exception("the answer of on_refused raised, so it is the usual one")
                exchange.restart(refused)
            else:
                return exchange
        elif custom is not None:
            getLogger("guardrail.http").error("on_refused must return a WSGI app (a response) or None, got %r", custom)
        status, fields, body = answer_to(refused)
        exchange.start(f"{status} {TITLES[status]}", fields)
        exchange.end()
        return [b"" if environ.get("REQUEST_METHOD") == "HEAD" else body]


def _show(page: Page, request: WsgiRequest, start_response: StartResponse) -> Iterable[bytes]:
    status, fields, body = page.answer(request.environ["REQUEST_METHOD"], ", ".join(request.lines("accept")))
    start_response(f"{status} {HTTPStatus(status).phrase}", fields)
    return [body]
