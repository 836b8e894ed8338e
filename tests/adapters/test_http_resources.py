"""Names of what is called: from the texts of rules, and never from a path."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail import RuleSet
from guardrail.adapters.http.resources import UNMATCHED, Exempt, RuleNames, name_of, values_in
from tests.adapters.wire import PER_CLIENT, guard_of

SEGMENTS = st.sampled_from(["a", "b", "v1", "v2"])
PATHS = st.lists(SEGMENTS, max_size=4).map(lambda parts: "GET /" + "/".join(parts))
PATTERNS = st.builds(
    lambda verb, parts, rest: f"{verb} /" + "/".join([*parts, *rest]),
    st.sampled_from(["GET", "*"]),
    st.lists(st.sampled_from(["a", "b", "*", "{x}", "v*", "*1"]), max_size=3),
    st.sampled_from([[], ["**"]]),
)


def rules_of(*texts, **more):
    rules = [
        {"name": str(number), "resource": text, "kind": "limit", "rate": "1/s"} for number, text in enumerate(texts)
    ]
    return RuleSet.parse([{**rule, **more} for rule in rules])


@pytest.mark.parametrize(
    ("expected", "texts", "call"),
    [
        (UNMATCHED, [], "GET /v1"),
        (UNMATCHED, ["GET /v1/orders"], "GET /v1/orders/17"),
        ("GET /v1/orders/{id}", ["GET /v1/orders/{id}"], "GET /v1/orders/17"),
        ("* /admin/**", ["* /admin/**"], "GET /admin/users/3"),
        ("**", ["**"], "GET /v1"),
        ("GET /v1", ["GET /v1", "**"], "GET /v1"),
        ("GET /v1/orders/{id}", ["* /v1/**", "GET /v1/orders/{id}"], "GET /v1/orders/17"),
        ("GET /v1/**", ["* /v1/**", "GET /**"], "GET /v1/orders"),
        ("GET /a/b", ["GET /{x}/b", "GET /a/{y}"], "GET /a/b"),
        ("GET /a/{x}/c/**", ["GET /a/**", "* /*/{x}/c/**"], "GET /a/b/c/d/e"),
        ("GET /v1/**", ["* /v1/**", "GET /v1/**"], "GET /v1"),
    ],
)
def test_the_name_is_the_text_of_the_rule_or_what_several_texts_have_in_common(expected, texts, call):
    assert expected == name_of(rules_of(*texts), call)


@given(st.lists(PATTERNS, max_size=4, unique=True), PATHS)
def test_the_name_is_matched_by_the_rules_that_match_the_path(texts, call):
    rules = rules_of(*texts)
    name = name_of(rules, call)
    if name == UNMATCHED:
        assert rules.match(call) == ()
    elif not any("v*" in text for text in texts) or not any("*1" in text for text in texts):
        assert rules.match(call) == rules.match(name)


def test_an_exception_of_the_rule_does_not_catch_its_own_name():
    rules = rules_of("* /v1/**", **{"except": ["* /v1/{x}"]})
    assert name_of(rules, "GET /v1/a") == UNMATCHED
    assert rules.match(name_of(rules, "GET /v1/a/b")) == tuple(rules)


def test_twenty_thousand_paths_have_a_handful_of_names():
    rules, names = rules_of("GET /v1/orders/{id}", "* /v1/**", "GET /a*/{x}"), RuleNames()
    found = {names.name(rules, f"GET /{first}/orders/{number}") for first in ("v1", "ab") for number in range(10_000)}
    assert {"GET /v1/orders/{id}", UNMATCHED} == found
    assert len(names._known[1]) <= 4_096


def test_other_rules_have_other_names():
    names = RuleNames()
    assert [names.name(rules_of("GET /{x}"), "GET /a"), names.name(rules_of("GET /a"), "GET /a")] == [
        "GET /{x}",
        "GET /a",
    ]


def test_values_are_what_stands_for_the_names_of_a_pattern():
    assert values_in("GET /v1/{a}/*/{b}/**", "GET /v1/x/y/z/1/2") == {"a": "x", "b": "z"}


@pytest.mark.parametrize(
    ("expected", "texts", "verb", "path"),
    [
        (True, ["/healthz"], "POST", "/healthz"),
        (False, ["/healthz"], "GET", "/healthz/deep"),
        (True, ["GET /status"], "GET", "/status"),
        (False, ["GET /status"], "POST", "/status"),
        (True, ["/internal/**"], "POST", "/internal/a/b"),
        (True, ["GET /internal/**"], "GET", "/internal"),
        (False, ["GET /internal/**"], "POST", "/internal"),
        (False, [], "GET", "/healthz"),
        (False, ["cors-preflight"], "GET", "cors-preflight "),
    ],
)
def test_exempt_are_paths_and_patterns_with_a_method_or_without(expected, texts, verb, path):
    assert expected is Exempt(texts).has(verb, path)


def test_a_long_path_is_named_and_forgotten():
    names, rules = RuleNames(), guard_of({**PER_CLIENT, "resource": "GET /a/**"}).rules
    assert ["GET /a/**", "GET /a/**"] == [names.name(rules, f"GET /a/{'b' * length}") for length in (9, 60_000)]
    assert {"GET /a/bbbbbbbbb": "GET /a/**"} == names._known[1]
