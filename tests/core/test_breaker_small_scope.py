"""Every state that a small breaker can reach with two or three calls under way, one by one."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple

import pytest

from guardrail.core.breaker import Breaker
from guardrail.core.breaker_state import BreakerState, Ticket, Transition
from guardrail.core.breaker_trial import Probe
from guardrail.core.breaker_window import CallWindow
from guardrail.core.verdict import Outcome
from tests.core.breaker_run import HALF

OUTCOMES: tuple[Outcome, ...] = ("success", "failure", "ignored")
TIMES: dict[str, Any] = {"open_for_us": 1, "open_for_max_us": 2, "half_open_calls": 2}

LEGAL = {
    "tick": {("half_open", "open"), ("half_open", "closed")},
    "enter": {("open", "half_open")},
    "late": set[tuple[str, str]](),  # a call of an older generation ends
    "end": {("closed", "open"), ("half_open", "open"), ("half_open", "closed")},
    "force_open": {(phase, "forced_open") for phase in ("closed", "open", "half_open", "forced_closed")},
    "force_closed": {(phase, "forced_closed") for phase in ("closed", "open", "half_open", "forced_open")},
    "reset": {(phase, "closed") for phase in ("open", "half_open", "forced_open", "forced_closed")},
}

NEVER_BY_TIME = {("tick", "half_open", "open")}


class Node(NamedTuple):
    state: BreakerState
    tickets: tuple[Ticket, ...]  # under way

    def key(self, breaker: Breaker) -> Hashable:
        """Return what decides about the future: ages instead of times, order instead of numbers."""
        state, trial, window = self.state, self.state.trial, self.state.window
        oldest = breaker.slow_call_us + 1 if breaker.slow_call_us else 0  # any slower is as slow
        assert isinstance(window, CallWindow)
        probes = sorted(
            (probe.deadline_us - state.seen_us, taken(probe, oldest), number)
            for number, probe in (trial.out.items() if trial else ())
        )
        order = [number for *_, number in probes]
        tickets = sorted(
            (
                order.index(ticket.probe_id) if ticket.probe_id in order else -1,
                min(state.seen_us - ticket.started_us, oldest),
                taken(ticket, oldest),
            )
            for ticket in self.tickets
            if ticket.generation == state.generation
        )
        open_for_us = min(state.seen_us - (state.opened_us or 0), 2)
        return (
            (state.phase, min(state.row, breaker.consecutive_failures or 0), open_for_us, min(state.reopenings, 1)),
            (window.calls, window.failures, window.slow, tuple(window.marks)),
            tuple((left_us, took_us) for left_us, took_us, _ in probes),
            (trial.voted, trial.failures, trial.slow) if trial else None,
            (len(self.tickets), tuple(tickets)),
        )


def taken(call: Ticket | Probe, oldest: int) -> int:
    """Return how long it took a call to begin; -1 before that."""
    return -1 if call.begun_us is None else min(call.begun_us - call.started_us, oldest)


def steps(breaker: Breaker, node: Node, most: int) -> Iterator[tuple[str, Node, Transition | None]]:
    """Yield everything that can happen next."""
    now_us = node.state.seen_us
    state = node.state.copy()
    transition = breaker.settle(state, now_us + 1)
    yield "tick", Node(state, node.tickets), transition
    if len(node.tickets) < most and breaker.ask(node.state, now_us).allowed:
        state = node.state.copy()
        ticket, transition = breaker.admit(state, now_us)
        yield "enter", Node(state, (*node.tickets, ticket)), transition
    for ticket in set(node.tickets):
        others = list(node.tickets)
        others.remove(ticket)
        state = node.state.copy()
        yield "begin", Node(state, (*others, breaker.begin(state, ticket, now_us))), None
        votes = ticket.generation == node.state.generation
        for outcome in OUTCOMES:
            state = node.state.copy()
            transition = breaker.record(state, ticket, outcome, now_us)
            yield "end" if votes else "late", Node(state, tuple(others)), transition
    for name in "force_open", "force_closed", "reset":
        state = node.state.copy()
        transition = getattr(breaker, name)(state, now_us)
        yield name, Node(state, node.tickets), transition


def explore(breaker: Breaker, most: int) -> Iterator[tuple[Node, str, Node, Transition | None]]:
    """Yield every step out of every state that is reachable with at most so many calls under way, each state once."""
    start = Node(breaker.fresh(0), ())
    known, ahead = {start.key(breaker)}, deque([start])
    while ahead:
        node = ahead.popleft()
        for name, after, transition in steps(breaker, node, most):
            yield node, name, after, transition
            key = after.key(breaker)
            if key not in known:
                known.add(key)
                ahead.append(after)


def closes_again(breaker: Breaker, state: BreakerState) -> bool:
    """Tell whether a well service closes the breaker soon, though all calls under way hang."""
    now_us = state.seen_us
    for _ in range(2 * breaker.half_open_calls + 2):
        if state.phase == "closed":
            return True
        breaker.settle(state, now_us)
        ruling = breaker.ask(state, now_us)
        if ruling.allowed:
            ticket, _ = breaker.admit(state, now_us)
            breaker.record(state, ticket, "success", now_us)
        else:
            assert ruling.retry_after_us is not None
            assert ruling.retry_after_us <= breaker.probe_timeout_us + 2
            now_us += ruling.retry_after_us
    return state.phase == "closed"


@pytest.mark.parametrize(
    ("most", "breaker", "never"),
    [
        (3, Breaker(failure_rate=HALF, window_calls=2, min_calls=2, probe_timeout_us=2, **TIMES), NEVER_BY_TIME),
        (3, Breaker(consecutive_failures=2, window_calls=1, probe_timeout_us=2, **TIMES), NEVER_BY_TIME),
        (2, Breaker(slow_call_us=1, slow_rate=HALF, window_calls=1, min_calls=1, probe_timeout_us=3, **TIMES), set()),
    ],
)
def test_every_step_is_legal_and_leads_to_a_sound_state(
    most: int, breaker: Breaker, never: set[tuple[str, str, str]]
) -> None:
    """Time alone opens a breaker only where a stream began slowly; otherwise every legal edge is taken somewhere."""
    edges = set()
    for before, name, after, transition in explore(breaker, most):
        state, trial = after.state, after.state.trial
        if transition is None:
            assert before.state.phase == state.phase
            assert state.generation == before.state.generation + (name == "reset")
        else:
            edge = transition.from_state, transition.to_state
            assert edge == (before.state.phase, state.phase)
            assert edge in LEGAL[name]
            assert state.generation == before.state.generation + 1
            edges.add((name, *edge))
        if name == "late":
            assert (state.window, state.row, trial) == (before.state.window, before.state.row, before.state.trial)
        assert (trial is not None) == (state.phase == "half_open")
        assert (state.opened_us is not None) == (state.phase in {"open", "half_open"})
        if trial is not None:
            assert len(trial.out) + trial.voted <= breaker.half_open_calls
            assert all(probe.deadline_us > state.seen_us for probe in trial.out.values())
        if not state.phase.startswith("forced"):
            assert closes_again(breaker, state.copy())
    assert {(name, *edge) for name, legal in LEGAL.items() for edge in legal} - edges == never
