"""The limit that a rule's numbers describe.

Law: whatever the rule layer lets through can be built and counted exactly; what cannot is refused with a rate that can.
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Any, Literal, assert_never

from guardrail.core.fixed_window import FixedWindow
from guardrail.core.leaky_bucket import LeakyBucket
from guardrail.core.sliding_log import MOST_UNITS, SlidingLog
from guardrail.core.sliding_window import SlidingWindow
from guardrail.core.token_bucket import TokenBucket, nearest_fit
from guardrail.rules.units import LARGEST, Rate, show_duration

if TYPE_CHECKING:
    from guardrail.core.limit import Limit

Algorithm = Literal["token_bucket", "sliding_window", "fixed_window", "sliding_log", "leaky_bucket"]

_FACTORS = 1_000  # a period that is a product of such and of one number below the next needs no long search
_LARGEST_REST = 10**9


def core_limit(algorithm: Algorithm, rate: Rate, burst: int | None, max_wait_us: int) -> Limit[Any]:
    """Build the limit; without a *burst* the whole amount can be spent at once.

    Raises:
        ValueError: Its numbers would leave 2**53, or it would have to remember too much.
    """
    match algorithm:
        case "token_bucket":
            _check_size(rate, burst, max_wait_us)
            return TokenBucket(rate.amount, rate.period_us, burst or rate.amount, max_wait_us)
        case "leaky_bucket":
            _check_size(rate, 1, max_wait_us)
            return LeakyBucket(rate.amount, rate.period_us, max_wait_us)
        case "sliding_window":
            return SlidingWindow(rate.amount, rate.period_us)
        case "fixed_window":
            return FixedWindow(rate.amount, rate.period_us)
        case "sliding_log":
            if rate.amount > MOST_UNITS:
                raise ValueError(
                    f"sliding_log remembers every unit: its amount must be at most {MOST_UNITS:,}, got {rate.amount};"
                    " use sliding_window"
                )
            return SlidingLog(rate.amount, rate.period_us)
        case _:
            assert_never(algorithm)


def _check_size(rate: Rate, burst: int | None, max_wait_us: int) -> None:
    """Refuse what a token bucket cannot count below 2**53, by the formula of the design (2C + max_wait*r)."""
    divisor = gcd(rate.amount, rate.period_us)
    most_debt = 2 * (burst or rate.amount) * rate.period_us + max_wait_us * rate.amount
    if most_debt // divisor <= LARGEST:
        return
    beside = f" with burst {burst}" if burst else ""
    beside += f" and max_wait {show_duration(max_wait_us)}" if max_wait_us else ""
    nearest = (
        nearest_fit(rate.amount, rate.period_us, burst, max_wait_us) if _is_searched_fast(rate.period_us) else None
    )
    advice = (
        f"the nearest rate that fits is {Rate(nearest, rate.period_us)}" if nearest else "use rounder or smaller ones"
    )
    raise ValueError(f"{rate}{beside} needs numbers of 2^53 and above, which are not exact; {advice}")


def _is_searched_fast(number: int) -> bool:
    for factor in range(2, _FACTORS):
        while number % factor == 0:
            number //= factor
    return number < _LARGEST_REST
