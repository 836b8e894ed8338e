"""Events become lines of loggers, sampled, with fields for machines; whatever loggers do, calls go on."""

import json
import logging
import subprocess
import sys
import threading

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, use_span

from guardrail.core.verdict import Decision, Verdict
from guardrail.telemetry.events import BreakerMoved, CallRefused, KeysOverflowed, RulesReloaded, StoreLost
from guardrail.telemetry.log import EventLog
from guardrail.telemetry.notify import notify
from tests.untraced import untraced

VERDICT = Verdict("per-user", "limit", allowed=False, reason="rate", retry_after=1.0, text="2/min")


def refusal(rule="per-user", *, shadow=False):
    decision = Decision.of((VERDICT,))
    return CallRefused("orders.create", rule, "limit", "rate", decision, shadow=shadow)


@pytest.fixture
def log(hand, caplog):
    caplog.set_level("INFO", "guardrail")
    return EventLog(now=hand)


def told(log, event):
    """Tell a refusal as admission does."""
    if log.wants(event.rule):
        log(event)


# ---- what is written


def test_of_many_refusals_one_line_a_second_is_written_and_the_next_says_how_many_were_not(log, hand, caplog):
    for _ in range(100):
        told(log, refusal())
    hand.now += 1
    told(log, refusal())
    assert [0, 99] == [record.guardrail_suppressed for record in caplog.records]
    assert caplog.messages[1].endswith("; suppressed=99")


def test_refusals_and_what_would_be_one_share_the_line_of_their_rule(log, caplog):
    told(log, refusal())
    told(log, refusal(shadow=True))
    told(log, refusal("other", shadow=True))
    assert ["refuse", "shadow_refuse"] == [record.guardrail_outcome for record in caplog.records]


def test_a_record_has_machine_fields_with_a_prefix(log, caplog):
    told(log, refusal())
    [record] = caplog.records
    ours = {name: value for name, value in vars(record).items() if name.startswith("guardrail_")}
    assert {
        "guardrail_event": "call_refused",
        "guardrail_outcome": "refuse",
        "guardrail_resource": "orders.create",
        "guardrail_rule": "per-user",
        "guardrail_kind": "limit",
        "guardrail_reason": "rate",
        "guardrail_retry_after": 1.0,
        "guardrail_suppressed": 0,
    } == ours
    assert ("guardrail.refusals", "INFO") == (record.name, record.levelname)
    assert ours == json.loads(json.dumps(ours))


def test_a_refusal_that_nobody_asked_about_is_sampled_all_the_same(log, hand, caplog):
    for _ in range(5):
        log(refusal())
    hand.now += 1
    log(refusal())
    assert [0, 4] == [record.guardrail_suppressed for record in caplog.records]


def test_of_two_rules_that_refuse_each_has_lines_of_its_own(log, hand, caplog):
    other = Verdict("total", "limit", allowed=False, reason="rate", retry_after=9.0, text="5/h")
    both = CallRefused("r", "total", "limit", "rate", Decision.of((VERDICT, other)), shadow=False)
    for _ in range(2):
        for _ in range(10):
            told(log, both)
        for _ in range(3):
            told(log, refusal())
        hand.now += 1
    assert [("total", 0), ("per-user", 0), ("total", 9), ("per-user", 2)] == [
        (record.guardrail_rule, record.guardrail_suppressed) for record in caplog.records
    ]


def test_every_move_of_a_breaker_is_written_as_long_as_a_rule_has_not_hundreds(log, hand, caplog):
    for number in range(150):
        log(BreakerMoved(f"per-host/{number}", "closed", "open", "why", "per-host"))
    assert 100 == len(caplog.records)
    hand.now += 0.101
    log(BreakerMoved("per-host/x", "closed", "open", "why", "per-host"))
    assert 50 == caplog.records[-1].guardrail_suppressed
    log(BreakerMoved("other", "closed", "open", "why", "other"))
    assert "other" == caplog.records[-1].guardrail_breaker


def test_other_events_are_all_written_and_those_of_a_store_are_not(log, caplog):
    for _ in range(2):
        for event in (KeysOverflowed("r", 5), RulesReloaded("x", "b", "a"), StoreLost("s", "timeout", "m")):
            log(event)
    expected = [("guardrail.keys", "WARNING"), ("guardrail.rules", "INFO")] * 2
    assert expected == [(record.name, record.levelname) for record in caplog.records]


def test_keys_are_shown_where_that_was_asked_for(hand, caplog):
    caplog.set_level("INFO", "guardrail")
    moved = BreakerMoved("per-host/10.1.2.3", "closed", "open", "why", "per-host")
    EventLog(now=hand)(moved)
    EventLog(now=hand, show_keys=True)(moved)
    assert [False, True] == ["10.1.2.3" in f"{vars(record)}" for record in caplog.records]


# ---- what is not


def test_a_logger_that_is_off_wants_nothing_and_counts_nothing(log, caplog):
    logging.getLogger("guardrail").setLevel("WARNING")
    for _ in range(10):
        told(log, refusal())
    log(refusal())
    log(RulesReloaded("x", "b", "a"))
    logging.getLogger("guardrail").setLevel("INFO")
    told(log, refusal())
    assert [0] == [record.guardrail_suppressed for record in caplog.records]


def test_a_kind_of_event_can_be_turned_off(log, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("guardrail.refusals"), "disabled", True)
    told(log, refusal())
    log(RulesReloaded("x", "b", "a"))
    assert ["guardrail.rules"] == [record.name for record in caplog.records]


