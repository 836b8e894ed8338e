"""Token bucket: bursts up to the capacity, then a steady refill.

Law: in any span of T us at most `burst + T * amount // period_us` tokens are admitted, without any rounding. Where calls
wait, the span counts from start to start and is T + 1: a start is rounded up to a whole microsecond.

The state is (debt, last_us): what was missing from full at the last write, in units of 1/p token, of which r drain in a
microsecond. A call that waits charges at once, so that the debt goes above what a full bucket holds. While it is there
somebody may be waiting, whose start was promised on the strength of all that had been charged; so nothing is given back
then, but by the last one charged, and by that one only the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import gcd
from typing import Self, TypeAlias

from guardrail.core.limit import ALLOWED, LARGEST, TOO_LARGE, Charge, Ruling, ceil_div, check_whole, refused

BucketState: TypeAlias = tuple[int, int]  # debt, last_us

_LARGEST_FACTOR = 100_000


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """Let in *amount* per *period_us* and up to *burst* at once.

    Attributes:
        max_wait_us: How long a call may be made to wait for its tokens.
        r: Units of debt that drain in a microsecond.
        p: Units in a token.
        capacity_debt: Units in a full bucket.

    Raises:
        ValueError: A number is below 1 (the wait: 0), or the debt could reach 2**53.
    """

    amount: int
    period_us: int
    burst: int
    max_wait_us: int = 0
    r: int = field(init=False, repr=False, compare=False)
    p: int = field(init=False, repr=False, compare=False)
    capacity_debt: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_whole("amount", self.amount)
        check_whole("period_us", self.period_us)
        check_whole("burst", self.burst)
        check_whole("max_wait_us", self.max_wait_us, least=0)
        divisor = gcd(self.amount, self.period_us)
        object.__setattr__(self, "r", self.amount // divisor)
        object.__setattr__(self, "p", self.period_us // divisor)
        object.__setattr__(self, "capacity_debt", self.burst * self.p)
        if 2 * self.capacity_debt + self.max_wait_us * self.r > LARGEST:
            nearest = nearest_fit(self.amount, self.period_us, self.burst, self.max_wait_us)
            hint = "no other amount does" if nearest is None else f"the nearest amount that does is {nearest}"
            raise ValueError(
                f"{self.amount} per {self.period_us} us with burst {self.burst} and max_wait {self.max_wait_us} us"
                f" cannot be counted exactly below 2^53; {hint}"
            )

    @property
    def capacity(self) -> int:
        return self.burst

    @property
    def refill_us(self) -> int:
        return ceil_div(self.capacity_debt, self.r)

    def fresh(self, now_us: int) -> BucketState:
        return 0, now_us

    def at(self, state: BucketState, now_us: int) -> BucketState:
        debt, last_us = state
        elapsed_us = max(0, now_us - last_us)
        elapsed_us = min(elapsed_us, ceil_div(debt, self.r))
        return max(0, debt - elapsed_us * self.r), now_us

    def is_ahead(self, state: BucketState, now_us: int) -> bool:
        return now_us < state[1]

    def is_idle(self, state: BucketState, now_us: int) -> bool:
        return self.at(state, now_us)[0] == 0

    def ask(self, state: BucketState, now_us: int, cost: int, max_wait_us: int) -> Ruling:
        if cost == 0:
            return ALLOWED
        if cost * self.p > self.capacity_debt:
            return TOO_LARGE
        shortage = state[0] + cost * self.p - self.capacity_debt
        if shortage <= 0:
            return ALLOWED
        wait_us = ceil_div(shortage, self.r)
        if wait_us <= max_wait_us:
            return Ruling(True, wait_us)
        return refused(wait_us - max_wait_us)

    def charge(self, state: BucketState, now_us: int, cost: int) -> BucketState:
        debt, last_us = state
        return min(debt + cost * self.p, LARGEST), last_us

    def give_back(self, state: BucketState, now_us: int, cost: int, charge: Charge) -> BucketState:
        debt, last_us = state
        newest = state == charge.state
        if charge.waited and not newest:
            return state
        if self._somebody_may_wait(state, now_us) and not (newest and cost == charge.cost):
            return state
        if charge.state[0] == LARGEST:  # it was cut off there, and how much of it counts is not known
            return state
        elapsed_us = now_us - charge.at_us
        returned = max(0, cost * self.p - elapsed_us * self.r)
        return max(0, debt - returned), last_us

    def view(self, state: BucketState, now_us: int) -> tuple[int, int]:
        debt = state[0]
        return max(0, self.capacity_debt - debt) // self.p, ceil_div(debt, self.r)

    def share(self, count: int) -> Self:
        try:
            return self._slowed(count)
        except ValueError:  # a period so long that its multiple cannot be counted: a larger share can
            return self.share(count // 2)

    def adopt(self, state: BucketState, old: Self) -> BucketState:
        if (self.r, self.p, self.burst) == (old.r, old.p, old.burst):
            return state
        debt, last_us = state
        debt = ceil_div(debt, old.p) * self.p
        return min(debt, self.capacity_debt + self.max_wait_us * self.r), last_us

    def _slowed(self, count: int) -> Self:
        return replace(self, period_us=self.period_us * count, burst=max(1, self.burst // count))

    def _somebody_may_wait(self, state: BucketState, now_us: int) -> bool:
        return self.max_wait_us > 0 and self.at(state, now_us)[0] > self.capacity_debt


def nearest_fit(amount: int, period_us: int, burst: int | None, max_wait_us: int) -> int | None:
    """Return the amount nearest to *amount* with which a token bucket of these numbers can be built, or None.

    The smaller of two. Exact unless the period has two prime factors above 100,000, where a nearer one may be missed.

    Args:
        burst: None: as large as the amount, whatever that is.
    """
    fixed = 0 if burst is None else 2 * burst * period_us
    growing = max_wait_us + (2 * period_us if burst is None else 0)
    found: list[int] = []
    for divisor in _divisors(period_us):
        # a multiple of the divisor fits if `fixed + growing * multiple` stays below 2^53 times it
        room = LARGEST * divisor - fixed
        most = min(LARGEST, room // growing) if growing else LARGEST
        most -= most % divisor
        if room < 0 or most < divisor:
            continue
        below = max(divisor, amount - amount % divisor)
        found += [min(below, most), min(below + divisor, most)]
    return min(found, key=lambda fitting: (abs(fitting - amount), fitting), default=None)


def _divisors(number: int) -> list[int]:
    divisors, rest, factor = [1], number, 2
    while rest > 1:
        if factor > _LARGEST_FACTOR or factor * factor > rest:
            factor = rest
        multiples = divisors
        while rest % factor == 0:
            rest //= factor
            multiples = [divisor * factor for divisor in multiples]
            divisors = divisors + multiples
        factor += 1
    return divisors
