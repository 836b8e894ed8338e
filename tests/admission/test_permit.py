"""A permit is ended once: by the first exit, or when it is dropped."""

import asyncio
import copy
import gc
import pickle
import warnings

import pytest

from guardrail import BreakerOpen, BulkheadFull, Permit, RateLimited, Refused
from guardrail.testing import FakeClock
from tests.admission.scene import (
    START_US,
    ByHand,
    breaker,
    bulkhead,
    decided,
    ended,
    guard_of,
    held,
    inside,
    left,
    limit,
    locked_elsewhere,
    started,
)

# -- the first exit counts ---------------------------------------------------------------------------------------------


def test_the_first_exit_counts_and_later_ones_do_nothing(clock):
    guard = guard_of(clock, limit("9/min", charge="failure"), bulkhead(2), breaker())
    other, permit = held(guard), held(guard)
    permit.exit()
    permit.exit(OSError())
    permit.exit(failed=True)
    asyncio.run(permit.aexit(OSError()))
    seen = guard.breakers["r/breaker"].snapshot()
    assert (1, 1, 0, 8) == (inside(guard), seen.total_successes, seen.total_failures, left(guard))
    other.exit(OSError())
    assert 0 == inside(guard)


def test_an_exit_inside_the_block_counts_before_that_of_the_block(clock):
    guard = guard_of(clock, breaker())
    with guard.enter("r") as permit:
        permit.exit(failed=True)
    with pytest.raises(OSError, match="late"):
        with guard.enter("r") as permit:
            permit.exit()
            raise OSError("late")
    seen = guard.breakers["r/breaker"].snapshot()
    assert (1, 1) == (seen.total_successes, seen.total_failures)


@pytest.mark.parametrize(
    ("error", "failed", "counted"),
    [
        (None, False, (1, 0, 0)),
        (None, True, (0, 1, 0)),
        (OSError(), False, (0, 1, 0)),
        (asyncio.CancelledError(), False, (0, 0, 1)),
        (GeneratorExit(), True, (0, 0, 1)),
        (KeyboardInterrupt(), False, (0, 0, 1)),
    ],
)
def test_how_a_call_ended(clock, error, failed, counted):
    guard = guard_of(clock, breaker())
    held(guard).exit(error, failed=failed)
    seen = guard.breakers["r/breaker"].snapshot()
    assert counted == (seen.total_successes, seen.total_failures, seen.total_ignored)


@pytest.mark.parametrize(
    ("lists", "error", "counted"),
    [
        ({"failures": ["TimeoutError"]}, TimeoutError(), "failure"),
        ({"failures": ["TimeoutError"]}, ValueError(), "success"),
        ({"failures": ["OSError"]}, ConnectionResetError(), "failure"),
        ({"failures": ["OSError"], "ignore": ["TimeoutError"]}, TimeoutError(), "ignored"),
        ({"failures": ["OSError"], "ignore": ["OSError"]}, OSError(), "ignored"),
        ({"ignore": ["ValueError"]}, ValueError(), "ignored"),
        ({"ignore": ["ValueError"]}, OSError(), "failure"),
        ({"failures": ["CancelledError", "BaseException"]}, asyncio.CancelledError(), "ignored"),
        ({"failures": ["BaseException"]}, KeyboardInterrupt(), "ignored"),
        ({"failures": ["OSError"]}, None, "success"),
    ],
)
def test_which_errors_count_is_the_breakers_own(clock, lists, error, counted):
    guard = guard_of(clock, breaker(**lists), breaker(name="plain"))
    held(guard).exit(error)
    seen = guard.breakers["r/breaker"].snapshot()
    totals = {"success": seen.total_successes, "failure": seen.total_failures, "ignored": seen.total_ignored}
    assert {counted: 1} == {outcome: count for outcome, count in totals.items() if count}


def test_a_result_that_is_a_failure_counts_where_exceptions_are_listed(clock):
    guard = guard_of(clock, breaker(failures=["OSError"]))
    held(guard).exit(failed=True)
    assert 1 == guard.breakers["r/breaker"].snapshot().total_failures


def test_a_refusal_from_further_in_is_ignored(clock):
    guard = guard_of(clock, breaker(failures=["RateLimited"]), limit("1/min", resource="inner", name="inner"))
    decided(guard, "inner")
    for _ in range(20):
        with pytest.raises(RateLimited):
            with guard.enter("r"), guard.enter("inner"):
                pass
    seen = guard.breakers["r/breaker"].snapshot()
    assert (20, 0) == (seen.total_ignored, seen.total_failures)


