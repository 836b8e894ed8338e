"""The fixtures of the kit, in a user's own tests, and the kit where there is no pytest."""

import os
import subprocess
import sys
from pathlib import Path

SRC = Path(__file__).parents[1] / "src"


def run(*command, cwd):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GUARDRAIL", "PYTEST"))}
    environment["PYTHONPATH"] = str(SRC)
    return subprocess.run(
        [sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


USERS_TESTS = """
import pytest
import guardrail
from guardrail import RateLimited, default_guard
from guardrail.testing import FakeClock

@guardrail.limit("1/min", name="r")
def call():
    return 1

@pytest.mark.parametrize("time", [1, 2])
def test_each_test_begins_with_what_nobody_has_used(guard, time):
    call()
    with pytest.raises(RateLimited):
        call()

def test_functions_follow_the_clock_of_the_test(guard, clock):
    call()
    clock.advance(60)
    call()

def test_the_clock_is_the_guards_and_shows_a_time_of_our_days(guard, clock):
    assert isinstance(clock, FakeClock) and guard.ledger.clock is clock
    assert clock.now_us() == 1_700_000_000_000_000

def test_the_guard_is_the_default_one(guard):
    assert guard is default_guard()
    guard.apply([{"resource": "r", "kind": "limit", "rate": "3/min"}])
    guard.mode = "off"

def test_what_another_test_did_to_it_is_gone(guard):
    assert ("enforce", 0) == (guard.mode, len(guard.rules))

def test_without_the_fixture_there_is_a_default_guard_as_ever(clock):
    assert clock is not default_guard().ledger.clock
    call()
    with pytest.raises(RateLimited):
        call()

def test_and_it_is_there_again_after_a_test_with_the_fixture(guard):
    call()

def test_as_it_was():
    with pytest.raises(RateLimited):
        call()
"""


class TestFixtures:
    def test_they_reset_between_tests(self, tmp_path):
        (tmp_path / "conftest.py").write_text('pytest_plugins = ["guardrail.testing"]\n')
        (tmp_path / "test_users.py").write_text(USERS_TESTS)
        options = ["-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:asyncio"]
        done = run("-m", "pytest", *options, "test_users.py", cwd=tmp_path)
        assert 0 == done.returncode, done.stdout + done.stderr
        assert "9 passed" in done.stdout

    def test_without_pytest_all_else_works(self, tmp_path):
        code = """
import sys
sys.modules["pytest"] = None  # importing it fails
from guardrail import testing, limit, breaker
from guardrail.default import substituted
assert not hasattr(testing, "guard") and not hasattr(testing, "clock")
clock = testing.FakeClock()
@limit("1/h")
@breaker(name="r")
def call():
    return 1
with substituted(clock=clock, listeners=[news := testing.RecordingListener()]):
    call()
    with testing.disabled():
        call()
    with testing.force_open("r/breaker"):
        try:
            call()
        except Exception as error:
            print(error.reason, len(news.events))
"""
        done = run("-W", "error", "-c", code, cwd=tmp_path)
        assert ("breaker_forced 2\n", "") == (done.stdout, done.stderr)
