"""What lint says of two patterns or two rules is certain: no resource and no history shows otherwise."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail import Guard, RuleSet
from guardrail.cli.lint.bounds import idle_overrides, is_idle_under
from guardrail.cli.lint.coverage import covers, disjoint
from guardrail.rules.match import Index
from guardrail.testing import FakeClock

PARTS = st.sampled_from(["a", "b", "ab", "*", "{x}", "a*", "*b", "a*b", "a{x}b*"])
FIXED = st.sampled_from(["a", "b", "ab", "aab", "abb", ""])


@st.composite
def texts(draw, part, rest):
    separator = draw(st.sampled_from("/."))
    segments = draw(st.lists(part, min_size=1, max_size=3)) + draw(st.sampled_from([[], [], rest]))
    start = "/" if separator == "/" and draw(st.booleans()) else ""
    words = draw(st.sampled_from(["", "", "GET ", "POST ", *(["* "] if rest else [])]))
    return words + start + separator.join(segments)


PATTERNS = texts(PARTS, ["**"]) | st.just("**")
RESOURCES = st.lists(texts(FIXED, []).filter(bool), min_size=10, max_size=30)


def matches(text, resource):
    return bool(Index([(text, 0)]).find(resource))


@given(PATTERNS, PATTERNS, RESOURCES)
@settings(max_examples=100)
def test_what_covers_another_matches_all_that_it_matches(wide, text, resources):
    if covers(wide, text):
        assert [] == [one for one in resources if matches(text, one) and not matches(wide, one)]


@given(PATTERNS, PATTERNS, RESOURCES)
@settings(max_examples=100)
def test_what_is_disjoint_matches_nothing_together(one, other, resources):
    if disjoint(one, other):
        assert [] == [resource for resource in resources if matches(one, resource) and matches(other, resource)]
        assert not covers(one, other)


def limit(draw, name):
    algorithm = draw.choice(["token_bucket", "token_bucket", "sliding_window", "fixed_window", "sliding_log"])
    fields = {"name": name, "resource": "a", "kind": "limit", "algorithm": algorithm}
    fields["rate"] = rate(draw)
    if algorithm == "token_bucket" and draw.random() < 0.7:
        fields["burst"] = draw.randrange(1, 30)
    if draw.random() < 0.3:
        fields["cost"] = draw.randrange(1, 4)
    if draw.random() < 0.4:
        fields["key"] = draw.choice(["user", ["user", "client.ip"]])
    if fields.get("key") == "user" and draw.random() < 0.5:
        fields["overrides"] = {"a": rate(draw), "b": rate(draw)}
    return fields


def rate(draw):
    return f"{draw.randrange(1, 30)} per {draw.choice([1, 2, 3, 7, 10])}s"


def refused_alone(draw, rules, users):
    """Let calls of these users come, and tell whether the loose rule ever refuses one that the tight one lets in."""
    clock = FakeClock(1_700_000_000_123_456)
    guard = Guard(rules, clock=clock)
    for _ in range(150):
        clock.advance(draw.choice([0, 0, 0.05, 0.3, 1, 1.1, 5]))
        attributes = {"user": draw.choice(users), "client.ip": draw.choice("cd")}
        permit = guard.try_enter("a", attributes, cost=draw.choice([0, 1, 1, 2]))
        loose, tight = permit.decision.verdicts
        if tight.allowed and not loose.allowed and attributes["user"] == users[0]:
            return True
        if permit:
            permit.exit()
    return False


def test_a_rule_that_is_idle_never_refuses_alone_whatever_comes():
    draw, judged, overridden = random.Random(7), 0, 0
    while judged < 60:
        rules = RuleSet.parse([limit(draw, "loose"), limit(draw, "tight")])
        if is_idle_under(rules.get("loose"), rules.get("tight")):
            judged += 1
            overridden += bool(rules.get("loose").overrides)
            assert not refused_alone(draw, rules, draw.choice(["ab", "ba"])), list(rules)
    assert overridden >= 3


def test_an_override_that_is_out_of_reach_never_refuses_alone_whatever_comes():
    draw, judged = random.Random(9), 0
    while judged < 60:
        rules = RuleSet.parse([limit(draw, "loose"), limit(draw, "tight")])
        for key in idle_overrides(rules.get("loose"), rules.get("tight")):
            judged += 1
            assert not refused_alone(draw, rules, key + "ab".replace(key, "")), list(rules)


def test_what_is_not_called_idle_often_does_refuse_alone():
    """The judgement is worth something: most pairs of which it says nothing show why."""
    draw, alone, silent = random.Random(8), 0, 0
    while silent < 30:
        rules = RuleSet.parse([{**limit(draw, name), "key": "user", "cost": 1} for name in ("loose", "tight")])
        if is_idle_under(rules.get("loose"), rules.get("tight")):
            continue
        silent += 1
        clock = FakeClock(1_700_000_000_000_000)
        guard = Guard(rules, clock=clock)
        for _ in range(400):
            clock.advance(draw.choice([0, 0, 0.05, 0.3]))
            permit = guard.try_enter("a", {"user": "a"})
            loose, tight = permit.decision.verdicts
            if tight.allowed and not loose.allowed:
                alone += 1
                break
    assert alone > 15
