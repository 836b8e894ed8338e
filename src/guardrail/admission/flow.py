"""The flow of one decision, written once, and its two drivers.

    breakers are asked          nothing is taken
    bulkheads                   a place is taken, or queued for
    limits                      all of them are charged, or none: those of this process, then those in the store
    granted with a wait         the places are given back, the call sleeps, queues again ahead of new arrivals
    breakers are asked again    and count the call

Law: each stretch between two `yield`s is one turn of the ledger; nothing waits inside a turn, and no place is held while
the call sleeps for a limit. Whatever was taken before a refusal, a timeout or a cancellation is given back.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial
from threading import TIMEOUT_MAX, Event
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, assert_never

from guardrail.admission.account import count
from guardrail.stores.protocol import Check, Reply, Unavailable

if TYPE_CHECKING:
    from guardrail.admission.attempt import Attempt
    from guardrail.admission.bulkhead_gate import AskedBulkhead
    from guardrail.admission.ledger import Ledger
    from guardrail.admission.shared import Shared
    from guardrail.admission.waiter import Waiter

CLOCK_GRAIN_US = 1_000  # a sleep that ends early by less than this is finished; a longer rest is a clock that stepped


class Wait(NamedTuple):
    """Ask the driver to wait until a place is handed over, or time is up."""

    waiter: Waiter
    seconds: float


class Ask(NamedTuple):
    """Ask the driver to ask the store."""

    shared: Shared
    checks: Sequence[Check]
    peek: bool = False


class Sleep(NamedTuple):
    """Ask the driver to sleep."""

    seconds: float


Need: TypeAlias = Wait | Ask | Sleep
Answer: TypeAlias = Reply | Unavailable | None  # what a driver sends in: something to each `Ask`
Steps = Generator[Need, Answer, None]


def admission(attempt: Attempt) -> Steps:
    """Decide one call. `attempt.granted` and `attempt.decision()` say how it went."""
    ledger = attempt.ledger
    try:
        if (yield from _passed(attempt)):
            attempt.admit(ledger.now_us)
        else:
            attempt.give_back()
            count(attempt)
    except BaseException:
        ledger.soon(attempt.give_back)
        raise


def looking(attempt: Attempt) -> Steps:
    """Ask as a call would be asked, in the same order, and leave no trace. `attempt.decision()` says what was found."""
    ledger = attempt.ledger
    attempt.start(ledger.now_us)
    allowed = attempt.look(ledger.now_us)
    if allowed and attempt.shared:
        stored_us = yield from _stored(attempt, peek=True)
        allowed = stored_us is not None
    attempt.look_on(ledger.now_us, allowed=allowed)


def _passed(attempt: Attempt) -> Generator[Need, Answer, bool]:
    """Take the call through the gates; False: one of them refused it."""
    ledger = attempt.ledger
    attempt.start(ledger.now_us)
    if not attempt.ask_breakers(ledger.now_us):
        return False
    asked_in = ledger.turn
    for asked in attempt.bulkheads:
        if not (yield from _place(asked, attempt, returning=False)):
            return False
    wait_us = attempt.charge(ledger.now_us)
    if wait_us is None:
        return False
    if attempt.shared:
        stored_us = yield from _stored(attempt, peek=False)
        if stored_us is None:
            return False
        wait_us = max(wait_us, stored_us)
    if wait_us:
        attempt.leave_places()
        yield from _sleep(ledger, ledger.now_us + wait_us)
        for asked in attempt.bulkheads:
            if not (yield from _place(asked, attempt, returning=True)):
                return False
    return asked_in == ledger.turn or attempt.ask_breakers(ledger.now_us)


def drive(attempt: Attempt, steps: Steps) -> None:
    """Take one call through *steps*, waiting in this thread."""
    answer: Answer = None
    try:
        while (need := _next(attempt.ledger, steps, answer)) is not None:
            answer = None
            match need:
                case Wait(waiter, seconds):
                    event = Event()
                    waiter.wake = event.set
                    if not waiter.granted:
                        event.wait(min(seconds, TIMEOUT_MAX))
                case Ask(shared, checks, peek):
                    answer = shared.ask(checks, peek=peek)
                case Sleep(seconds):
                    attempt.ledger.clock.sleep(seconds)
                case _:
                    assert_never(need)
    except BaseException:
        steps.close()
        attempt.ledger.soon(lambda: attempt.withdraw(answer))
        raise


async def adrive(attempt: Attempt, steps: Steps) -> None:
    """Take one call through *steps*, waiting in this task."""
    answer: Answer = None
    try:
        while (need := _next(attempt.ledger, steps, answer)) is not None:
            answer = None
            match need:
                case Wait(waiter, seconds):
                    await _until_woken(waiter, seconds)
                case Ask(shared, checks, peek):
                    answer = await shared.aask(checks, peek=peek)
                case Sleep(seconds):
                    await attempt.ledger.clock.asleep(seconds)
                case _:
                    assert_never(need)
    except BaseException:
        steps.close()
        attempt.ledger.soon(lambda: attempt.withdraw(answer))
        raise


async def _until_woken(waiter: Waiter, seconds: float) -> None:
    import asyncio  # as heavy as the rest of the package; only waiting tasks need it

    loop = asyncio.get_running_loop()
    woken = loop.create_future()

    def end() -> None:
        if not woken.done():
            woken.set_result(None)

    waiter.wake = lambda: loop.call_soon_threadsafe(end)
    if not waiter.granted:
        await asyncio.wait([woken], timeout=seconds)


def _next(ledger: Ledger, steps: Steps, answer: Answer) -> Need | None:
    return ledger.run(_went_on if answer is None else partial(_heard, answer), steps)


def _went_on(steps: Steps) -> Need | None:
    return next(steps, None)


def _heard(answer: Answer, steps: Steps) -> Need | None:
    try:
        return steps.send(answer)
    except StopIteration:
        return None


def _stored(attempt: Attempt, *, peek: bool) -> Generator[Need, Answer, int | None]:
    """Ask the limits that are kept in a store. Return how long the call has to wait; None: refused."""
    question = attempt.question(attempt.ledger.now_us, peek=peek)
    if question is None:
        return None
    answer = yield question
    assert answer is not None
    return attempt.hear(answer, attempt.ledger.now_us, peek=peek)


def _place(asked: AskedBulkhead, attempt: Attempt, *, returning: bool) -> Generator[Need, Answer, bool]:
    """Take a place of one bulkhead, or queue for it as long as the rule and the call allow."""
    ledger = attempt.ledger
    if asked.take(ledger.now_us):
        return True
    began_us = ledger.now_us
    patience_us = asked.gate.max_wait_us - asked.waited_us
    left_us = attempt.left_us(began_us)
    if left_us is not None:
        patience_us = min(patience_us, left_us)
    if patience_us <= 0:
        return False
    until_us = began_us + patience_us
    waiter = asked.queue(until_us, returning=returning)
    if waiter is None:
        return False
    yield Wait(waiter, patience_us / 1_000_000)
    if not waiter.granted and 0 < (rest_us := until_us - ledger.now_us) <= patience_us:
        yield Sleep(rest_us / 1_000_000)  # the clock is behind the driver's: it says when time is up
    waited_us = max(0, ledger.now_us - began_us)
    asked.waited_us += waited_us
    ledger.counts.waited(asked.gate.name, waited_us)
    if asked.leave_queue():
        return True
    asked.refuse("bulkhead_timeout")
    return False


def _sleep(ledger: Ledger, until_us: int) -> Steps:
    yield Sleep((until_us - ledger.now_us) / 1_000_000)
    while 0 < (rest_us := until_us - ledger.now_us) < CLOCK_GRAIN_US:
        yield Sleep(rest_us / 1_000_000)
