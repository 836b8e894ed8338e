"""`guardrail diff` says what changes for whom, and what becomes of the state."""

import json

import pytest

from guardrail import RuleSet
from guardrail.cli.diff.changes import differences
from guardrail.cli.diff.report import rows_of
from guardrail.cli.diff.state import LOOSER, TIGHTER
from tests.cli.shell import guardrail, terminal

OLD = """\
version: 1
rules:
  - name: per-user
    resource: ["GET /v1/**", "GET /old"]
    kind: limit
    rate: 100/min
    burst: 20
    key: user
  - name: search
    resource: "GET /v1/search"
    except: []
    kind: limit
    rate: 10/s
    mode: shadow
  - name: payments
    resource: payments.*
    kind: breaker
    window: 60s
  - name: places
    resource: reports.render
    kind: bulkhead
    max_concurrent: 10
  - {name: same, resource: mail.send, kind: limit, rate: 5/s}
"""
NEW = """\
version: 1
rules:
  - name: per-user
    resource: ["GET /v1/**", "POST /v1/**"]
    kind: limit
    rate: 200/min
    burst: 20
    key: user
  - name: search
    resource: "GET /v1/search"
    kind: limit
    rate: 10/s
    enforce: 50%
    key: user
  - name: reports
    resource: reports.render
    kind: bulkhead
    max_concurrent: 10
  - {name: same, resource: mail.send, kind: limit, rate: 5/s, burst: 5, mode: enforce}
  - name: tokens
    resource: llm.answer
    kind: limit
    rate: 1000/h
    cost: tokens
    when: {plan: [free, trial], origin: "!billing"}
"""
SHOWN = """\
Rules: 2 changed, 1 added, 1 removed, 1 renamed, 1 unchanged

~ limit per-user
   for       GET /v1/** or POST /v1/**; each user by itself
   before    GET /v1/** or GET /old; each user by itself
   leaves    GET /old
   takes up  POST /v1/**
   rate      100/min -> 200/min
   state     rescaled: what was used stays used, up to the 20 tokens there are now, and comes back at the new rate

~ limit search
   for      GET /v1/search; each user by itself
   before   GET /v1/search
   mode     shadow -> enforce (default)
   enforce  100% (default) -> 50%
   effect   it refuses from now on, and what it has counted so far counts
   state    afresh: another key

~ bulkhead places -> reports
   for    reports.render
   state  afresh: state is kept by name, and places was another; write the old name to keep it

+ limit tokens
   for    llm.answer, where plan is free or trial, where origin is not billing
   rate   1000/h
   cost   tokens
   state  afresh: nothing is used yet

- breaker payments
   for    payments.*; each resource by itself
   state  forgotten: what it has counted is dropped

No limit is left for GET /old.
No breaker is left for payments.*.
There was no limit before for POST /v1/**, llm.answer.
"""


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.yaml").write_text(OLD)
    (tmp_path / "new.yaml").write_text(NEW)
    return tmp_path


def test_what_changes_for_whom():
    done = guardrail("diff", "old.yaml", "new.yaml")
    assert 1 == done.code
    old, new, *_ = done.out.splitlines()
    assert f"Old: old.yaml, 5 rules, revision {RuleSet.parse(OLD).revision}" == old
    assert f"New: new.yaml, 5 rules, revision {RuleSet.parse(NEW).revision}" == new
    assert SHOWN == "".join(done.out.splitlines(keepends=True)[2:])


def test_the_same_rules_do_not_differ(files):
    (files / "same.yaml").write_text(OLD)
    done = guardrail("diff", "old.yaml", "same.yaml")
    assert 0 == done.code
    assert "No difference: 5 rules, all of them as before.\n" in done.out


#   two ways to say the same
ALIKE = [
    ("kind: limit, rate: 5/s", "kind: limit, rate: 5/s, burst: 5"),
    ("kind: limit, rate: 5/s", "kind: limit, rate: 5 per second, max_wait: 0"),
    ("kind: limit, rate: 5/s, key: user", "kind: limit, rate: 5/s, key: [user], scope: shared"),
    ("kind: breaker", "kind: breaker, failure_rate: 0.5, window: 30s, min_calls: 10, key: resource"),
    ("kind: breaker, window_calls: 5", "kind: breaker, window_calls: 5, min_calls: 5"),
    ("kind: breaker, slow_call: 1s", "kind: breaker, slow_call: 1000ms, slow_rate: 50%"),
    ("kind: bulkhead, max_concurrent: 3", "kind: bulkhead, max_concurrent: 3, scope: local"),
]


@pytest.mark.parametrize("ways", ALIKE)
def test_the_same_in_other_words_is_no_difference(ways):
    for old, new in (ways, ways[::-1]):
        found = differences(*(RuleSet.parse(f"version: 1\nrules:\n  - {{resource: a, {way}}}\n") for way in (old, new)))
        assert not found, found.changes


def changed(old, new):
    """What is said of one rule, by what it is about."""
    sets = (RuleSet.parse(f"version: 1\nrules:\n  - {{name: r, resource: a, {way}}}\n") for way in (old, new))
    (change,) = differences(*sets).changes
    return {row.about: row.sentence for row in rows_of(change)}


LIMIT = "kind: limit, rate: 5/s, key: user"

