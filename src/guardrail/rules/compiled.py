"""The limit that a rule's numbers describe.

Law: whatever the rule layer lets through can be built; what cannot is refused with numbers that can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, assert_never

if TYPE_CHECKING:
    from guardrail.core.limit import Limit
    from guardrail.rules.units import Rate

Algorithm = Literal["token_bucket", "sliding_window", "fixed_window", "sliding_log", "leaky_bucket"]


def core_limit(algorithm: Algorithm, rate: Rate, burst: int | None, max_wait_us: int) -> Limit[Any]:
    """Build the limit; without a *burst* the whole amount can be spent at once.

    Raises:
        ValueError: Its numbers would leave 2**53, or it would have to remember too much.
    """
    from guardrail.core.fixed_window import FixedWindow
    from guardrail.core.leaky_bucket import LeakyBucket
    from guardrail.core.sliding_log import SlidingLog
    from guardrail.core.sliding_window import SlidingWindow
    from guardrail.core.token_bucket import TokenBucket

    match algorithm:
        case "token_bucket":
            return TokenBucket(rate.amount, rate.period_us, burst or rate.amount, max_wait_us)
        case "leaky_bucket":
            return LeakyBucket(rate.amount, rate.period_us, max_wait_us)
        case "sliding_window":
            return SlidingWindow(rate.amount, rate.period_us)
        case "fixed_window":
            return FixedWindow(rate.amount, rate.period_us)
        case "sliding_log":
            return SlidingLog(rate.amount, rate.period_us)
        case _:
            assert_never(algorithm)
