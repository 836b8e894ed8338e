"""What is written is enforced within a second, by the polling that is the default."""

import time

import pytest

from guardrail import Guard, Refused
from guardrail.telemetry.events import RulesRejected, RulesReloaded
from tests.reload.traffic import Heard
from tests.sources.followed import put

RULE = "version: 1\nrules:\n- {resource: r, kind: limit, rate: %s}\n"


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text(RULE % "1000/d")
    return file


def test_a_rate_is_enforced_within_a_second_of_the_write(path, heard):
    """The best of several: whatever else the machine does can only add to a time."""
    spent = []
    with Guard(path, listeners=[heard]) as guard:
        call = guard.limit("1/d", name="r")(lambda: 1)
        for rate, admitted in [("10/d", 10), ("2000/d", 20), ("20/d", 0)]:
            written = time.monotonic()
            put(path, RULE % rate)
            assert heard.hears(RulesReloaded)
            spent.append(time.monotonic() - written)
            assert admitted == sum(let_in(call) for _ in range(20))
    assert min(spent) < 1, spent


def let_in(call):
    try:
        return call()
    except Refused:
        return False


def test_a_mistake_is_told_within_a_second_and_changes_nothing(path, heard):
    with Guard(path, listeners=[heard]) as guard:
        revision, spent = guard.rules.revision, []
        for mistake in ("fast", "faster", "fastest"):
            written = time.monotonic()
            put(path, RULE % mistake)
            assert heard.hears(RulesRejected)
            spent.append(time.monotonic() - written)
            assert revision == guard.rules.revision
        assert min(spent) < 1, spent
        path.unlink()
        assert heard.hears(RulesRejected)
        put(path, RULE % "7/d")
        assert heard.hears(RulesReloaded)
        assert 7 == guard.peek("r").limit