QUIET = """
import sys
from guardrail.telemetry.events import KeysOverflowed
from guardrail.telemetry.log import EventLog
assert "logging" not in sys.modules or {prepared}, "too early"
{before}
log = EventLog()
log(KeysOverflowed("r", 5))
import logging
logging.getLogger("guardrail.http").warning("a warning of the house")
print(*map(type, logging.getLogger("guardrail").handlers))
"""


def run(code):
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, env=untraced(), check=True, capture_output=True, text=True)


def test_nothing_is_printed_where_nobody_has_set_up_logging():
    ran = run(QUIET.format(prepared=False, before=""))
    assert ("", "<class 'logging.NullHandler'>\n") == (ran.stderr, ran.stdout)


def test_who_has_set_up_logging_reads_it_once():
    ran = run(QUIET.format(prepared=True, before="import logging; logging.basicConfig(format='%(name)s')"))
    assert "guardrail.keys\nguardrail.http\n" == ran.stderr


def test_a_handler_of_the_service_stays_the_only_one():
    ran = run(
        QUIET.format(
            prepared=True, before="import logging; logging.getLogger('guardrail').addHandler(logging.StreamHandler())"
        )
    )
    assert "<class 'logging.StreamHandler'>\n" == ran.stdout
    assert 2 == len(ran.stderr.splitlines())


def test_many_logs_add_one_handler():
    logger = logging.getLogger("guardrail")
    before = list(logger.handlers)
    for _ in range(3):
        EventLog()
    assert len(before or [1]) == len(logger.handlers)


# ---- trace ids

SPAN = NonRecordingSpan(SpanContext(trace_id=0xABC, span_id=0xDEF, is_remote=False))


def test_inside_of_a_span_a_record_has_its_ids_in_hex(log, caplog):
    with use_span(SPAN):
        told(log, refusal())
    [record] = caplog.records
    assert ("00000000000000000000000000000abc", "0000000000000def") == (record.trace_id, record.span_id)


def test_outside_of_a_span_a_record_has_none(log, caplog):
    told(log, refusal())
    assert not hasattr(caplog.records[0], "trace_id")


def test_ids_that_a_service_gives_its_records_by_itself_stay(log, caplog):
    made = logging.getLogRecordFactory()

    def with_ids(*args, **options):
        record = made(*args, **options)
        record.trace_id = "theirs"
        return record

    logging.setLogRecordFactory(with_ids)
    try:
        with use_span(SPAN):
            told(log, refusal())
    finally:
        logging.setLogRecordFactory(made)
    assert ("theirs", "0000000000000def") == (caplog.records[0].trace_id, caplog.records[0].span_id)


def test_a_span_that_fails_costs_the_ids_and_not_the_line(log, caplog, monkeypatch):
    def failing():
        raise RuntimeError("no context")

    monkeypatch.setattr(trace, "get_current_span", failing)
    told(log, refusal())
    [record] = caplog.records
    assert not hasattr(record, "trace_id")


def test_opentelemetry_is_never_imported_for_it():
    ran = run(
        "import logging, sys; logging.basicConfig(level=20)\n"
        "from guardrail.telemetry.log import EventLog\n"
        "from guardrail.telemetry.events import KeysOverflowed\n"
        "EventLog()(KeysOverflowed('r', 5))\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    assert "[]\n" == ran.stdout
    assert "keys" in ran.stderr


# ---- loggers that fail


class Failing(logging.Handler):
    """A handler that raises where logging does not catch it."""

    def __init__(self):
        super().__init__()
        self.asked = 0

    def handle(self, record):
        self.asked += 1
        raise OSError("the disk is full")


@pytest.fixture
def failing():
    """Every line of the house fails to be written."""
    logger, handler = logging.getLogger("guardrail"), Failing()
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def test_a_handler_that_raises_reaches_nobody_even_where_the_failure_is_logged_by_it(log, failing):
    heard = []
    notify([log, heard.append], [refusal()])
    assert [refusal()] == heard
    assert 2 == failing.asked


def test_a_logger_that_raises_wants_nothing(log, monkeypatch):
    def raising(level):
        raise OSError("no answer")

    monkeypatch.setattr(logging.getLogger("guardrail.refusals"), "isEnabledFor", raising)
    assert not log.wants("per-user")


def test_a_clock_that_raises_wants_nothing(caplog):
    def raising():
        raise OSError("no time")

    caplog.set_level("INFO", "guardrail")
    assert not EventLog(now=raising).wants("per-user")


def test_what_ends_a_program_passes_through(caplog):
    def ending():
        raise KeyboardInterrupt

    caplog.set_level("INFO", "guardrail")
    with pytest.raises(KeyboardInterrupt):
        EventLog(now=ending).wants("per-user")


def test_a_handler_whose_own_call_is_refused_by_the_same_rule_does_not_go_round_in_circles(log, caplog):
    class Calling(logging.Handler):
        def emit(self, record):
            told(log, refusal())

    handler = Calling()
    logging.getLogger("guardrail").addHandler(handler)
    try:
        told(log, refusal())
    finally:
        logging.getLogger("guardrail").removeHandler(handler)
    assert 1 == len(caplog.records)


def test_from_many_threads_one_line_a_second_is_written_and_nothing_is_lost(log, hand, caplog):
    def refuse():
        for _ in range(500):
            told(log, refusal())

    threads = [threading.Thread(target=refuse) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 == len(caplog.records)
    hand.now += 1
    told(log, refusal())
    assert [0, 3999] == [record.guardrail_suppressed for record in caplog.records]


def test_a_forked_child_samples_afresh(log, caplog):
    told(log, refusal())
    log.after_fork()
    told(log, refusal())
    assert 2 == len(caplog.records)
