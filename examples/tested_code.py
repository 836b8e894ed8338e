"""Test code that is guarded: time is a FakeClock, events are remembered, a breaker is held open.

Run by pytest as well as by Python.
"""

from guardrail import Guard
from guardrail.telemetry.events import CallRefused
from guardrail.testing import FakeClock, RecordingListener, force_open

clock, seen = FakeClock(), RecordingListener()
guard = Guard(clock=clock, listeners=[seen])


@guard.breaker(open_for="5s", name="bank", fallback="yesterday's rates")
@guard.limit("10/min", name="bank")
def rates() -> str:
    return "today's rates"


def test_the_eleventh_call_of_a_minute_gets_the_fallback():
    assert [rates() for _ in range(10)] == ["today's rates"] * 10
    assert rates() == "yesterday's rates"
    assert [event.rule for event in seen.of(CallRefused)] == ["bank/limit"]
    clock.advance(6)
    assert rates() == "today's rates"


def test_an_open_breaker_gives_the_fallback():
    with force_open("bank/breaker", guard):
        assert rates() == "yesterday's rates"


if __name__ == "__main__":
    test_the_eleventh_call_of_a_minute_gets_the_fallback()
    test_an_open_breaker_gives_the_fallback()
