"""The storms would see it: bugs of the kinds that limiters and semaphores have had, planted in ours one by one."""

import pytest

from guardrail.admission.attempt import Attempt
from guardrail.admission.breaker_gate import AskedBreaker
from guardrail.admission.bulkhead_gate import AskedBulkhead
from guardrail.admission.limit_gate import AskedLimit
from guardrail.admission.object_states import BulkheadStates
from guardrail.admission.waiter import Waiter
from guardrail.core.token_bucket import TokenBucket
from tests.storms.scenarios import SCENARIOS

SEEDS = 500


def stays_in_line(plant):
    """Whoever is cancelled in the queue is still in it."""

    @plant(AskedBulkhead, "leave_queue")
    def _(right, asked):
        return asked._waiter is not None and asked._waiter.granted and right(asked)


def loses_what_it_was_handed(plant):
    """A place that was handed to somebody who is being cancelled is lost."""

    @plant(AskedBulkhead, "leave")
    def _(right, asked):
        if asked.holds:
            right(asked)
        elif asked._waiter is not None:
            asked.gate.ledger.waiting.discard(asked._waiter)
            asked.gate.states.bulkhead.leave(asked._state, asked._waiter)


def sleeps_in_its_place(plant):
    """A call that waits for a limit holds its place meanwhile."""

    @plant(Attempt, "leave_places")
    def _(right, attempt):
        """Nothing."""

    @plant(AskedBulkhead, "take")
    def _(right, asked, now_us):
        return asked.holds or right(asked, now_us)


def leaves_twice(plant):
    """Each exit gives the place back once more."""

    @plant(AskedBulkhead, "leave")
    def _(right, asked):
        held = asked.holds
        right(asked)
        asked.holds = held

    @plant(Attempt, "leave")
    def _(right, attempt, outcome, outcomes):
        right(attempt, outcome, outcomes)
        attempt.ended = False
        right(attempt, outcome, outcomes)


def keeps_the_probe(plant):
    """A probe that is cancelled never comes back."""

    @plant(AskedBreaker, "record")
    def _(right, asked, outcome, now_us):
        if outcome != "ignored":
            right(asked, outcome, now_us)


def asks_the_breaker_once(plant):
    """A call that waited is let in by a breaker that has opened meanwhile."""

    @plant(Attempt, "ask_breakers")
    def _(right, attempt, now_us):
        return attempt.breakers[0].row is not None or right(attempt, now_us)


def wakes_nobody(plant):
    """Whoever is handed a place sleeps on."""

    @plant(Waiter, "rouse")
    def _(right, waiter):
        """Nothing."""


def grows_without_telling(plant):
    """New places after a reload stay empty beside those who wait."""

    @plant(BulkheadStates, "switch")
    def _(right, states, bulkhead):
        states.bulkhead = bulkhead
        return []


def shrinks_too_late(plant):
    """A smaller bulkhead goes on handing its old places over."""

    @plant(AskedBulkhead, "leave")
    def _(right, asked):
        row = asked.holds and (asked._state.returning or asked._state.arriving)
        if not row:
            return right(asked)
        waiter, _ = row.popitem(last=False)
        waiter.granted = True
        asked.holds = False
        return asked.gate.ledger.wake(waiter)


def keeps_the_tokens(plant):
    """Whoever is cancelled has paid all the same."""

    @plant(AskedLimit, "give_back")
    def _(right, asked, now_us, cost=None):
        """Nothing."""


def gives_tokens_back_twice(plant):
    """A charge is given back once more."""

    @plant(AskedLimit, "give_back")
    def _(right, asked, now_us, cost=None):
        asked.charges.extend(asked.charges)
        right(asked, now_us, cost)


def gives_back_what_others_wait_on(plant):
    """Somebody's start was promised on the strength of this charge."""

    @plant(TokenBucket, "_somebody_may_wait")
    def _(right, bucket, state, now_us):
        return False


@pytest.mark.parametrize(
    ("bug", "name"),
    [
        (stays_in_line, "bulkheads"),
        (loses_what_it_was_handed, "bulkheads"),
        (sleeps_in_its_place, "returning"),
        (leaves_twice, "bulkheads"),
        (keeps_the_probe, "probes"),
        (asks_the_breaker_once, "by hand"),
        (wakes_nobody, "bulkheads"),
        (grows_without_telling, "reloads"),
        (shrinks_too_late, "reloads"),
        (keeps_the_tokens, "returning"),
        (gives_tokens_back_twice, "returning"),
        (gives_back_what_others_wait_on, "limits"),
    ],
)
def test_a_planted_bug_is_found(bug, name, monkeypatch, record_property):
    def plant(owner, attribute):
        right = getattr(owner, attribute)

        def put(wrong):
            monkeypatch.setattr(owner, attribute, lambda *args, **kwargs: wrong(right, *args, **kwargs))

        return put

    bug(plant)
    for seed in range(SEEDS):
        try:
            SCENARIOS[name].storm(f"{name} {seed}")
        except AssertionError as found:
            record_property("found", f"by seed {seed}: {found}")
            return
    pytest.fail(f"{SEEDS} seeds do not see it")
