"""The Django middleware: asks the rules once the view is known, and ends the permit with the response."""

from __future__ import annotations

from collections.abc import Callable
from logging import getLogger
from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string

from guardrail.adapters.django.escapes import JOURNEY, watch
from guardrail.adapters.django.request import DjangoRequest, asks_for_user
from guardrail.adapters.django.response import Journey
from guardrail.adapters.hooks import refusal_of
from guardrail.adapters.http.answers import answer_to
from guardrail.adapters.http.options import guard_of, options_of
from guardrail.adapters.http.resources import RuleNames, verb_of
from guardrail.admission.ambient import publish, withdraw

if TYPE_CHECKING:
    from guardrail.errors import Refused


class GuardMiddleware:
    """Guard a Django project, under WSGI and ASGI.

    Raises:
        TypeError: A setting does not exist, or is of a wrong kind.
        ValueError: A setting has a wrong value.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        given = dict(getattr(settings, "GUARDRAIL", None) or {})
        guard = given.pop("guard", None)
        self._guard = guard_of(import_string(guard) if isinstance(guard, str) else guard)
        self._options = options_of("GUARDRAIL", given)
        self._names = RuleNames()
        watch()
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)
            vars(self)["process_view"] = self._aprocess_view

    def __call__(self, request: Any) -> Any:
        """Serve one request."""
        if iscoroutinefunction(self):
            return self._acall(request)
        journey = self._begin(request)
        published = publish(journey.request)
        response = refused = None
        try:
            response = self.get_response(request)
            if journey.is_waiting and self._locate(journey):
                refused = self._enter(journey)
        except BaseException as error:
            refused = self._refusal(journey, error)
            if refused is None:
                raise
        finally:
            withdraw(published)
        return self._conclude(journey, response, refused)

    async def _acall(self, request: Any) -> Any:
        journey = self._begin(request)
        published = publish(journey.request)
        response = refused = None
        try:
            response = await self.get_response(request)
            if journey.is_waiting and self._locate(journey):
                refused = await self._aenter(journey)
        except BaseException as error:
            refused = self._refusal(journey, error)
            if refused is None:
                raise
        finally:
            withdraw(published)
        return self._conclude(journey, response, refused)

    def process_view(self, request: Any, view: object, args: object, kwargs: object) -> Any:
        """Enter the rules, now that the view is known."""
        journey: Journey = getattr(request, JOURNEY)
        if not self._locate(journey):
            return None
        refused = self._enter(journey)
        return None if refused is None else self._answer(journey, refused)

    async def _aprocess_view(self, request: Any, view: object, args: object, kwargs: object) -> Any:
        journey: Journey = getattr(request, JOURNEY)
        if not self._locate(journey):
            return None
        refused = await self._aenter(journey)
        return None if refused is None else self._answer(journey, refused)

    def process_exception(self, request: Any, error: Exception) -> Any:
        """Answer a refusal that a view lets escape; remember any other error for breakers."""
        journey: Journey = getattr(request, JOURNEY)
        refused = refusal_of(error)
        if refused is not None:
            return self._answer(journey, refused)
        journey.error = error
        return None

    def _begin(self, request: Any) -> Journey:
        journey = Journey(self._guard(), self._options.style, DjangoRequest(request, self._options))
        setattr(request, JOURNEY, journey)
        return journey

    def _locate(self, journey: Journey) -> bool:
        """Find out what is called; False: no rule is asked about it."""
        journey.is_waiting = False
        options, request = self._options, journey.request
        given, path = request.given, request.path_text
        verb = verb_of(given.method or "")
        if options.exempts(request, given, verb, path):
            return False
        name, template = options.name(given), request.template()
        if name is None:
            by_route = None if template is None else f"{verb} {template}"
            name = by_route or self._names.name(journey.guard.rules, f"{verb} {path}")
        request.resource = name
        return True

    def _enter(self, journey: Journey) -> Refused | None:
        permit = journey.guard.try_enter(journey.request.resource, journey.request)
        if not permit:
            return permit.refusal()
        journey.permit = permit
        return None

    async def _aenter(self, journey: Journey) -> Refused | None:
        request = journey.request
        if self._options.user is None and asks_for_user(journey.guard.rules, request.resource):
            await request.load_user()  # `request.user` would ask a database in the event loop
        permit = await journey.guard.atry_enter(request.resource, request)
        if not permit:
            return permit.refusal()
        journey.permit = permit
        return None

    def _refusal(self, journey: Journey, error: BaseException) -> Refused | None:
        """Return the refusal that is to be answered, where errors come through to us; None: the call has ended with one."""
        refused = refusal_of(error)
        if refused is None:
            journey.end(error)
        return refused

    def _conclude(self, journey: Journey, response: Any, refused: Refused | None) -> Any:
        """Return what goes out: the response, unless there is a refusal to be answered."""
        if refused is None:
            refused = journey.unanswered(response)
        return journey.take(response if refused is None else self._answer(journey, refused))

    def _answer(self, journey: Journey, refused: Refused) -> Any:
        journey.refusal = refused
        made = self._options.answer(journey.request.given, refused)
        if isinstance(made, HttpResponseBase):
            return made
        if made is not None:
            getLogger("guardrail.http").error("on_refused must return a response of Django or None, got %r", made)
        status, fields, body = answer_to(refused)
        return HttpResponse(body, status=status, headers=dict(fields))
