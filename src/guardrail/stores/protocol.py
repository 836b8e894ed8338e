"""Store: where limits are counted that several processes share.

Law: a store decides all checks of a call or none, by its own clock, and answers in bounded time. That it could not be
asked is an answer too (`Unavailable`); only what forgets raises. What may have been charged is never sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from guardrail.clock import Clock
    from guardrail.core.limit import Charge, Limit, State
    from guardrail.telemetry.events import Event
    from guardrail.telemetry.snapshot import StoreSnapshot


class Check(NamedTuple):
    """Ask one limit of one state.

    Attributes:
        key: Where the state is kept: `{digest of the subject}:rule`, without the store's prefix.
        cost: Tokens; 0 is always allowed and charges nothing.
        max_wait_us: How long the call may be made to wait, at most the limit's own.
        watches: The rule only watches: it is charged by itself, if all others allow the call.
    """

    key: str
    limit: Limit[Any]
    cost: int
    max_wait_us: int = 0
    watches: bool = False


class Reply(NamedTuple):
    """Hold what the store said to one call.

    Attributes:
        allowed: Every check that does not just watch allows the call; then these are charged, unless it was a peek.
        now_us: The store's time.
        states: One for each check: as it stood at `now_us`, before any charge, in the numbers of the check's limit.
        eras: One for each check: names the life of the state; a charge is given back only to the same one.
    """

    allowed: bool
    now_us: int
    states: tuple[State, ...]
    eras: tuple[int, ...]


class Unavailable(NamedTuple):
    """Say that the store could not be asked, or did not answer in time. Whether it has charged is not known.

    Attributes:
        retry_after_us: When the store will be looked at again.
    """

    retry_after_us: int


class Refund(NamedTuple):
    """Give back *cost* of one charge.

    Attributes:
        era: The one the reply named for this check.
    """

    key: str
    limit: Limit[Any]
    cost: int
    charge: Charge
    era: int


class Store(Protocol):
    """Keep shared limits. Safe from any thread and task.

    Attributes:
        clock: The source of the store's time, for tests; None: it has its own.
    """

    @property
    def clock(self) -> Clock | None: ...

    def admit(self, checks: Sequence[Check], *, peek: bool = False) -> Reply | Unavailable:
        """Charge all checks or none; a peek charges nothing."""
        ...

    async def aadmit(self, checks: Sequence[Check], *, peek: bool = False) -> Reply | Unavailable:
        """Decide as `admit` does, from a task. A grant whose task is cancelled meanwhile is given back."""
        ...

    def give_back(self, refunds: Sequence[Refund]) -> None:
        """Give charges back, as far as that is safe. Never waits, never raises, is never repeated."""

    def owe(self, checks: Sequence[Check]) -> None:
        """Charge more after the fact, whether or not there is room. Never waits, never raises, is never repeated."""

    def forget(self, rule: str, keys: Sequence[str] | None) -> None:
        """Forget the states with these keys; None: all of the rule.

        Raises:
            StoreError: The store could not be asked.
        """

    async def aforget(self, rule: str, keys: Sequence[str] | None) -> None:
        """Forget as `forget` does, from a task."""

    def live_processes(self) -> int:
        """Return how many processes share the store, as last known; at least 1. Never waits."""
        ...

    def snapshot(self) -> StoreSnapshot:
        """Return how the store is, and has been since this process began. Never waits."""
        ...

    def follow(self, tell: Callable[[Event], object]) -> None:
        """Tell events of the store (outage, recovery, settings that endanger limits) from now on."""

    def follow_returns(self, tell: Callable[[str], object]) -> None:
        """Tell, from now on, the key of every state to which something was given back, or charged after the fact.

        It is told when the state has changed, whoever asked for that: also for what a cancelled call had been granted.
        """

    def after_fork(self) -> None:
        """Start again in a forked child: connections and locks are the parent's."""

    def close(self) -> None:
        """Give up the connections of threads, and those of event loops that are gone."""

    async def aclose(self) -> None:
        """Give up all connections, those of this event loop in order."""
