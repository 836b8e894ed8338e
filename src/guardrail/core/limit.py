"""Limits: how often. What the five of them share: one protocol, what they answer, what a charge remembers.

Law: a limit is its numbers, a state is a tuple of integers, and nothing else decides. Times are whole microseconds, all
arithmetic is exact, and asking charges nothing.

A caller with a lock, a state and a clock goes this way:

    state = limit.at(state, now_us)                        drained, or moved back with a clock that stepped back
    ruling = limit.ask(state, now_us, cost, max_wait_us)
    state = limit.charge(state, now_us, cost)              if allowed, and then written; a refusal writes `at` only
                                                           where the clock stepped back behind what was stored
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self, TypeAlias, TypeVar

if TYPE_CHECKING:
    from guardrail.core.verdict import Reason

State: TypeAlias = tuple[int, ...]
S = TypeVar("S", bound=State)

LARGEST = 2**53 - 1  # what Lua and JSON still tell apart


class Ruling(NamedTuple):
    """Hold what a limit says to one call; nothing has been charged.

    Attributes:
        wait_us: Allowed after this long; the place in the row is the caller's once it is charged.
        retry_after_us: The same call is allowed or queued from then on, and not 1 us earlier. None: never.
    """

    allowed: bool
    wait_us: int = 0
    retry_after_us: int | None = None
    reason: Reason | None = None


ALLOWED = Ruling(allowed=True)
TOO_LARGE = Ruling(allowed=False, reason="cost_too_large")


@dataclass(frozen=True, slots=True)
class Charge:
    """Remember one charge, so that it can be given back.

    Attributes:
        state: What `charge` returned.
        waited: The call was allowed after a wait.
    """

    cost: int
    at_us: int
    state: State
    waited: bool = False


class Limit(Protocol[S]):
    """Decide how often; the states are the caller's to keep. Limits with the same numbers are equal."""

    @property
    def capacity(self) -> int:
        """Return the most that can be spent at once."""
        ...

    @property
    def refill_us(self) -> int:
        """Return in how long all of the capacity comes back."""
        ...

    @property
    def max_wait_us(self) -> int:
        """Return how long a call may be made to wait; 0 where calls cannot wait."""
        ...

    def fresh(self, now_us: int) -> S:
        """Return the state in which nothing is used."""
        ...

    def at(self, state: S, now_us: int) -> S:
        """Return *state* as it stands now. A clock that stepped back stood still: ages are kept."""
        ...

    def is_ahead(self, state: S, now_us: int) -> bool:
        """Tell whether the clock stepped back behind *state*; then what `at` returns has to be written, refused or not."""
        ...

    def is_idle(self, state: S, now_us: int) -> bool:
        """Tell whether *state* carries no information any more."""
        ...

    def ask(self, state: S, now_us: int, cost: int, max_wait_us: int) -> Ruling:
        """Rule on a call, given the state `at` this moment. *max_wait_us* is at most the limit's own."""
        ...

    def charge(self, state: S, now_us: int, cost: int) -> S:
        """Charge *cost* to the state `at` this moment, whether or not there is room for it."""
        ...

    def give_back(self, state: S, now_us: int, cost: int, charge: Charge) -> S:
        """Return the state to store after giving back *cost*, at most what *charge* took, as far as that is safe.

        *state* is the one that is stored, not `at` this moment. Since the charge, it has not been reset or adopted and the
        clock has not stepped back; the caller knows.
        """
        ...

    def view(self, state: S, now_us: int) -> tuple[int, int]:
        """Return what remains (never below 0) and in how many us nothing is used, given the state `at` this moment."""
        ...

    def share(self, count: int) -> Self:
        """Return the limit for one of *count* that divide this one among them. Each lets in at least 1."""
        ...

    def adopt(self, state: S, old: Self) -> S:
        """Return a state written under *old*, the same algorithm with other numbers, in the numbers of this limit."""
        ...


def refused(retry_after_us: int) -> Ruling:
    """Refuse by the rate."""
    return Ruling(False, 0, retry_after_us, "rate")


def ceil_div(dividend: int, divisor: int) -> int:
    """Divide and round up."""
    return -(-dividend // divisor)


def check_whole(name: str, number: int, least: int = 1, most: int = LARGEST) -> None:
    """Refuse a number that is too small or too large, with a sentence.

    Raises:
        ValueError: It is.
    """
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    if number > most:
        raise ValueError(f"{name} must be at most {most:,}, got {number:,}")
