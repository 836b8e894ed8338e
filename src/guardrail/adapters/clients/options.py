"""The options of the clients, the same for every library, checked when a transport or an adapter is built.

Law: a wrong option fails there and is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict, get_args

from guardrail.adapters.clients.resources import Naming
from guardrail.adapters.hooks import checked_hook
from guardrail.rules.spelling import any_of, did_you_mean, shown
from guardrail.rules.units import parse_duration_us

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guardrail.adapters.clients.resources import Resource, User
    from guardrail.decorators.options import Duration

Hold = Literal["all", "retry-after", "off"]
HOLDS: tuple[Hold, ...] = get_args(Hold)
NAMES = ("resource", "user", "hold", "max_hold")
LONGEST = "5m"


class ClientOptions(TypedDict, total=False):
    """Name the options of a client. Hooks get the library's own request, and none is async.

    Attributes:
        resource: Names a request: a text for all of them, a callable over the request (None from it: the default), or a
            mapping such as `{"api.example.com/v1/orders/*": "/v1/orders/{id}"}`, whose values are resources or, from `/`
            on, the path behind `client GET api.example.com`. By default a request is `client GET api.example.com`.
        user: Tells the attribute `user` of a request, and by its parts `user.plan`.
        hold: What an answer may say to hold its resource back until then: `all` (`Retry-After` of a 429 or 503, and the
            RateLimit fields; the default), `retry-after` (that field alone) or `off`.
        max_hold: The longest that one answer holds its resource back; default: 5 minutes.
    """

    resource: Resource | None
    user: User | None
    hold: Hold
    max_hold: Duration


class Options(NamedTuple):
    """Hold the options of one client, checked."""

    naming: Naming
    user: Callable[[Any], object] | None
    hold: Hold
    max_hold_us: int


def options_of(where: str, given: Mapping[str, object], others: Iterable[str] = ("guard",)) -> Options:
    """Check the options that a client was given.

    Args:
        where: What was given them, for the message.
        others: What else it takes, for the hint.

    Raises:
        TypeError: There is no such option, or it is of a wrong kind.
        ValueError: An option has a wrong value.
    """
    for name in given:
        if name not in NAMES:
            raise TypeError(f"{where} has no option {name!r}{did_you_mean(name, (*others, *NAMES))}")
    return Options(
        Naming(given.get("resource")),
        checked_hook("user", given.get("user"), "the request"),
        _hold(given.get("hold", "all")),
        _most_us(given.get("max_hold", LONGEST)),
    )


def _hold(given: object) -> Hold:
    for word in HOLDS:
        if given == word:
            return word
    raise ValueError(f"hold must be {any_of(HOLDS)}, got {shown(given)}{did_you_mean(given, HOLDS)}")


def _most_us(max_hold: object) -> int:
    try:
        most = parse_duration_us(max_hold)
    except ValueError as error:
        raise ValueError(f"max_hold {error}") from None
    if most == 0:
        raise ValueError("max_hold must be more than 0; hold='off' ignores what answers say")
    return most
