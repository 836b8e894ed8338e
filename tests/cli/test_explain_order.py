"""What `explain` says is what a guard does: the same rules, in the same order, under the same keys."""

from hypothesis import given
from hypothesis import strategies as st

from guardrail import Guard, RuleSet
from guardrail.admission.attempt import Attempt
from guardrail.admission.call import Call
from guardrail.cli.explanation import explain
from guardrail.cli.question import Question
from guardrail.testing import FakeClock

NUMBERS = {
    "limit": {"rate": "100/min"},
    "breaker": {"failure_rate": "50%"},
    "bulkhead": {"max_concurrent": 5},
}
VALUES = ["", "a", "b", "u1"]
names = st.sampled_from(["user", "plan", "client.ip", "resource", "user|client.ip"])
resources = st.sampled_from(["a.b", "a.*", "a.**", "**", "c"])
conditions = st.dictionaries(st.sampled_from(["user", "plan"]), st.sampled_from(["a", "!a", ["a", "b"]]), max_size=2)


@st.composite
def rule_sets(draw):
    rules = []
    for number in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(sorted(NUMBERS)))
        rule = {
            "name": f"rule{number}",
            "resource": draw(resources),
            "kind": kind,
            "key": draw(st.lists(names, min_size=1, max_size=2, unique=True)) if draw(st.booleans()) else None,
            "when": draw(conditions) or None,
            "except": "a.b" if draw(st.integers(0, 5)) == 0 else None,
            "mode": draw(st.sampled_from(["enforce", "enforce", "shadow", "off"])),
            "enforce": draw(st.sampled_from(["100%", "50%", "0%"])),
        }
        rules.append(rule | NUMBERS[kind])
    return RuleSet.parse(rules)


@given(
    rules=rule_sets(),
    attributes=st.dictionaries(st.sampled_from(["user", "plan", "client.ip"]), st.sampled_from(VALUES)),
)
def test_it_asks_the_rules_that_a_guard_asks_in_the_same_order_under_the_same_keys(rules, attributes):
    guard = Guard(rules, clock=FakeClock())
    _, gates = guard.gates_for("a.b", None)
    call = Call("a.b", lambda name: "a.b" if name == "resource" else attributes.get(name))
    attempt = Attempt(gates, call, guard.ledger)
    enforced = [*attempt.breakers, *attempt.bulkheads, *attempt.limits]
    expected = [(one.gate.name, one.key, not one.watching) for one in [*enforced, *attempt._shadow]]

    answer = explain(rules, Question("a.b", attributes))
    assert expected == [(one.rule.name, one.key, one.enforced) for one in answer.asked]
    assert {rule.name for rule in rules} == {one.rule.name for one in (*answer.asked, *answer.silent)}
    assert all(one.why for one in answer.silent)
    fitting = {rule.name for rule in rules.match("a.b")}
    assert all(not one.fits or one.rule.name in fitting or "except" in one.why[0] for one in answer.silent)


def test_a_breaker_has_the_name_under_which_the_guard_has_it():
    rules = RuleSet.parse(
        [
            {"name": "one", "resource": "a.b", "kind": "breaker"},
            {"name": "many", "resource": "a.*", "kind": "breaker"},
            {"name": "keyed", "resource": "a.b", "kind": "breaker", "key": "user"},
            {"name": "shared", "resource": "a.*", "kind": "breaker", "key": []},
        ]
    )
    guard = Guard(rules, clock=FakeClock())
    with guard.enter("a.b", {"user": "u1"}):
        pass
    names = {one.breaker for one in explain(rules, Question("a.b", {"user": "u1"})).asked}
    assert {"one", "many/a.b", "keyed/u1", "shared"} == names
    assert names == set(guard.breakers)
