"""What `guardrail explain --format json` prints stays as it is."""

import json

import pytest

from guardrail import RuleSet
from tests.cli.rules import RULES
from tests.cli.shell import guardrail


@pytest.fixture(autouse=True)
def rules(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yaml").write_text(RULES)


def explain(*words):
    done = guardrail("explain", *words, "--rules", "rules.yaml", "--format", "json")
    return done.code, json.loads(done.out)


def test_the_answer_names_the_call_and_the_rules():
    code, answer = explain("orders.create", "--attr", "usr=u1", "--cost", "2")
    asked, others = answer.pop("asked"), answer.pop("not_asked")
    assert 0 == code
    assert {
        "ok": True,
        "resource": "orders.create",
        "attributes": {"usr": "u1"},
        "cost": 2,
        "rules": {"path": "rules.yaml", "count": 6, "revision": RuleSet.parse(RULES).revision},
        "unread_attributes": ["usr"],
    } == answer
    assert ["warehouse", "places", "per-user"] == [rule["rule"] for rule in asked]
    assert [
        {
            "rule": "free-plan",
            "kind": "limit",
            "fits": True,
            "why": ["when: plan must be free or trial, and the call has none; add --attr plan=free"],
        },
        {"rule": "old", "kind": "limit", "fits": True, "why": ["mode: off"]},
        {"rule": "carts", "kind": "limit", "fits": False, "why": ["resource: it is about carts.**"]},
    ] == others


def test_a_limit():
    _, answer = explain("orders.create", "--attr", "user=vip", "--cost", "21")
    *_, limit = answer["asked"]
    assert {"rate", "refill", "cost", "queue", "counted"} == set(limit.pop("means"))
    assert {
        "rule": "per-user",
        "kind": "limit",
        "matched": "orders.create",
        "mode": "enforce",
        "enforce": 1.0,
        "enforced": True,
        "key": [{"names": ["user"], "name": "user", "value": "vip"}],
        "missing": [],
        "state_key": "vip",
        "algorithm": "token_bucket",
        "rate": "600/min",
        "overridden": True,
        "at_once": 20,
        "first_minute": 620,
        "each_later_minute": 600.0,
        "max_wait": 1.0,
        "cost": 21,
        "never_admitted": True,
    } == limit


def test_a_limit_that_only_watches_has_a_window_and_a_composite_key():
    _, answer = explain("orders.list", "--attr", "plan=free", "--attr", "header.x-tenant=acme")
    (limit,) = answer["asked"]
    assert not limit["enforced"]
    assert ("shadow", "0:4:acme", ["user", "client.ip"]) == (limit["mode"], limit["state_key"], limit["missing"])
    assert (1000, None, None) == (limit["at_once"], limit["first_minute"], limit["each_later_minute"])


def test_a_breaker():
    _, answer = explain("stock.take")
    (breaker,) = answer["asked"]
    assert {"breaker", "opens", "open", "probes", "failures"} == set(breaker.pop("means"))
    assert {
        "rule": "warehouse",
        "kind": "breaker",
        "matched": "stock.*",
        "mode": "enforce",
        "enforce": 1.0,
        "enforced": True,
        "key": [{"names": ["resource"], "name": "resource", "value": "stock.take"}],
        "missing": [],
        "state_key": "stock.take",
        "breaker": "warehouse/stock.take",
        "failure_rate": None,
        "slow_call": 2.0,
        "slow_rate": 0.5,
        "consecutive_failures": 5,
        "window": 30.0,
        "window_calls": None,
        "min_calls": 10,
        "open_for": 5.0,
        "open_for_max": 60.0,
        "half_open_calls": 3,
        "probe_timeout": 30.0,
        "failures": None,
        "ignore": ["ValueError"],
    } == breaker


def test_a_bulkhead():
    _, answer = explain("orders.create")
    (bulkhead,) = [rule for rule in answer["asked"] if rule["kind"] == "bulkhead"]
    assert (10, 0.5, 50) == (bulkhead["max_concurrent"], bulkhead["max_wait"], bulkhead["max_queue"])
    assert ([], [], "") == (bulkhead["key"], bulkhead["missing"], bulkhead["state_key"])


def test_rules_that_cannot_be_used_are_problems():
    done = guardrail("explain", "a", "--rules", "missing.yaml", "--format", "json")
    assert 1 == done.code
    problem = {
        "message": "cannot be read: No such file or directory",
        "file": "missing.yaml",
        "line": None,
        "column": None,
        "excerpt": None,
    }
    assert {"ok": False, "problems": [problem]} == json.loads(done.out)
