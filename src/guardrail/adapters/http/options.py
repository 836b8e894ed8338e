"""The options of the HTTP adapters, checked when a middleware is built.

Law: a wrong option fails there and is named. What only a request can show, such as a hook that raises, never fails one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast, get_args

from guardrail.adapters.guards import guard_of
from guardrail.adapters.hooks import asked, checked_hook, named, say_failed
from guardrail.adapters.http.address import UNIX, ClientAddresses, network_of
from guardrail.adapters.http.attributes import LOG
from guardrail.adapters.http.headers import HeaderStyle
from guardrail.adapters.http.page import page_path
from guardrail.adapters.http.resources import DEFAULT_EXEMPT, Exempt
from guardrail.guard import Guard
from guardrail.rules.spelling import any_of, did_you_mean

if TYPE_CHECKING:
    from guardrail.adapters.http.attributes import RequestAttributes
    from guardrail.errors import Refused

Headers = Literal["ietf-10", "legacy", "both", "off"]
NAMES = ("trusted_proxies", "headers", "exempt", "user", "resource", "on_refused", "metrics")
AWAITS = ("user", "on_refused")  # what tasks may await
ENVIRONMENT = "GUARDRAIL_TRUSTED_PROXIES"


class CommonOptions(TypedDict, total=False):
    """Name the options that every middleware has, for type checkers."""

    trusted_proxies: Iterable[str]
    headers: Headers
    exempt: Iterable[str] | Callable[[Any], object]
    resource: str | Callable[[Any], object] | None
    on_refused: Callable[[Any, Any], Any] | None
    metrics: str | None


class Options(CommonOptions, total=False):
    """Name the options of a middleware that is told who is calling by a hook."""

    user: Callable[[Any], object] | None


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """Hold the options of one middleware.

    Attributes:
        where: What has them.
        guard: Gives the guard to ask.
        addresses: Who is calling.
        style: The headers of answers.
        exempt: Which requests no rule is asked about.
        user: Says who the user is, from the request in the adapter's own form; None: nobody knows.
        resource: Names what is called, from the same; None, or no text from it: route or rules say so.
        on_refused: Makes the answer, from the same and the refusal; None, or None from it: problem+json.
        metrics: The path at which the middleware shows metrics; None: nowhere.
    """

    where: str
    guard: Callable[[], Guard]
    addresses: ClientAddresses
    style: HeaderStyle
    exempt: Exempt
    user: Callable[[Any], object] | None
    resource: Callable[[Any], object] | None
    on_refused: Callable[[Any, Refused], Any] | None
    metrics: str | None

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
        return exempt.asks is not None and bool(asked(exempt.asks, given, log=LOG))

    def name(self, given: Any) -> str | None:
        """Return the name that the service gives to what is called, if it does."""
        return None if self.resource is None else named(self.resource, given, log=LOG)

    def answer(self, given: Any, refused: Refused) -> Any:
        """Return the answer that the service makes for a refusal; None: it makes none."""
        if self.on_refused is None:
            return None
        try:
            return self.on_refused(given, refused)
        except Exception:  # noqa: BLE001  a service's own code raises what it likes
            say_failed(self.on_refused, LOG)
            return None


def options_of(
    where: str,
    given: Mapping[str, object],
    *,
    guard: object = None,
    awaits: Iterable[str] = (),
    request: str = "the request",
) -> HttpOptions:
    """Check the options that a middleware was given.

    Args:
        where: What was given them, for the message.
        guard: Who decides; None: whichever is the default one then.
        awaits: Those whose callables may be async.
        request: What hooks are called with, in words.

    Raises:
        ImportError: There are to be metrics, and prometheus-client is missing.
        TypeError: There is no such option, or it is of a wrong kind; or the guard is none.
        ValueError: An option has a wrong value.
    """
    for name in given:
        if name not in NAMES:
            raise TypeError(f"{where} has no option {name!r}{did_you_mean(name, ('guard', *NAMES))}")
    metrics = page_path(given.get("metrics"))
    on_refused = given.get("on_refused")
    return HttpOptions(
        where,
        guard_of(guard),
        ClientAddresses(_proxies(given.get("trusted_proxies", ()))),
        HeaderStyle(_headers(given.get("headers", "ietf-10"))),
        _exempt(given.get("exempt", DEFAULT_EXEMPT), request, metrics),
        checked_hook("user", given.get("user"), request, awaits="user" in awaits),
        _resource(given.get("resource"), request),
        checked_hook("on_refused", on_refused, request, "the refusal", awaits="on_refused" in awaits),
        metrics,
    )


def app_of(where: str, kind: str, app: object) -> Any:
    """Return the app that a middleware is to stand around.

    Raises:
        TypeError: It is none.
    """
    if isinstance(app, Guard):
        raise TypeError(f"app must be {kind}, got a Guard; the app comes first: {where}(app, guard)")
    if not callable(app):
        raise TypeError(f"app must be {kind}, got {app!r}")
    return app


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


def _exempt(given: object, request: str, page: str | None) -> Exempt:
    if callable(given):
        return Exempt((), checked_hook("exempt", given, request), page)
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"exempt must be a list of paths, such as ['/healthz'], or a callable, got {given!r}")
    texts: list[str] = []
    for text in cast("Iterable[object]", given):
        if not isinstance(text, str):
            raise TypeError(f"exempt must list paths, such as '/healthz', got {text!r}")
        texts.append(text)
    try:
        return Exempt(texts, page=page)
    except ValueError as error:
        raise ValueError(f"exempt: {error}") from None


def _resource(given: object, request: str) -> Callable[[Any], object] | None:
    if isinstance(given, str) and given:
        return lambda _: given
    if given is not None and not callable(given):
        raise TypeError(f"resource must be a text, such as 'shop', or a callable over {request}, got {given!r}")
    return checked_hook("resource", given, request)
