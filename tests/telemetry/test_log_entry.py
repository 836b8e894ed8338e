"""What events read like in a log: one line each, with fields for machines and without keys."""

import logging

import pytest

from guardrail.core.verdict import Decision, Verdict
from guardrail.errors import Problem, RuleError
from guardrail.telemetry.entry import ERROR, INFO, WARNING, entry_of, hidden
from guardrail.telemetry.events import (
    BreakerMoved,
    CallRefused,
    KeysOverflowed,
    RulesRejected,
    RulesReloaded,
    StoreBack,
    StoreLost,
    StoreWarned,
)

REFUSING = Verdict("per-user", "limit", allowed=False, reason="rate", retry_after=29.5, text="2/min")
ADMITTING = Verdict("total", "limit", allowed=True, limit=9, remaining=3)


def refusal(*verdicts, shadow=False, resource="orders.create", rule="per-user"):
    return CallRefused(resource, rule, "limit", "rate", Decision.of(verdicts), shadow=shadow)


def moved(to_state="open", breaker="payments/breaker", rule="payments/breaker", resource=None):
    return BreakerMoved(breaker, "closed", to_state, "failure rate 60 % >= 50 %", rule, resource)


def line(event, suppressed=0, *, show_keys=False):
    entry = entry_of(event, suppressed, show_keys=show_keys)
    return entry.text % entry.said


def test_levels_are_those_of_logging():
    assert (logging.INFO, logging.WARNING, logging.ERROR) == (INFO, WARNING, ERROR)


#   event                                       suppressed   topic, level, the line
LINES = [
    (refusal(ADMITTING, REFUSING), 0, "refusals", INFO, "refused orders.create: 2/min exceeded by rule 'per-user'; retry after 29.5 s"),
    (refusal(REFUSING), 7, "refusals", INFO, "refused orders.create: 2/min exceeded by rule 'per-user'; retry after 29.5 s; suppressed=7"),
    (moved(), 0, "breakers", WARNING, "breaker 'payments/breaker' went from closed to open: failure rate 60 % >= 50 %"),
    (moved("forced_open"), 0, "breakers", WARNING, "breaker 'payments/breaker' went from closed to forced_open: failure rate 60 % >= 50 %"),
    (moved("closed"), 3, "breakers", INFO, "breaker 'payments/breaker' went from closed to closed: failure rate 60 % >= 50 %; suppressed=3"),
    (moved("half_open"), 0, "breakers", INFO, "breaker 'payments/breaker' went from closed to half_open: failure rate 60 % >= 50 %"),
    (RulesReloaded("rules/", "b2", "a1"), 0, "rules", INFO, "rules from rules/ in force: revision b2, before a1"),
    (RulesReloaded(None, "b2", None), 0, "rules", INFO, "rules from code in force: revision b2, before None"),
    (RulesRejected("rules/", FileNotFoundError(2, "gone")), 0, "rules", WARNING, "rules rejected, the last good ones stay: [Errno 2] gone"),
    (KeysOverflowed("per-user", 250_000), 0, "keys", WARNING, "rule 'per-user' keeps 250,000 keys, as many as it may: further ones share one state"),
]  # fmt: skip


@pytest.mark.parametrize(("event", "suppressed", "topic", "level", "text"), LINES)
def test_an_event_is_one_line_of_a_topic_and_a_level(event, suppressed, topic, level, text):
    entry = entry_of(event, suppressed, show_keys=False)
    assert (topic, level, text) == (entry.topic, entry.level, line(event, suppressed))


@pytest.mark.parametrize("event", [StoreLost("s", "timeout", "m"), StoreBack("s", 1.0), StoreWarned("s", "x", "m")])
def test_what_happens_to_a_store_is_written_by_the_store(event):
    assert entry_of(event, 0, show_keys=False) is None


#   event, what its record has
FIELDS = [
    (
        refusal(ADMITTING, REFUSING),
        {
            "event": "call_refused",
            "outcome": "refuse",
            "resource": "orders.create",
            "rule": "per-user",
            "kind": "limit",
            "reason": "rate",
            "retry_after": 29.5,
            "suppressed": 2,
        },
    ),
    (
        moved(),
        {
            "event": "breaker_moved",
            "rule": "payments/breaker",
            "breaker": "payments/breaker",
            "from_state": "closed",
            "to_state": "open",
            "reason": "failure rate 60 % >= 50 %",
            "suppressed": 2,
        },
    ),
    (
        RulesReloaded("rules/", "b2", "a1"),
        {"event": "rules_reloaded", "source": "rules/", "revision": "b2", "previous": "a1"},
    ),
    (RulesRejected("rules/", OSError("gone")), {"event": "rules_rejected", "source": "rules/", "problems": 1}),
    (KeysOverflowed("per-user", 9), {"event": "keys_overflowed", "rule": "per-user", "max_keys": 9}),
]