#   a rule                                    another one                               what is said of one thing
SAID = [
    (LIMIT, f"{LIMIT}, max_wait: 1s", "max_wait", "0s (default) -> 1s"),
    (LIMIT, f"{LIMIT}, overrides: {{ann: 9/s, bob: 1/min}}", "overrides", "none -> ann: 9/s, bob: 1/min"),
    (f"{LIMIT}, overrides: {{ann: 9/s}}", LIMIT, "overrides", "ann: 9/s -> none"),
    (LIMIT, f"{LIMIT}, burst: 9", "burst", "5 (default) -> 9"),
    (
        f"{LIMIT}, overrides: {{ann: 9/s}}",
        f"{LIMIT}, overrides: {{ann: 9/s}}, burst: 5",
        "burst",
        "each rate's own amount (default) -> 5",
    ),
    (
        LIMIT,
        f"{LIMIT}, when: {{plan: [free, trial], origin: '!x'}}",
        "for",
        "a, where plan is free or trial, where origin is not x; each user by itself",
    ),
    (LIMIT, f"{LIMIT}, when: {{plan: free}}", "before", "a; each user by itself"),
    ("kind: breaker", "kind: breaker, failures: [OSError, http.503]", "failures", "none -> OSError, http.503"),
    (LIMIT, "kind: bulkhead, max_concurrent: 3, key: user", "kind", "limit -> bulkhead"),
]


@pytest.mark.parametrize(("old", "new", "about", "sentence"), SAID)
def test_what_is_said_of_one_thing(old, new, about, sentence):
    assert sentence == changed(old, new)[about]


def test_a_burst_that_nobody_wrote_is_not_mentioned_where_overrides_come_and_go():
    assert {"for", "overrides", "state"} == set(changed(LIMIT, f"{LIMIT}, overrides: {{ann: 9/s}}")) - {"effect"}


#   a rule                                         another one                                      what it means for callers
EFFECTS = [
    (LIMIT, LIMIT.replace("5/s", "9/s"), LOOSER),
    (LIMIT.replace("5/s", "9/s"), LIMIT, TIGHTER),
    (LIMIT, f"{LIMIT}, burst: 2", TIGHTER),
    (LIMIT, f"{LIMIT}, when: {{plan: free}}", LOOSER),
    (LIMIT, f"{LIMIT}, overrides: {{ann: 9/s}}", LOOSER),
    (LIMIT, LIMIT.replace("user", "[user, client.ip]"), LOOSER),
    (LIMIT, f"{LIMIT}, algorithm: sliding_window", TIGHTER),
    (f"{LIMIT}, algorithm: fixed_window", f"{LIMIT}, algorithm: sliding_window", TIGHTER),
    (LIMIT, LIMIT.replace("5/s", "100/min, burst: 9"), None),
    (f"{LIMIT}, mode: shadow", f"{LIMIT.replace('5', '9')}, mode: shadow", None),
    ("kind: bulkhead, max_concurrent: 3", "kind: bulkhead, max_concurrent: 4", LOOSER),
    ("kind: bulkhead, max_concurrent: 3", "kind: bulkhead, max_concurrent: 2", TIGHTER),
    ("kind: bulkhead, max_concurrent: 3", "kind: bulkhead, max_concurrent: 2, max_wait: 1s", None),
    ("kind: breaker", "kind: breaker, min_calls: 5", None),
]


@pytest.mark.parametrize(("old", "new", "effect"), EFFECTS)
def test_where_it_is_certain_a_rule_is_said_to_be_tighter_or_looser(old, new, effect):
    assert effect == changed(old, new).get("effect")


def test_another_order_is_a_difference():
    first, second = ("  - {resource: a, kind: limit, rate: 5/s}\n", "  - {resource: b, kind: limit, rate: 5/s}\n")
    head = "version: 1\nrules:\n"
    found = differences(RuleSet.parse(head + first + second), RuleSet.parse(head + second + first))
    assert found
    assert found.reordered
    assert () == found.changes


def test_json_is_stable():
    done = guardrail("diff", "old.yaml", "new.yaml", "--json")
    assert 1 == done.code
    plain = json.loads(done.out)
    assert done.out == guardrail("diff", "old.yaml", "new.yaml", "--format", "json").out
    assert (True, True, 1, False) == (plain["ok"], plain["differ"], plain["unchanged"], plain["reordered"])
    assert {
        "change": "changed",
        "rule": "per-user",
        "was": "per-user",
        "kind": "limit",
        "for": "GET /v1/** or POST /v1/**; each user by itself",
        "before": "GET /v1/** or GET /old; each user by itself",
        "fields": [
            {"field": "resource", "old": "GET /v1/**, GET /old", "new": "GET /v1/**, POST /v1/**"},
            {"field": "rate", "old": "100/min", "new": "200/min"},
        ],
        "effects": [],
        "state": "rescaled",
        "why": "what was used stays used, up to the 20 tokens there are now, and comes back at the new rate",
    } == plain["changes"][0]
    assert {"limit": ["GET /old"], "breaker": ["payments.*"]} == plain["no_longer_covered"]
    assert {"limit": ["POST /v1/**", "llm.answer"]} == plain["newly_covered"]


def test_rules_that_cannot_be_used_are_2_and_listed_from_both(files):
    (files / "bad.yaml").write_text("version: 1\nrules:\n  - {resource: a, kind: limit, rate: often}\n")
    done = guardrail("diff", "bad.yaml", "missing.yaml")
    assert 2 == done.code
    assert "bad.yaml:3:38: rate must be" in done.out
    assert "missing.yaml: cannot be read" in done.out
    assert not json.loads(guardrail("diff", "bad.yaml", "new.yaml", "--json").out)["ok"]


def test_one_of_them_can_be_piped_in():
    done = guardrail("diff", "old.yaml", "-", stdin=NEW)
    assert 1 == done.code
    assert "New: what is piped in, 5 rules" in done.out


def test_on_a_terminal_rules_have_colours(files):
    done = terminal("diff", "old.yaml", "new.yaml", cwd=files)
    assert "\x1b[1;33m~ limit per-user\x1b[0m" in done.out
    assert "\x1b[1;32m+ limit tokens\x1b[0m" in done.out
    assert "\x1b[1;31m- breaker payments\x1b[0m" in done.out