def test_two_threads_that_end_one_permit_end_it_once(clock):
    guard = guard_of(clock, bulkhead(2))
    other, permit = held(guard), held(guard)
    with locked_elsewhere(guard.ledger):  # both leave it to whoever holds the lock
        threads = [started(permit.exit), started(permit.exit)]
        assert ended(*threads)
    assert 1 == inside(guard)
    other.exit()


def test_an_exit_that_another_thread_was_just_about_to_make_counts_for_nothing(clock):
    """Both saw that it was not over; the one that is put off first is done first."""
    guard = guard_of(clock, limit("9/min", charge="failure"), bulkhead(2), breaker())
    other, permit = held(guard, cost=0), held(guard)
    with locked_elsewhere(guard.ledger):
        permit.exit(OSError())
        permit._is_over = False
        permit.exit()
    seen = guard.breakers["r/breaker"].snapshot()
    assert (1, 8, 1, 0) == (inside(guard), left(guard), seen.total_failures, seen.total_successes)
    other.exit()


def test_a_permit_whose_call_was_ended_by_another_is_dropped_without_a_word(clock, recwarn):
    guard = guard_of(clock, bulkhead())
    call = ByHand(guard)
    one, other = call.permit(), call.permit()
    one.exit()
    del other
    assert ([], 0) == (list(recwarn), inside(guard))


# -- dropped -----------------------------------------------------------------------------------------------------------


def test_a_permit_that_is_dropped_gives_back_what_it_holds_and_warns(clock):
    guard = guard_of(clock, limit("9/min", charge="failure"), bulkhead(), breaker())
    permit = guard.try_enter("r")
    with pytest.warns(ResourceWarning, match=r"<Permit for 'r': granted> was dropped; call its exit\(\)"):
        del permit
    assert (0, 9, 1) == (inside(guard), left(guard), guard.breakers["r/breaker"].snapshot().total_ignored)


def test_a_probe_that_is_dropped_gives_its_slot_back(clock):
    guard = guard_of(clock, breaker(consecutive_failures=1, open_for="1s", half_open_calls=1))
    held(guard).exit(OSError())
    clock.advance(1)
    with pytest.warns(ResourceWarning):
        guard.try_enter("r")
    assert ("half_open", 0) == (guard.breakers["r/breaker"].state, guard.breakers["r/breaker"].snapshot().probes_out)


def test_a_permit_in_a_cycle_is_ended_by_the_collector(clock):
    guard = guard_of(clock, bulkhead())
    cycle = [guard.try_enter("r")]
    cycle.append(cycle)
    assert 1 == inside(guard)
    del cycle
    with pytest.warns(ResourceWarning):
        gc.collect()
    assert 0 == inside(guard)


def test_a_permit_that_something_else_will_end_is_dropped_without_a_word(clock):
    guard = guard_of(clock, bulkhead())
    permit = guard.try_enter("r")
    permit.is_held = True
    del permit
    assert 0 == inside(guard)


@pytest.mark.parametrize("end", ["exit", "refused"])
def test_a_permit_that_holds_nothing_is_dropped_without_a_word(clock, end):
    guard = guard_of(clock, bulkhead())
    holder = held(guard)
    if end == "exit":
        holder.exit()
    permit = guard.try_enter("r")
    permit.exit()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del permit
        gc.collect()


def test_a_permit_whose_exit_waits_for_the_lock_is_not_warned_about(clock, recwarn):
    """Another thread is deciding; it does the exit right afterwards. The permit is gone by then."""
    guard = guard_of(clock, bulkhead(), breaker())

    def call():
        permit = guard.try_enter("r")
        with locked_elsewhere(guard.ledger):
            permit.exit(OSError())
            del permit
            gc.collect()

    call()
    assert ([], 0, 1) == (list(recwarn), inside(guard), guard.breakers["r/breaker"].snapshot().total_failures)


class Dropping(FakeClock):
    """A clock that, as it is read inside a turn, drops the last reference to something."""

    drops: object = None

    def now_us(self):
        self.drops = None
        return super().now_us()


