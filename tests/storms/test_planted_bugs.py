"""The storms would see it: each row is a bug of the kind that limiters and semaphores have had, planted in ours."""

import pytest

from guardrail.admission.attempt import Attempt
from guardrail.admission.breaker_gate import AskedBreaker
from guardrail.admission.bulkhead_gate import AskedBulkhead
from guardrail.admission.ledger import Ledger
from guardrail.admission.limit_gate import AskedLimit
from guardrail.admission.object_states import BulkheadStates
from guardrail.core.token_bucket import TokenBucket
from tests.storms.scenarios import SCENARIOS

SEEDS = 400


def stays_in_line(plant):
    """Whoever is cancelled in the queue is still in it."""
    plant(
        AskedBulkhead,
        "leave_queue",
        lambda right: lambda asked: asked._waiter is not None and asked._waiter.granted and right(asked),
    )


def loses_what_it_was_handed(plant):
    """A place that was handed to somebody who is being cancelled is lost."""

    def leave(right):
        def wrong(asked):
            if asked.holds:
                right(asked)
            elif asked._waiter is not None:
                asked.gate.ledger.waiting.discard(asked._waiter)
                asked.gate.states.bulkhead.leave(asked._state, asked._waiter)

        return wrong

    plant(AskedBulkhead, "leave", leave)


def sleeps_in_its_place(plant):
    """A call that waits for a limit holds its place meanwhile."""

    def take(right):
        return lambda asked, now_us: asked.holds or right(asked, now_us)

    plant(Attempt, "leave_places", lambda _: lambda attempt: None)
    plant(AskedBulkhead, "take", take)
    plant(
        Attempt,
        "give_back",
        lambda right: lambda attempt: [*map(AskedBulkhead.leave, attempt.bulkheads), right(attempt)],
    )


def leaves_twice(plant):
    """Each exit gives the place back once more."""

    def leave(right):
        def wrong(asked):
            held = asked.holds
            right(asked)
            asked.holds = held

        return wrong

    def end(right):
        def wrong(attempt, outcome, outcomes):
            right(attempt, outcome, outcomes)
            attempt.ended = False
            right(attempt, outcome, outcomes)

        return wrong

    plant(AskedBulkhead, "leave", leave)
    plant(Attempt, "leave", end)


def keeps_the_probe(plant):
    """A probe that is cancelled never comes back."""

    def record(right):
        return lambda asked, outcome, now_us: None if outcome == "ignored" else right(asked, outcome, now_us)

    plant(AskedBreaker, "record", record)


def wakes_nobody(plant):
    """Whoever is handed a place sleeps on."""
    plant(Ledger, "wake", lambda _: lambda ledger, waiter: None)


def grows_without_telling(plant):
    """New places after a reload stay empty beside those who wait."""

    def switch(_):
        def wrong(states, bulkhead):
            states.bulkhead = bulkhead
            return []

        return wrong

    plant(BulkheadStates, "switch", switch)


def shrinks_too_late(plant):
    """A smaller bulkhead goes on handing its old places over."""

    def release(right):
        def wrong(states, state):
            waiters = state.returning or state.arriving
            if not waiters:
                return right(states, state)
            waiter, _ = waiters.popitem(last=False)
            waiter.granted = True
            return waiter

        return wrong

    plant(BulkheadStates, "release", release)


def keeps_the_tokens(plant):
    """Whoever is cancelled has paid all the same."""
    plant(AskedLimit, "give_back", lambda _: lambda asked, now_us, cost=None: None)


def gives_tokens_back_twice(plant):
    plant(
        AskedLimit,
        "give_back",
        lambda right: (
            lambda asked, now_us, cost=None: [asked.charges.extend(asked.charges), right(asked, now_us, cost)]
        ),
    )


def gives_back_what_others_wait_on(plant):
    """Somebody's start was promised on the strength of this charge."""
    plant(TokenBucket, "_somebody_may_wait", lambda _: lambda bucket, state, now_us: False)


def asks_the_breaker_once(plant):
    """A call that waited is let in by a breaker that has opened meanwhile."""

    def ask(right):
        def wrong(attempt, now_us):
            return attempt.breakers[0].row is not None or right(attempt, now_us)

        return wrong

    plant(Attempt, "ask_breakers", ask)


@pytest.mark.parametrize(
    ("bug", "name"),
    [
        (stays_in_line, "bulkheads"),
        (loses_what_it_was_handed, "bulkheads"),
        (sleeps_in_its_place, "returning"),
        (leaves_twice, "bulkheads"),
        (keeps_the_probe, "probes"),
        (wakes_nobody, "bulkheads"),
        (grows_without_telling, "reloads"),
        (shrinks_too_late, "reloads"),
        (keeps_the_tokens, "returning"),
        (gives_tokens_back_twice, "returning"),
        (gives_back_what_others_wait_on, "limits"),
        (asks_the_breaker_once, "by hand"),
    ],
)
def test_a_planted_bug_is_found(bug, name, monkeypatch):
    def plant(owner, attribute, wrong):
        monkeypatch.setattr(owner, attribute, wrong(getattr(owner, attribute)))

    bug(plant)
    for seed in range(SEEDS):
        try:
            SCENARIOS[name].storm(f"{name} {seed}")
        except AssertionError as found:
            print(f"{bug.__name__}: seed {seed}, {found}")
            return
    pytest.fail(f"{SEEDS} seeds do not see it")
