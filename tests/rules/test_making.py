"""Rules from plain values, and a rule from a file over one in code."""

import re
from fractions import Fraction

import pytest

from guardrail.errors import RuleError
from guardrail.rules.making import merge, parse_rule
from guardrail.rules.ruleset import RuleSet


def rule(kind="limit", **fields):
    return parse_rule({"resource": "app.fetch", "kind": kind, **fields}, where="@limit of app.fetch")


def from_file(text):
    (made,) = RuleSet.parse("version: 1\nrules:\n" + text)
    return made


def test_what_a_rule_wrote_itself_is_known_by_the_names_in_YAML():
    made = rule(rate="5/s", max_wait="1s", **{"except": ["app.x"]})
    assert {"resource", "kind", "rate", "max_wait", "except"} == made.written
    assert {"name": "app.fetch/limit", "rate": "5/s", "max_wait": "1s"}.items() <= made.fields.items()


def test_a_field_that_is_None_is_not_written():
    made = rule(rate="5/s", burst=None)
    assert "burst" not in made.written
    assert "burst" not in made.fields


def test_defaults_are_fields_that_the_rule_did_not_write():
    made = from_file("  - {resource: a, kind: breaker, min_calls: 5}\ndefaults: {breaker: {open_for: 7s}}\n")
    assert {"resource", "kind", "min_calls"} == made.written
    assert "7s" == made.fields["open_for"]
    assert 7_000_000 == made.open_for_us


def test_mistakes_name_where_they_are_and_have_no_position():
    with pytest.raises(RuleError) as refused:
        rule(rate="5", brust=5)
    assert [
        "@limit of app.fetch: rate must be an amount per time, such as 100/min, got '5'",
        "@limit of app.fetch: unknown key 'brust'; did you mean 'burst'?",
    ] == str(refused.value).splitlines()
    assert {None} == {place for problem in refused.value.problems for place in problem[1:]}


def test_what_is_missing_is_named_with_an_example():
    with pytest.raises(RuleError, match="a limit needs a rate, such as rate: 100/min"):
        rule()
    with pytest.raises(
        RuleError, match="a rule needs a kind: limit, breaker or bulkhead; its fields are those of a breaker"
    ):
        parse_rule({"resource": "a", "open_for": "5s"}, where="here")
    with pytest.raises(RuleError, match="got 'limt'; did you mean 'limit'"):
        rule("limt", rate="5/s")
    with pytest.raises(
        RuleError, match=r"kind must be limit, breaker or bulkhead, got 5; its fields are those of a limit$"
    ):
        rule(5, rate="5/s")
    with pytest.raises(RuleError, match="got 'queue'; its fields are those of a bulkhead"):
        rule("queue", max_concurrent=5)


def test_without_a_kind_what_all_kinds_share_is_judged():
    with pytest.raises(RuleError) as refused:
        parse_rule({"enforce": 5, "rate": "5/s", "open_for": "soon", "colour": "blue"}, where="here")
    messages = [problem.message.removeprefix("here: ").partition(" ")[0] for problem in refused.value.problems]
    assert ["a", "enforce", "unknown", "a"] == messages  # no kind, wrong enforce, no such key, no resource


def test_a_rule_from_a_file_takes_over_what_it_writes_and_leaves_the_rest():
    inline = rule(rate="5/s", burst=2, key="user", cost="size")
    over = from_file("  - {resource: app.fetch, kind: limit, rate: 100/s, mode: shadow}\n")
    merged = merge(inline, over)
    assert ("app.fetch/limit", 100, 2, (("user",),), "size", "shadow") == (
        merged.name,
        merged.rate.amount,
        merged.burst,
        merged.key,
        merged.cost,
        merged.mode,
    )
    assert inline.written | over.written == merged.written


def test_defaults_of_the_file_do_not_take_over():
    inline = rule("breaker", open_for="9s")
    over = from_file("  - {resource: app.fetch, kind: breaker, min_calls: 3}\ndefaults: {breaker: {open_for: 1s}}\n")
    assert (9_000_000, 3) == (merge(inline, over).open_for_us, merge(inline, over).min_calls)


def test_the_name_in_code_stays_unless_the_file_writes_one():
    inline = rule(rate="5/s", name="mine")
    assert "mine" == merge(inline, from_file("  - {resource: app.fetch, kind: limit, rate: 9/s}\n")).name
    assert "mine" == merge(inline, from_file("  - {name: mine, resource: other, kind: limit, rate: 9/s}\n")).name


GIVE_WAY = [
    # in code                                                        in the file                                  gives way
    ("limit", {"rate": "5/s", "burst": 2}, "rate: 5/s, algorithm: sliding_window", "burst"),
    ("limit", {"rate": "5/s", "max_wait": "1s"}, "rate: 5/s, algorithm: fixed_window", "max_wait"),
    ("limit", {"rate": "5/s", "on_store_error": "deny"}, "rate: 5/s, scope: local", "on_store_error"),
    ("breaker", {"window": "5s"}, "window_calls: 7", "window"),
    ("breaker", {"window_calls": 7}, "window: 5s", "window_calls"),
    ("bulkhead", {"max_concurrent": 5, "scope": "shared", "lease": "5s"}, "max_concurrent: 5, scope: local", "lease"),
]


@pytest.mark.parametrize(("kind", "fields", "over", "gone"), GIVE_WAY)
def test_what_does_not_apply_beside_the_file_gives_way(kind, fields, over, gone):
    merged = merge(rule(kind, **fields), from_file(f"  - {{resource: app.fetch, kind: {kind}, {over}}}\n"))
    assert gone not in merged.fields


def test_what_the_file_writes_must_apply_to_what_code_says():
    inline = rule(rate="5/s", algorithm="sliding_window")
    with pytest.raises(
        RuleError, match=re.escape("rule 'app.fetch/limit', with what code says of it: burst applies to")
    ):
        merge(inline, from_file("  - {resource: app.fetch, kind: limit, rate: 9/s, burst: 3}\n"))


def test_numbers_that_contradict_each_other_are_a_mistake_wherever_they_come_from():
    inline = rule("breaker", open_for_max="5s")
    with pytest.raises(RuleError, match=r"open_for_max \(5s\) must not be below open_for \(1min\)"):
        merge(inline, from_file("  - {resource: app.fetch, kind: breaker, open_for: 1m}\n"))


def test_a_rule_of_another_kind_cannot_take_over():
    over = from_file("  - {name: app.fetch/limit, resource: a, kind: bulkhead, max_concurrent: 3}\n")
    with pytest.raises(
        RuleError, match=re.escape("rule 'app.fetch/limit' is a limit in code and a bulkhead in the rules")
    ):
        merge(rule(rate="5/s"), over)


def test_a_merged_rule_can_be_merged_again():
    inline = rule(rate="5/s", enforce="10%")
    over = from_file("  - {resource: app.fetch, kind: limit, rate: 9/s}\n")
    twice = merge(merge(inline, over), over)
    assert (9, Fraction(1, 10)) == (twice.rate.amount, twice.enforce)
