"""What a guard writes to the log, end to end; and that no key ever is in it."""

import logging
from contextlib import contextmanager

import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, use_span

from guardrail import Guard, RuleError
from guardrail.telemetry.entry import hidden
from guardrail.telemetry.log import EventLog
from guardrail.testing import FakeClock

CANARY = "tweety@example.org"


class Kept(logging.Handler):
    """A handler that keeps what it is given."""

    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)


@contextmanager
def handled_by(handler):
    """Let a handler have all that the house writes."""
    logger = logging.getLogger("guardrail")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel("DEBUG")
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@pytest.fixture
def records():
    """What is written from now on, at any level."""
    with handled_by(Kept()) as handler:
        yield handler.records


@pytest.fixture
def clock():
    return FakeClock(1_700_000_000_000_000)


def guard_of(clock, *rules, **options):
    """A guard whose log is read in a moment that does not pass, however slow the machine is."""
    guard = Guard(list(rules), clock=clock, **options)
    guard.ledger.log = EventLog(now=lambda: 1000.0)
    return guard


def calls(guard, resource, times, attributes=None, *, failed=False):
    for _ in range(times):
        permit = guard.try_enter(resource, attributes)
        if permit:
            permit.exit(failed=failed)


def test_a_refusal_is_a_line_although_nobody_listens(clock, records):
    guard = guard_of(clock, {"name": "slow", "resource": "r", "kind": "limit", "rate": "2/min"})
    calls(guard, "r", 100)
    [record] = records
    assert ("guardrail.refusals", "INFO") == (record.name, record.levelname)
    assert "refused r: 2/min exceeded by rule 'slow'; retry after 30 s" == record.getMessage()
    assert ("slow", "r", "rate", 30.0) == (
        record.guardrail_rule,
        record.guardrail_resource,
        record.guardrail_reason,
        record.guardrail_retry_after,
    )


def test_a_guard_is_born_with_a_log(clock, records):
    guard = Guard([{"name": "slow", "resource": "r", "kind": "limit", "rate": "1/min"}], clock=clock)
    calls(guard, "r", 2)
    assert ["slow"] == [record.guardrail_rule for record in records]


def test_a_call_that_goes_ahead_is_no_line(clock, records):
    calls(guard_of(clock, {"resource": "r", "kind": "limit", "rate": "2/min"}), "r", 2)
    assert [] == records


def test_a_rule_that_only_watches_says_what_it_would_have_done(clock, records):
    rule = {"name": "slow", "resource": "r", "kind": "limit", "rate": "1/min", "mode": "shadow"}
    calls(guard_of(clock, rule), "r", 3)
    [record] = records
    assert "would have refused r: 1/min exceeded by rule 'slow'; retry after 60 s" == record.getMessage()
    assert ("shadow_refuse", 60.0) == (record.guardrail_outcome, record.guardrail_retry_after)


def test_of_two_rules_that_refuse_the_one_that_lasts_longer_is_named(clock, records):
    guard = guard_of(
        clock,
        {"name": "a", "resource": "r", "kind": "limit", "rate": "1/s"},
        {"name": "b", "resource": "r", "kind": "limit", "rate": "1/min"},
    )
    calls(guard, "r", 50)
    assert ["b"] == [record.guardrail_rule for record in records]


def test_lines_of_two_rules_that_refuse_do_not_mix(clock, records):
    """What was left out is told with the rule under which it was refused."""
    guard = Guard(
        [
            {"name": "a", "resource": "r", "kind": "limit", "rate": "1/min"},
            {"name": "b", "resource": "r", "kind": "limit", "rate": "2/h"},
        ],
        clock=clock,
        log=EventLog(now=lambda: clock.now_us() / 1_000_000),
    )
    calls(guard, "r", 4)  # a refuses three
    clock.advance(60)
    calls(guard, "r", 5)  # then both refuse, b for longer: four
    clock.advance(1)
    calls(guard, "r", 1)
    clock.advance(1739)
    calls(guard, "r", 2)  # b lets one more call in, then both refuse
    assert [("a", 0), ("b", 0), ("b", 3), ("b", 0)] == [
        (record.guardrail_rule, record.guardrail_suppressed) for record in records
    ]


def test_each_move_of_a_breaker_is_a_line(clock, records):
    guard = guard_of(
        clock, {"name": "b", "resource": "r", "kind": "breaker", "consecutive_failures": 2, "open_for": "10s"}
    )
    calls(guard, "r", 3, failed=True)
    clock.advance(10)
    calls(guard, "r", 1)
    moves = [
        (record.levelname, record.guardrail_from_state, record.guardrail_to_state)
        for record in records
        if record.name == "guardrail.breakers"
    ]
    assert [("WARNING", "closed", "open"), ("INFO", "open", "half_open")] == moves[:2]
    assert {"b"} == {record.guardrail_breaker for record in records if record.name == "guardrail.breakers"}


def test_of_a_rule_with_a_breaker_for_each_resource_the_resource_is_named(clock, records):
    guard = guard_of(clock, {"name": "b", "resource": "payments.*", "kind": "breaker", "consecutive_failures": 1})
    calls(guard, "payments.charge", 1, failed=True)
    [record] = records
    assert ("b", "b/payments.charge") == (record.guardrail_rule, record.guardrail_breaker)


def test_of_a_breaker_with_another_key_its_hash_is_named(clock, records):
    guard = guard_of(clock, {"name": "b", "resource": "r", "kind": "breaker", "consecutive_failures": 1, "key": "user"})
    calls(guard, "r", 1, {"user": CANARY}, failed=True)
    [record] = records
    assert f"b/{hidden(CANARY)}" == record.guardrail_breaker