@pytest.mark.parametrize("ends", ["finalizer", "warning", "generator"])
def test_what_ends_in_a_finalizer_on_the_thread_that_holds_the_lock_does_not_deadlock(ends, recwarn):
    clock = Dropping(START_US)
    guard = guard_of(clock, limit("9/min", charge="failure"), bulkhead(2), breaker())

    class Holder:
        def __init__(self):
            self.permit = guard.try_enter("r")

        def __del__(self):
            self.permit.exit(OSError())

    def stream():
        with guard.enter("r"):
            yield 1

    match ends:
        case "finalizer":
            dropped = Holder()
        case "warning":
            dropped = guard.try_enter("r")
        case _:
            dropped = stream()
            next(dropped)
    clock.drops, dropped = dropped, None
    assert decided(guard).allowed  # the turn in which it is dropped
    assert (0, ends == "warning") == (inside(guard), bool(recwarn.list))
    seen = guard.breakers["r/breaker"].snapshot()
    assert (ends == "finalizer", ends != "finalizer") == (seen.total_failures, seen.total_ignored)


def test_a_permit_can_be_looked_at(clock):
    guard = guard_of(clock, limit("1/min"))
    granted, refused = held(guard), held(guard)
    assert "<Permit for 'r': granted>" == repr(granted)
    granted.exit()
    assert ["<Permit for 'r': over>", "<Permit for 'r': refused>"] == [repr(granted), repr(refused)]
    assert (True, False) == (bool(granted), bool(refused))
    refused.exit()
    refused.begin()
    assert "<Permit for 'r': refused>" == repr(refused)


# -- streams -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("begins", "slow"), [(1, 0), (1.000_001, 1), (None, 1)])
def test_breakers_measure_until_the_stream_begins(clock, begins, slow):
    guard = guard_of(clock, breaker(slow_call="1s"))
    permit = held(guard)
    if begins is not None:
        clock.advance(begins)
        permit.begin()
        permit.begin()
    clock.advance(60)
    permit.exit()
    permit.begin()
    assert slow == guard.breakers["r/breaker"].snapshot().total_slow


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "kind", "sentence"),
    [
        (limit("1/min"), RateLimited, "r: 1/min exceeded by rule 'r/limit'; retry after 60 s"),
        (bulkhead(1), BulkheadFull, "r: bulkhead 'r/bulkhead' is full (1 at once)"),
        (breaker(consecutive_failures=1), BreakerOpen, "r: breaker 'r/breaker' is open; retry after 5 s"),
    ],
)
def test_a_refusal_is_an_error_of_its_kind_and_a_new_one_each_time(clock, rule, kind, sentence):
    guard = guard_of(clock, rule)
    first = held(guard)
    if kind is BreakerOpen:
        first.exit(OSError())
    permit = held(guard)
    one, other = permit.refusal(), permit.refusal()
    assert (kind, sentence, permit.decision) == (type(one), str(one), one.decision)
    assert one is not other
    for copied in (pickle.loads(pickle.dumps(one)), copy.copy(one), copy.deepcopy(one)):
        assert (kind, sentence, one.decision, "r") == (type(copied), str(copied), copied.decision, copied.resource)


def test_a_permit_that_was_granted_has_no_refusal_of_a_kind(clock):
    assert Refused is type(held(guard_of(clock)).refusal())


def test_many_waiters_hold_nothing_when_their_permits_are_dropped_at_once(clock):
    guard = guard_of(clock, bulkhead(max_wait="1h"))
    holder, waiting = held(guard), [ByHand(guard) for _ in range(5)]
    del waiting
    gc.collect()
    holder.exit()
    assert 0 == inside(guard)


@pytest.mark.parametrize(
    ("leaves", "failures"),
    [
        ([], 0),
        ([asyncio.CancelledError()], 0),
        ([ValueError("a bug")], 1),
    ],
    ids=["refusals alone", "and what was cancelled for them", "and a bug"],
)
def test_a_group_of_refusals_is_no_failure(clock, leaves, failures):
    guard = guard_of(clock, breaker())
    other = guard_of(clock, limit("1/h"))
    other.try_enter("r").exit()
    refused = other.try_enter("r").refusal()
    guard.try_enter("r").exit(BaseExceptionGroup("tasks", [refused, BaseExceptionGroup("more", [refused, *leaves])]))
    assert failures == guard.breakers["r/breaker"].snapshot().total_failures


def test_a_permit_that_was_cut_short_while_it_was_made_goes_without_a_word():
    """As a signal does that strikes where `__init__` begins."""
    Permit.__new__(Permit).__del__()
