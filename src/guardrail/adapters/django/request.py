"""One request of Django, as rules see it.

Law: names come from the patterns of the URL configuration; users are loaded only if a rule asks for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardrail.adapters.django.routes import template_of
from guardrail.adapters.hooks import aasked, asked
from guardrail.adapters.http.attributes import LOG
from guardrail.adapters.http.resources import known_method
from guardrail.adapters.wsgi.request import WsgiRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardrail.adapters.http.options import HttpOptions
    from guardrail.rules.ruleset import RuleSet


class DjangoRequest(WsgiRequest):
    """Look up the attributes of one request.

    Attributes:
        given: The request as Django has it.
    """

    def __init__(self, given: Any, options: HttpOptions) -> None:
        super().__init__(given.META, options)
        self.given = given
        self.path_text = given.path_info

    def origin(self) -> object:
        return getattr(self.given, "scope", None) or self.environ

    def template(self) -> str | None:
        """Return the pattern of the view's URL; None: there is no view."""
        match = getattr(self.given, "resolver_match", None)
        return None if match is None else template_of(match.route)

    def method(self) -> str:
        return known_method(self.given.method or "")

    def path_values(self) -> Mapping[str, str]:
        match = getattr(self.given, "resolver_match", None)
        return super().path_values() if match is None else {name: str(value) for name, value in match.kwargs.items()}

    def user(self) -> object:
        hook = self.options.user
        return asked(known_in if hook is None else hook, self.given, log=LOG)

    async def load_user(self) -> None:
        """Load the user from a task."""
        load = getattr(self.given, "auser", None)
        if load is not None:
            user = await aasked(load, log=LOG)
            self.know_user(asked(authenticated, user, log=LOG))


def known_in(given: Any) -> object:
    """Return the user of a request, or None where it is nobody that is known."""
    return authenticated(given.user)


def authenticated(user: Any) -> object:
    """Return the user, or None where it is nobody that is known."""
    return user if user is not None and user.is_authenticated else None


def asks_for_user(rules: RuleSet, resource: str) -> bool:
    """Tell whether a rule of this resource names the user or a part of it."""
    for rule in rules.match(resource):
        names = [*(name for part in rule.key or () for name in part), *rule.when, str(getattr(rule, "cost", ""))]
        if any(name == "user" or name.startswith("user.") for name in names):
            return True
    return False
