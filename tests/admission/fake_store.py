"""A store in this process, which decides with the limits of core and does what a test tells it to do wrong.

Law: a decision reads all its states, then charges all checks or none; what it writes starts or keeps a life (`era`), and
a charge is given back only to the life it was made in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from guardrail.clock import Clock
from guardrail.core.limit import Charge, Limit, State
from guardrail.core.token_bucket import TokenBucket
from guardrail.stores.protocol import Check, Refund, Reply, Unavailable
from guardrail.telemetry.events import Event
from guardrail.telemetry.histogram import Histogram
from guardrail.telemetry.snapshot import StoreSnapshot


@dataclass(frozen=True)
class Kept:
    """One state, the numbers it is written in, and its life."""

    limit: Limit[Any]
    state: State
    era: int


class FakeStore:
    """Keep shared limits in this process.

    Attributes:
        asked: The checks of every decision that was asked for; of peeks too, which are in `peeks` as well.
        outage: The store does not answer.
        charges_unheard: ... but has charged what it was asked to: the reply was lost.
        fails: What every method that may raise raises.
        meanwhile: Called between a decision and its answer; what it raises ends the call that waits.
        answers_when: An async store answers when this is set.
    """

    def __init__(self, clock: Clock, *, processes: int = 1) -> None:
        self.clock = clock
        self.processes = processes
        self.kept: dict[str, Kept] = {}
        self.asked: list[tuple[Check, ...]] = []
        self.peeks: list[tuple[Check, ...]] = []
        self.refunds: list[Refund] = []
        self.owed: list[Check] = []
        self.forgotten: list[tuple[str, list[str] | None]] = []
        self.outage: Unavailable | None = None
        self.charges_unheard = False
        self.fails: Exception | None = None
        self.meanwhile: Callable[[], object] = lambda: None
        self.answers_when: asyncio.Event | None = None
        self.tell: Callable[[Event], object] | None = None
        self.tells_returns: list[Callable[[str], object]] = []
        self.forks = 0
        self.closed = 0

    # ---- the protocol

    def admit(self, checks: Sequence[Check], *, peek: bool = False) -> Reply | Unavailable:
        answer = self._decided(checks, peek)
        try:
            self.meanwhile()
        except BaseException:
            self._undone(checks, answer, peek)
            raise
        return answer

    async def aadmit(self, checks: Sequence[Check], *, peek: bool = False) -> Reply | Unavailable:
        answer = self._decided(checks, peek)
        try:
            self.meanwhile()
            if self.answers_when is not None:
                await self.answers_when.wait()
        except BaseException:
            self._undone(checks, answer, peek)
            raise
        return answer

    def give_back(self, refunds: Sequence[Refund]) -> None:
        self.refunds += refunds
        if self._is_out_of_reach():
            return
        now_us = self.clock.now_us()
        for key, limit, cost, charge, era in refunds:
            kept = self.kept.get(key)
            if kept is None or (kept.limit, kept.era) != (limit, era):
                continue
            if now_us >= charge.at_us and not limit.is_ahead(kept.state, now_us):
                self.kept[key] = Kept(limit, limit.give_back(kept.state, now_us, cost, charge), era)
        self._say_returned([refund.key for refund in refunds])

    def owe(self, checks: Sequence[Check]) -> None:
        self.owed += checks
        if not self._is_out_of_reach():
            self._charge(checks)
            self._say_returned([check.key for check in checks])

    def forget(self, rule: str, keys: Sequence[str] | None) -> None:
        if self.fails is not None:
            raise self.fails
        self.forgotten.append((rule, None if keys is None else list(keys)))
        for key in [key for key in self.kept if key.endswith(f"}}:{rule}") and (keys is None or key in keys)]:
            del self.kept[key]

    async def aforget(self, rule: str, keys: Sequence[str] | None) -> None:
        await asyncio.sleep(0)
        self.forget(rule, keys)

    def live_processes(self) -> int:
        return self.processes

    def snapshot(self) -> StoreSnapshot:
        is_away = self.outage is not None
        reason = "the server closed the connection" if is_away else ""
        errors = {"connection": 1} if is_away else {}
        return StoreSnapshot("redis://fake:6379/0", not is_away, reason, int(is_away), errors, Histogram().view())

    def follow(self, tell: Callable[[Event], object]) -> None:
        self.tell = tell

    def follow_returns(self, tell: Callable[[str], object]) -> None:
        self.tells_returns.append(tell)

    def after_fork(self) -> None:
        self.forks += 1

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1

    # ---- for tests

    def left(self, key: str) -> int:
        """How much is left of one limit."""
        kept, now_us = self.kept[key], self.clock.now_us()
        return kept.limit.view(kept.limit.at(kept.state, now_us), now_us)[0]

    def only_left(self) -> int:
        """The same, where only one is kept."""
        (key,) = self.kept
        return self.left(key)

    # ---- how it decides

    def _decided(self, checks: Sequence[Check], peek: bool) -> Reply | Unavailable:
        self.asked.append(tuple(checks))
        if peek:
            self.peeks.append(tuple(checks))
        if self.fails is not None:
            raise self.fails
        if self.outage is not None:
            if self.charges_unheard:
                self._charge(checks)
            return self.outage
        now_us = self.clock.now_us()
        standing = [self._standing(check, now_us) for check in checks]
        rulings = [
            check.limit.ask(kept.state, now_us, check.cost, check.max_wait_us)
            for check, kept in zip(checks, standing, strict=True)
        ]
        allowed = all(ruling.allowed or check.watches for check, ruling in zip(checks, rulings, strict=True))
        if not peek:
            for check, kept, ruling in zip(checks, standing, rulings, strict=True):
                if allowed and ruling.allowed and check.cost:
                    state = check.limit.charge(kept.state, now_us, check.cost)
                    self.kept[check.key] = Kept(check.limit, state, kept.era)
                elif (allowed or not check.watches) and self._is_ahead(check, now_us):
                    self.kept[check.key] = kept
        return Reply(allowed, now_us, tuple(one.state for one in standing), tuple(one.era for one in standing))

    def _standing(self, check: Check, now_us: int) -> Kept:
        """The state by now in the numbers of the check, as the next write would keep it."""
        limit, kept = check.limit, self.kept.get(check.key)
        if kept is None or not _alike(kept.limit, limit):
            return Kept(limit, limit.fresh(now_us), now_us)
        state = kept.state if kept.limit == limit else limit.adopt(kept.state, kept.limit)
        moved = kept.limit != limit or limit.is_ahead(state, now_us)
        return Kept(limit, limit.at(state, now_us), kept.era + moved)

    def _is_ahead(self, check: Check, now_us: int) -> bool:
        kept = self.kept.get(check.key)
        if kept is None or not _alike(kept.limit, check.limit):
            return False
        state = kept.state if kept.limit == check.limit else check.limit.adopt(kept.state, kept.limit)
        return check.limit.is_ahead(state, now_us)

    def _charge(self, checks: Sequence[Check]) -> None:
        now_us = self.clock.now_us()
        for check in checks:
            kept = self._standing(check, now_us)
            self.kept[check.key] = Kept(check.limit, check.limit.charge(kept.state, now_us, check.cost), kept.era)

    def _undone(self, checks: Sequence[Check], answer: Reply | Unavailable, peek: bool) -> None:
        """Give back what was granted to a caller that has gone."""
        if not isinstance(answer, Reply) or not answer.allowed or peek:
            return
        refunds = []
        for check, state, era in zip(checks, answer.states, answer.eras, strict=True):
            ruling = check.limit.ask(state, answer.now_us, check.cost, check.max_wait_us)
            if ruling.allowed and check.cost:
                charged = check.limit.charge(state, answer.now_us, check.cost)
                charge = Charge(check.cost, answer.now_us, charged, ruling.wait_us > 0)
                refunds.append(Refund(check.key, check.limit, check.cost, charge, era))
        self.give_back(refunds)

    def _say_returned(self, keys: Sequence[str]) -> None:
        for key in keys:
            for tell in self.tells_returns:
                tell(key)

    def _is_out_of_reach(self) -> bool:
        if self.fails is not None:
            raise self.fails
        return self.outage is not None


def _alike(old: Limit[Any], new: Limit[Any]) -> bool:
    """Tell whether a state of one can be read by the other. A leaky bucket is a bucket."""
    return type(old) is type(new) or (isinstance(old, TokenBucket) and isinstance(new, TokenBucket))