@pytest.mark.parametrize(("event", "fields"), FIELDS)
def test_an_event_has_these_fields_and_no_others(event, fields):
    assert fields == entry_of(event, 2, show_keys=False).fields


def test_a_rule_that_only_watches_is_told_by_its_own_verdict_whatever_the_call_got():
    watching = Verdict("per-user", "limit", allowed=False, reason="rate", retry_after=1.5, text="2/min", shadow=True)
    event = refusal(ADMITTING, watching, shadow=True)
    assert event.decision.allowed
    assert "would have refused orders.create: 2/min exceeded by rule 'per-user'; retry after 1.5 s" == line(event)
    entry = entry_of(event, 0, show_keys=False)
    assert ("shadow_refuse", 1.5) == (entry.fields["outcome"], entry.fields["retry_after"])


def test_a_refusal_names_the_rule_of_the_event_even_if_another_one_says_later():
    later = Verdict("total", "limit", allowed=False, reason="rate", retry_after=60.0, text="9/h")
    assert "2/min exceeded by rule 'per-user'" in line(refusal(REFUSING, later))


def test_a_breaker_with_a_key_is_named_by_the_hash_of_it():
    event = moved(breaker="per-host/10.1.2.3", rule="per-host")
    entry = entry_of(event, 0, show_keys=False)
    name = f"per-host/{hidden('10.1.2.3')}"
    assert name == entry.fields["breaker"]
    assert f"breaker '{name}' went" in line(event)
    assert "10.1.2.3" not in f"{entry}"


def test_a_rule_whose_name_has_slashes_is_not_taken_for_a_key():
    event = moved(breaker="a/b/breaker/k/1", rule="a/b/breaker")
    assert f"a/b/breaker/{hidden('k/1')}" == entry_of(event, 0, show_keys=False).fields["breaker"]


def test_a_breaker_of_a_resource_is_named_by_it():
    event = moved(breaker="payments/breaker/payments.charge", resource="payments.charge")
    assert "payments/breaker/payments.charge" == entry_of(event, 0, show_keys=False).fields["breaker"]


def test_keys_are_shown_where_that_was_asked_for():
    event = moved(breaker="per-host/10.1.2.3", rule="per-host")
    assert "per-host/10.1.2.3" == entry_of(event, 0, show_keys=True).fields["breaker"]


def test_of_a_breaker_whose_rule_is_not_named_nothing_is_shown_but_a_hash():
    assert (
        f"/{hidden('per-host/10.1.2.3')}"
        == entry_of(BreakerMoved("per-host/10.1.2.3", "closed", "open", "why"), 0, show_keys=False).fields["breaker"]
    )


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        ("", "cae66941d9efbd404e4d88758ea67670"),
        ("u1", "53199585bddea28e67fe7143a42baef7"),
        ("ключ", "a4b16b696bfed204637367e519e5834d"),
        ("\udc80", "a9eac2dbc1be1ac8740107801b666f53"),
    ],
)
def test_a_key_has_one_hash_for_all_time(key, hashed):
    assert hashed == hidden(key)


def test_rejected_rules_are_one_line_without_excerpts_and_not_endless():
    wrong = "unknown key 'hunter2'; mistake"
    problems = [Problem(f"{wrong} {number}", "a.yaml", number, 3, "password: hunter2") for number in range(1, 13)]
    event = RulesRejected("rules/", RuleError(problems))
    entry = entry_of(event, 0, show_keys=False)
    listed = "; ".join(f"a.yaml:{number}:3: unknown key ...; mistake {number}" for number in range(1, 11))
    assert f"rules rejected, the last good ones stay: {listed}; and 2 more" == line(event)
    assert (ERROR, 12) == (entry.level, entry.fields["problems"])
    assert "hunter2" not in f"{entry}"


@pytest.mark.parametrize(
    "event",
    [
        refusal(REFUSING, resource="GET /x\nroot: logged in"),
        moved(breaker="r/x\nroot: logged in", rule="r\n"),
        KeysOverflowed("r\nroot: logged in", 1),
        RulesRejected("x", RuleError([Problem("wrong\nroot: logged in")])),
    ],
)
def test_nobody_can_make_up_a_second_line(event):
    assert 1 == len(line(event, show_keys=True).splitlines())
    assert "\\nroot: logged in" in line(event, show_keys=True)


def test_of_an_error_that_is_not_about_rules_only_its_kind_is_said():
    event = RulesRejected("rules/", LookupError("hunter2"))
    assert "rules rejected, the last good ones stay: LookupError" == line(event)
