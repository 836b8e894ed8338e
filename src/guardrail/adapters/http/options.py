"""The options of the HTTP adapters, checked when a middleware is built.

Law: a wrong option fails there and is named; nothing about them is found out while a request waits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from logging import getLogger
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast, get_args

from guardrail.adapters.hooks import is_async
from guardrail.adapters.http.address import UNIX, ClientAddresses, network_of
from guardrail.adapters.http.attributes import asked
from guardrail.adapters.http.headers import HeaderStyle
from guardrail.adapters.http.resources import DEFAULT_EXEMPT, Exempt
from guardrail.default import default_guard
from guardrail.guard import Guard
from guardrail.rules.spelling import any_of, did_you_mean

if TYPE_CHECKING:
    from guardrail.adapters.http.attributes import RequestAttributes
    from guardrail.errors import Refused

Headers = Literal["ietf-10", "legacy", "both", "off"]
NAMES = ("trusted_proxies", "headers", "exempt", "user", "resource", "on_refused")
AWAITS = ("user", "on_refused")  # what tasks may await
ENVIRONMENT = "GUARDRAIL_TRUSTED_PROXIES"


class Options(TypedDict, total=False):
    """Name the options of a middleware, for type checkers."""

    trusted_proxies: Iterable[str]
    headers: Headers
    exempt: Iterable[str] | Callable[[Any], object]
    user: Callable[[Any], object] | None
    resource: str | Callable[[Any], object] | None
    on_refused: Callable[[Any, Any], Any] | None


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """Hold the options of one middleware.

    Attributes:
        addresses: Who is calling.
        style: The headers of answers.
        exempt: Which requests no rule is asked about.
        user: Says who the user is, from the request in the adapter's own form; None: nobody knows.
        resource: Names what is called, from the same; None, or no text from it: route or rules say so.
        on_refused: Makes the answer, from the same and the refusal; None, or None from it: problem+json.
    """

    addresses: ClientAddresses
    style: HeaderStyle
    exempt: Exempt
    user: Callable[[Any], object] | None
    resource: Callable[[Any], object] | None
    on_refused: Callable[[Any, Refused], Any] | None

    def exempts(self, request: RequestAttributes, given: Any, verb: str, path: str) -> bool:
        """Tell whether no rule is asked about a request.

        Args:
            given: The request in the adapter's own form.
        """
        exempt = self.exempt
        if exempt.has(verb, path):
            return True
        if verb == "OPTIONS" and exempt.preflights and request.lines("access-control-request-method"):
            return True
        return exempt.asks is not None and bool(asked(exempt.asks, given))

    def name(self, given: Any) -> str | None:
        """Return the name that the service gives to what is called, if it does."""
        name = None if self.resource is None else asked(self.resource, given)
        return name if isinstance(name, str) and name else None

    def answer(self, given: Any, refused: Refused) -> Any:
        """Return the answer that the service makes for a refusal; None: it makes none."""
        if self.on_refused is None:
            return None
        try:
            return self.on_refused(given, refused)
        except Exception:
            getLogger("guardrail.http").exception("on_refused raised, so the answer is the usual one")
            return None


def options_of(where: str, given: Mapping[str, object], *, awaits: Iterable[str] = ()) -> HttpOptions:
    """Check the options that a middleware was given.

    Args:
        where: What was given them, for the message.
        awaits: Those whose callables may be async.

    Raises:
        TypeError: There is no such option, or it is of a wrong kind.
        ValueError: An option has a wrong value.
    """
    for name in given:
        if name not in NAMES:
            raise TypeError(f"{where} has no option {name!r}{did_you_mean(name, ('guard', *NAMES))}")
        if name not in awaits and is_async(given[name]):
            raise TypeError(f"{name} must not be async here, got {given[name]!r}")
    return HttpOptions(
        ClientAddresses(_proxies(given.get("trusted_proxies", ()))),
        HeaderStyle(_headers(given.get("headers", "ietf-10"))),
        _exempt(given.get("exempt", DEFAULT_EXEMPT)),
        _hook("user", given.get("user")),
        _resource(given.get("resource")),
        _hook("on_refused", given.get("on_refused")),
    )


def guard_of(guard: object) -> Callable[[], Guard]:
    """Return what gives the guard to ask: the one given, or else whichever is the default one then.

    Raises:
        TypeError: It is no guard.
    """
    if guard is None:
        return default_guard
    if not isinstance(guard, Guard):
        raise TypeError(f"guard must be a Guard, or None for the default one, got {guard!r}")
    return lambda: guard


def _proxies(given: object) -> list[str]:
    name = "trusted_proxies"
    if not given:
        given, name = os.environ.get(ENVIRONMENT, "").replace(",", " ").split(), ENVIRONMENT
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"{name} must be a list of addresses and networks, such as ['10.0.0.0/8'], got {given!r}")
    words = [str(word).strip() for word in cast("Iterable[object]", given)]
    for word in words:
        try:
            if word != UNIX:
                network_of(word)
        except ValueError as error:
            hint = "; name the proxies, or anybody could pretend to be anybody" if word == "*" else ""
            raise ValueError(
                f"{name} must list addresses and networks, such as 10.0.0.0/8, got {word!r}{hint}"
            ) from error
    return words


def _headers(given: object) -> Headers:
    words: tuple[Headers, ...] = get_args(Headers)
    for word in words:
        if given == word:
            return word
    raise ValueError(f"headers must be {any_of(words)}, got {given!r}{did_you_mean(given, words)}")


def _exempt(given: object) -> Exempt:
    if callable(given):
        return Exempt((), given)
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"exempt must be a list of paths, such as ['/healthz'], or a callable, got {given!r}")
    texts: list[str] = []
    for text in cast("Iterable[object]", given):
        if not isinstance(text, str):
            raise TypeError(f"exempt must list paths, such as '/healthz', got {text!r}")
        texts.append(text)
    try:
        return Exempt(texts)
    except ValueError as error:
        raise ValueError(f"exempt: {error}") from None


def _resource(given: object) -> Callable[[Any], object] | None:
    return (lambda _: given) if isinstance(given, str) and given else _hook("resource", given)


def _hook(name: str, given: object) -> Callable[..., Any] | None:
    if given is None or callable(given):
        return given
    raise TypeError(f"{name} must be a callable, got {given!r}")
