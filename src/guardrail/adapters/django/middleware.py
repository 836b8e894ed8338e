"""The Django middleware: asks the rules once the view is known, and ends the permit with the response."""

from __future__ import annotations

from collections.abc import Callable
from logging import getLogger
from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings as of_project
from django.http import HttpResponse
from django.http.response import HttpResponseBase

from guardrail.adapters.django.escapes import EXCHANGE, exchange_of, watch
from guardrail.adapters.django.exchange import Exchange
from guardrail.adapters.django.request import DjangoRequest, asks_for_user
from guardrail.adapters.django.settings import settings_of
from guardrail.adapters.escapes import refusal_of
from guardrail.adapters.http.answers import answer_to
from guardrail.adapters.http.nesting import NOTHING, Nesting
from guardrail.adapters.http.page import page_of
from guardrail.adapters.http.resources import RuleNames, verb_of
from guardrail.admission.ambient import publish, withdraw

if TYPE_CHECKING:
    from contextvars import Token

    from guardrail.adapters.http.headers import Fields
    from guardrail.admission.ambient import Layer
    from guardrail.errors import Refused


class GuardMiddleware:
    """Guard a Django project, under WSGI and ASGI.

    Raises:
        ImportError: The guard is not where it is said to be; or there are to be metrics, and prometheus-client is missing.
        TypeError: A setting does not exist, or is of a wrong kind.
        ValueError: A setting has a wrong value.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        guard, self._options = settings_of(getattr(of_project, "GUARDRAIL", None))
        self._guard = self._options.guard
        self._nesting = Nesting(self._options, "name it once in MIDDLEWARE")
        self._page = page_of(self._options.metrics, guard)
        self._names = RuleNames()
        watch()
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)
            vars(self)["process_view"] = self._aprocess_view

    def __call__(self, request: Any) -> Any:
        """Serve one request."""
        if iscoroutinefunction(self):
            return self._acall(request)
        if self._page is not None and self._page.is_asked(request.method, request.path_info):
            return _shown(*self._page.answer(request.method, request.headers.get("Accept", "")))
        begun = self._begin(request)
        if begun is None:
            return self.get_response(request)
        exchange, published = begun
        response = refused = None
        try:
            response = self.get_response(request)
            if exchange.is_waiting and self._locate(exchange):
                refused = self._enter(exchange)
        except BaseException as error:
            refused = self._refusal(exchange, error)
            if refused is None:
                raise
        finally:
            withdraw(published)
        return self._conclude(exchange, response, refused)

    async def _acall(self, request: Any) -> Any:
        if self._page is not None and self._page.is_asked(request.method, request.path_info):
            return _shown(*await self._page.aanswer(request.method, request.headers.get("Accept", "")))
        begun = self._begin(request)
        if begun is None:
            return await self.get_response(request)
        exchange, published = begun
        response = refused = None
        try:
            response = await self.get_response(request)
            if exchange.is_waiting and self._locate(exchange):
                refused = await self._aenter(exchange)
        except BaseException as error:
            refused = self._refusal(exchange, error)
            if refused is None:
                raise
        finally:
            withdraw(published)
        return self._conclude(exchange, response, refused)

    def process_view(self, request: Any, view: object, args: object, kwargs: object) -> Any:
        """Enter the rules, now that the view is known."""
        exchange = exchange_of(request)
        if exchange is None or not exchange.is_waiting or not self._locate(exchange):
            return None
        refused = self._enter(exchange)
        return None if refused is None else self._answer(exchange, refused)

    async def _aprocess_view(self, request: Any, view: object, args: object, kwargs: object) -> Any:
        exchange = exchange_of(request)
        if exchange is None or not exchange.is_waiting or not self._locate(exchange):
            return None
        refused = await self._aenter(exchange)
        return None if refused is None else self._answer(exchange, refused)

    def process_exception(self, request: Any, error: Exception) -> Any:
        """Answer a refusal that a view lets escape; remember any other error for breakers."""
        exchange, refused = exchange_of(request), refusal_of(error)
        if exchange is None:
            return None
        if refused is not None:
            return self._answer(exchange, refused)
        exchange.error = error
        return None

    def _begin(self, request: Any) -> tuple[Exchange, Token[Layer]] | None:
        """Take a request in charge; None: another middleware has."""
        exchange, outer = Exchange(self._guard(), DjangoRequest(request, self._options)), exchange_of(request)
        published = publish(exchange.request)
        before = published.old_value
        asks_later = outer is not None and outer.is_waiting
        if before is not NOTHING and self._nesting.is_idle(before, exchange.request, asks_later=asks_later):
            withdraw(published)
            return None
        setattr(request, EXCHANGE, exchange)
        return exchange, published

    def _locate(self, exchange: Exchange) -> bool:
        """Find out what is called; False: no rule is asked about it."""
        exchange.is_waiting = False
        options, request = self._options, exchange.request
        given, path = request.given, request.path_text
        verb = verb_of(given.method or "")
        if options.exempts(request, given, verb, path):
            return False
        name, template = options.name(given), request.template()
        if name is None:
            by_route = None if template is None else f"{verb} {template}"
            name = by_route or self._names.name(exchange.guard.rules, f"{verb} {path}")
        request.resource = name
        return True

    def _enter(self, exchange: Exchange) -> Refused | None:
        permit = exchange.guard.try_enter(exchange.request.resource, exchange.request)
        if not permit:
            return permit.refusal()
        exchange.permit = permit
        return None

    async def _aenter(self, exchange: Exchange) -> Refused | None:
        request = exchange.request
        if self._options.user is None and asks_for_user(exchange.guard.rules, request.resource):
            await request.load_user()  # `request.user` would ask a database in the event loop
        permit = await exchange.guard.atry_enter(request.resource, request)
        if not permit:
            return permit.refusal()
        exchange.permit = permit
        return None

    def _refusal(self, exchange: Exchange, error: BaseException) -> Refused | None:
        """Return the refusal that is to be answered, where errors come through to us; None: the call has ended with one."""
        refused = refusal_of(error)
        if refused is None:
            exchange.end(error)
        return refused

    def _conclude(self, exchange: Exchange, response: Any, refused: Refused | None) -> Any:
        """Return what goes out: the response, unless there is a refusal to be answered."""
        if refused is None:
            refused = exchange.unanswered(response)
        return exchange.take(response if refused is None else self._answer(exchange, refused))

    def _answer(self, exchange: Exchange, refused: Refused) -> Any:
        exchange.refusal = refused
        made = self._options.answer(exchange.request.given, refused)
        if isinstance(made, HttpResponseBase):
            return made
        if made is not None:
            getLogger("guardrail.http").error("on_refused must return a response of Django or None, got %r", made)
        status, fields, body = answer_to(refused)
        return HttpResponse(body, status=status, headers=dict(fields))


def _shown(status: int, fields: Fields, body: bytes) -> HttpResponse:
    return HttpResponse(body, status=status, headers=dict(fields))