RULES = "version: 1\nrules:\n  - {name: slow, resource: r, kind: limit, rate: RATE}\n"


def test_other_rules_in_force_are_one_line_and_rules_that_cannot_be_used_are_another(tmp_path, records):
    path = tmp_path / "rules.yaml"
    path.write_text(RULES.replace("RATE", "1/s"))
    with Guard(path) as guard:
        guard._live.stop()
        before = guard.rules.revision
        path.write_text(RULES.replace("RATE", "2/s"))
        guard.reload()
        path.write_text(RULES.replace("RATE", "fast"))
        with pytest.raises(RuleError):
            guard.reload()
        path.unlink()
        with pytest.raises(RuleError):
            guard.reload()
        taken_up, wrong, gone = records
        assert ("guardrail.rules", "INFO", before, guard.rules.revision) == (
            taken_up.name,
            taken_up.levelname,
            taken_up.guardrail_previous,
            taken_up.guardrail_revision,
        )
        assert ("guardrail.rules", "ERROR", 1) == (wrong.name, wrong.levelname, wrong.guardrail_problems)
        assert f"the last good ones stay: {path}:3:50: " in wrong.getMessage()
        assert ("guardrail.rules", "WARNING") == (gone.name, gone.levelname)


def test_neither_a_key_nor_a_variable_of_rules_that_cannot_be_used_is_in_the_log_or_the_snapshot(
    tmp_path, records, monkeypatch
):
    path = tmp_path / "rules.yaml"
    good = RULES.replace("RATE}", "1/s, key: user, overrides: {PLACE}}")
    path.write_text(good.replace("PLACE", ""))
    monkeypatch.setenv("SECRET", CANARY)
    with Guard(path) as guard:
        guard._live.stop()
        for typo in (f"{CANARY}: 10/parsec", f"{CANARY}: 1/s, {CANARY}: 2/s", "vip: '${SECRET}'"):
            path.write_text(good.replace("PLACE", typo))
            with pytest.raises(RuleError, match="tweety"):
                guard.reload()
            assert "rules.yaml:3:" in guard.snapshot().reload.error
            assert "tweety" not in f"{guard.snapshot()} {guard.health()}"
    assert 3 == len(records)
    assert "" == "\n".join(record.getMessage() for record in records if "tweety" in record.getMessage())


def test_a_rule_that_overflows_says_so_once(clock, records):
    guard = guard_of(clock, {"name": "k", "resource": "r", "kind": "limit", "rate": "5/h", "key": "user"}, max_keys=3)
    for number in range(50):
        calls(guard, "r", 1, {"user": f"u{number}"})
    [record] = [record for record in records if record.name == "guardrail.keys"]
    assert ("k", 3) == (record.guardrail_rule, record.guardrail_max_keys)


def test_a_line_within_a_span_has_its_ids(clock, records):
    guard = guard_of(clock, {"resource": "r", "kind": "limit", "rate": "1/min"})
    with use_span(NonRecordingSpan(SpanContext(trace_id=1, span_id=2, is_remote=False))):
        calls(guard, "r", 2)
    assert [(f"{1:032x}", f"{2:016x}")] == [(record.trace_id, record.span_id) for record in records]


def test_no_key_is_ever_in_the_log(clock, records):
    """A canary as key of every kind of rule, in every mode, through every event that a key has a part in."""
    key = {"key": "user"}
    guard = guard_of(
        clock,
        {"name": "limit", "resource": "r", "kind": "limit", "rate": "3/min", **key},
        {"name": "override", "resource": "r", "kind": "limit", "rate": "9/min", "overrides": {CANARY: "7/min"}, **key},
        {
            "name": "pair",
            "resource": "r",
            "kind": "limit",
            "rate": "2/min",
            "mode": "shadow",
            "key": ["user", "resource"],
        },
        {"name": "watch", "resource": "r", "kind": "breaker", "consecutive_failures": 1, "mode": "shadow", **key},
        {"name": "breaker", "resource": "s", "kind": "breaker", "consecutive_failures": 1, "open_for": "1s", **key},
        {"name": "places", "resource": "t", "kind": "bulkhead", "max_concurrent": 1, **key},
        max_keys=4,
    )
    user = {"user": CANARY}
    calls(guard, "r", 9, user, failed=True)
    calls(guard, "s", 2, user, failed=True)
    clock.advance(2)
    calls(guard, "s", 2, user)
    guard.breakers[f"breaker/{CANARY}"].force_open()
    calls(guard, "s", 1, user)
    guard.reset("breaker", CANARY)
    with guard.enter("t", user):
        calls(guard, "t", 2, user)
    for number in range(9):
        calls(guard, "r", 1, {"user": f"{CANARY}{number}"})
    told = {(record.name, getattr(record, "guardrail_rule", None)) for record in records}
    assert {
        *[("guardrail.refusals", rule) for rule in ("limit", "pair", "breaker", "places")],
        *[("guardrail.breakers", rule) for rule in ("watch", "breaker")],
        *[("guardrail.keys", rule) for rule in ("limit", "override", "pair")],
    } <= told
    assert "" == "\n".join(
        f"{vars(record)}" for record in records if "tweety" in f"{vars(record)} {record.getMessage()}"
    )


def test_a_handler_that_raises_does_not_reach_the_call(clock):
    class Full(logging.Handler):
        asked = 0

        def handle(self, record):
            self.asked += 1
            raise OSError("the disk is full")

    guard = guard_of(clock, {"resource": "r", "kind": "limit", "rate": "1/min"})
    with handled_by(Full()) as handler:
        calls(guard, "r", 1)
        permit = guard.try_enter("r")
    assert ("rate", 2) == (permit.decision.reason, handler.asked)
