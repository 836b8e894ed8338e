"""What a store must say: `core` over a dictionary, one step after the other."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from guardrail.core.fixed_window import FixedWindow
from guardrail.core.limit import LARGEST, Charge, Limit, State
from guardrail.core.sliding_log import SlidingLog
from guardrail.core.sliding_window import SlidingWindow
from guardrail.core.token_bucket import TokenBucket
from guardrail.stores.protocol import Check, Refund, Reply


@dataclass
class Life:
    """One life of a state: until it is idle or forgotten."""

    limit: Limit[Any]
    state: State
    born: int | None  # its first era; None: nobody was told so far
    moves: int = 0

    @property
    def era(self) -> int | None:
        return None if self.born is None else self.born + self.moves


class Standing(NamedTuple):
    state: State
    moves: int
    ahead: bool


@dataclass
class Model:
    """Hold the lives by key, and every era that was ever told of a key and an algorithm."""

    lives: dict[str, Life] = field(default_factory=dict)
    told: dict[tuple[str, type], set[int]] = field(default_factory=lambda: defaultdict(set))
    touched: set[str] = field(default_factory=set)  # written by this batch

    def admit(self, checks: list[Check], peek: bool, now_us: int, reply: Reply) -> list[Refund]:
        """Hold one reply against what core says, and return what would give back all that is charged."""
        standings = [self.standing(check.key, check.limit, now_us) for check in checks]
        rulings = [
            check.limit.ask(standing.state, now_us, check.cost, check.max_wait_us)
            for check, standing in zip(checks, standings, strict=True)
        ]
        allowed = all(ruling.allowed or check.watches for check, ruling in zip(checks, rulings, strict=True))
        assert (allowed, now_us) == (reply.allowed, reply.now_us)
        for check, standing, state, era in zip(checks, standings, reply.states, reply.eras, strict=True):
            says_the_same(check, standing.state, state, now_us)
            self.knows(check, standing, era)
        if peek:
            return []
        refunds, written = [], set()
        for check, standing, ruling, era in zip(checks, standings, rulings, reply.eras, strict=True):
            charges = allowed and ruling.allowed and check.cost > 0
            self.commit(check, charges, now_us, None if check.key in written else era)
            if charges:
                written.add(check.key)
                charged = check.limit.charge(standing.state, now_us, check.cost)
                charge = Charge(check.cost, now_us, charged, ruling.wait_us > 0)
                refunds.append(Refund(check.key, check.limit, check.cost, charge, era))
        return refunds

    def owe(self, check: Check, now_us: int) -> None:
        self.commit(check, check.cost > 0, now_us, None)

    def give_back(self, refund: Refund, now_us: int) -> None:
        life, limit, charge = self.lives.get(refund.key), refund.limit, refund.charge
        if life is None or text_of(life.limit) != text_of(limit) or life.era != refund.era or now_us < charge.at_us:
            return
        if limit.is_ahead(life.state, now_us):
            return
        state = limit.give_back(life.state, now_us, refund.cost, charge)
        if state != life.state:
            life.state = state
            self.touched.add(refund.key)

    def forget(self, key: str) -> None:
        self.lives.pop(key, None)

    def end_batch(self, now_us: int) -> set[str]:
        """Drop what the batch has left idle, and return what else it has written."""
        touched, self.touched = self.touched & self.lives.keys(), set()
        for key in touched:
            if self.lives[key].limit.is_idle(self.lives[key].state, now_us):
                del self.lives[key]
        return touched & self.lives.keys()

    def standing(self, key: str, limit: Limit[Any], now_us: int) -> Standing:
        life = self.lives.get(key)
        if life is None or type(life.limit) is not type(limit):
            return Standing(limit.fresh(now_us), 0, False)
        other = text_of(life.limit) != text_of(limit)
        state = limit.adopt(life.state, life.limit) if other else life.state
        ahead = limit.is_ahead(state, now_us)
        return Standing(limit.at(state, now_us), life.moves + (other or ahead), ahead)

    def commit(self, check: Check, charges: bool, now_us: int, told: int | None) -> None:
        key, limit = check.key, check.limit
        state, moves, ahead = self.standing(key, limit, now_us)
        if not charges and not ahead:
            return
        life = self.lives.get(key)
        if life is None or type(life.limit) is not type(limit):
            self.lives[key] = life = Life(limit, state, told)
            if told is not None:
                self.told[key, type(limit)].add(told)
        if charges:
            state = capped(limit, limit.charge(state, now_us, check.cost))
        life.limit, life.state, life.moves = limit, state, moves
        self.touched.add(key)

    def knows(self, check: Check, standing: Standing, era: int) -> None:
        """Hold an era that was told against the life it belongs to; another life must have another one."""
        life, told = self.lives.get(check.key), self.told[check.key, type(check.limit)]
        if life is None or type(life.limit) is not type(check.limit):
            assert era not in told
        elif life.born is None:
            life.born = era - standing.moves
            assert not {life.born, era} & told
            told |= {life.born, era}
        else:
            assert life.born + standing.moves == era
            told.add(era)


def says_the_same(check: Check, expected: State, actual: State, now_us: int) -> None:
    """A log may be told in short, as long as it says the same of the call."""
    limit = check.limit
    if not isinstance(limit, SlidingLog):
        assert expected == actual
    asked = limit.ask(expected, now_us, check.cost, check.max_wait_us)
    assert asked == limit.ask(actual, now_us, check.cost, check.max_wait_us)
    assert limit.view(expected, now_us) == limit.view(actual, now_us)


def text_of(limit: Limit[Any]) -> tuple[object, ...]:
    """What numbers count: 10 per second are 600 per minute."""
    if isinstance(limit, TokenBucket):
        return type(limit), limit.r, limit.p, limit.burst, limit.max_wait_us
    return (limit,)


def capped(limit: Limit[Any], state: State) -> State:
    """A store counts up to 2^53 - 1, of which the newest charge takes what is left."""
    if isinstance(limit, FixedWindow):
        return state[0], min(state[1], LARGEST)
    if isinstance(limit, SlidingWindow):
        excess = max(0, sum(state[1::2]) - LARGEST)
        return (*state[:-1], state[-1] - excess) if excess else state
    return state
