"""Rule sets: loading, order, names, revisions and look-ups."""

import re

import pytest

from guardrail.errors import RuleError
from guardrail.rules.model import LimitRule
from guardrail.rules.ruleset import RuleSet

TEXT = """\
# yaml-language-server: $schema=schema.json
version: 1
defaults:
  breaker: {open_for: 10s}
rules:
  - name: per-user
    resource: "GET /v1/orders/{id}"
    except: ["GET /v1/orders/health"]
    when: {plan: [free, trial], origin: "!billing"}
    kind: limit
    rate: 100/min
    burst: 20
    key: user
    mode: off
  - resource: payments.*
    kind: breaker
    slow_call: 1s
  - resource: [reports.render, reports.mail]
    kind: bulkhead
    max_concurrent: 10
  - name: floor
    resource: "**"
    kind: limit
    rate: 1000/s
"""


def limit_on(resource, **fields):
    return {"resource": resource, "kind": "limit", "rate": "5/s", **fields}


def names(rules):
    return [rule.name for rule in rules]


def places(error):
    return [(problem.file, problem.line, problem.column) for problem in error.problems]


def test_rules_come_in_the_order_in_which_they_stand():
    rules = RuleSet.parse(TEXT)
    assert ["per-user", "payments.*/breaker", "reports.render/bulkhead", "floor"] == names(rules)
    assert names(rules) == names(rules.rules)
    assert 4 == len(rules)
    assert None is rules.source
    assert f"RuleSet(4 rules, revision={rules.revision!r}, source=None)" == repr(rules)


def test_a_rule_is_found_by_its_name():
    rules = RuleSet.parse(TEXT)
    assert rules.rules[0] is rules.get("per-user")
    assert None is rules.get("nobody")


def test_all_rules_that_match_apply_in_their_order():
    rules = RuleSet.parse(TEXT)
    assert ["per-user", "floor"] == names(rules.match("GET /v1/orders/7"))
    assert ["payments.*/breaker", "floor"] == names(rules.match("payments.charge"))
    assert ["reports.render/bulkhead", "floor"] == names(rules.match("reports.mail"))
    assert ["floor"] == names(rules.match("elsewhere"))


def test_what_is_excepted_does_not_match():
    rules = RuleSet.parse(TEXT)
    assert ["floor"] == names(rules.match("GET /v1/orders/health"))
    rules = RuleSet.parse([limit_on("a.*", **{"except": ["a.b", "a.x*"]}), limit_on("a.**")])
    assert ["a.*/limit", "a.**/limit"] == names(rules.match("a.c"))
    assert ["a.**/limit"] == names(rules.match("a.b"))
    assert ["a.**/limit"] == names(rules.match("a.xyz"))


def test_no_rules_match_nothing():
    assert 0 == len(RuleSet.EMPTY)
    assert () == RuleSet.EMPTY.match("orders")
    assert [] == list(RuleSet.parse("version: 1\nrules: []\n"))
    assert [] == list(RuleSet.parse([]))


def test_text_bytes_and_plain_values_say_the_same():
    yaml = pytest.importorskip("yaml")
    values = yaml.safe_load(TEXT)
    assert TEXT.startswith("#")
    sets = [RuleSet.parse(TEXT), RuleSet.parse(TEXT.encode()), RuleSet.parse(values)]
    assert 1 == len({rules.revision for rules in sets})
    assert names(sets[0]) == names(sets[2])


def test_a_list_of_rules_needs_no_document_around_it():
    (rule,) = RuleSet.parse([limit_on("orders", burst=None)])
    assert isinstance(rule, LimitRule)
    assert None is rule.burst


def test_the_revision_is_that_of_the_content():
    revision = RuleSet.parse(TEXT).revision
    assert 12 == len(revision)
    assert int(revision, 16) >= 0
    same = [
        TEXT.replace("# yaml-language-server: $schema=schema.json\n", ""),
        TEXT.replace("    key: user\n", "    # a comment\n    key: [user]\n"),
        TEXT.replace("10s", "10000ms"),
        TEXT.replace("    rate: 100/min\n    burst: 20\n", "    burst: 20\n    rate: 100/min\n"),
        TEXT.replace('{plan: [free, trial], origin: "!billing"}', '{origin: ["!billing"], plan: [free, trial]}'),
    ]
    other = [
        TEXT.replace("burst: 20", "burst: 21"),
        TEXT.replace("    burst: 20\n", ""),
        TEXT.replace("per-user", "by-user"),
        TEXT.replace("10s", "11s"),
        TEXT.replace("1000/s", "1_000/s"),  # what messages will say
        TEXT.replace("    kind: limit\n    rate: 1000/s\n", "    kind: limit\n    rate: 1000/s\n    scope: shared\n"),
    ]
    assert {revision} == {RuleSet.parse(text).revision for text in same}
    assert 1 + len(other) == len({revision, *(RuleSet.parse(text).revision for text in other)})


def test_a_folder_is_the_union_of_its_files_in_name_order(tmp_path):
    (tmp_path / "b.yml").write_text("version: 1\nrules:\n  - {resource: b, kind: limit, rate: 5/s}\n")
    (tmp_path / "a.yaml").write_text("version: 1\nrules:\n  - {resource: a, kind: limit, rate: 5/s}\n")
    (tmp_path / ".hidden.yaml").write_text("not: rules\n")
    (tmp_path / "readme.md").write_text("# no rules\n")
    (tmp_path / "folder.yaml").mkdir()
    rules = RuleSet.load(tmp_path)
    assert ["a/limit", "b/limit"] == names(rules)
    assert str(tmp_path) == rules.source


def test_defaults_hold_for_their_own_file_only():
    rule = "rules:\n  - {{resource: {0}, kind: breaker}}\n"
    files = {
        "a": "version: 1\ndefaults: {breaker: {open_for: 1s}}\n" + rule.format("a"),
        "b": "version: 1\n" + rule.format("b"),
    }
    assert [1_000_000, 5_000_000] == [made.open_for_us for made in RuleSet.of_files(files)]


def test_a_name_is_taken_across_files_too(tmp_path):
    (tmp_path / "a.yaml").write_text("version: 1\nrules:\n  - {name: x, resource: a, kind: limit, rate: 5/s}\n")
    (tmp_path / "b.yaml").write_text("version: 1\nrules:\n  - {name: x, resource: b, kind: limit, rate: 5/s}\n")
    with pytest.raises(RuleError) as refused:
        RuleSet.load(tmp_path)
    (problem,) = refused.value.problems
    assert f"the name 'x' is taken by another rule ({tmp_path / 'a.yaml'}:3); names are unique" == problem.message
    assert [(str(tmp_path / "b.yaml"), 3, 12)] == places(refused.value)


def test_a_rule_that_is_wrong_has_a_name_all_the_same():
    text = "version: 1\nrules:\n  - {resource: a, kind: limit, rate: 5}\n  - {resource: a, kind: limit, rate: 5/s}\n"
    with pytest.raises(RuleError) as refused:
        RuleSet.parse(text)
    assert [("<text>", 3, 38), ("<text>", 4, 5)] == places(refused.value)


def test_mistakes_come_in_the_order_of_files_and_lines():
    broken = "version: 1\nrules:\n  - {resource: %s, kind: limit, rate: 5}\nrules: 3\n"
    with pytest.raises(RuleError) as refused:
        RuleSet.of_files({"z": broken % "z", "e": b"\xff", "a": broken % "a"})
    assert [("z", 3, 38), ("z", 4, 1), ("e", 1, 1), ("a", 3, 38), ("a", 4, 1)] == places(refused.value)
    assert (
        "z:3:38: rate must be an amount per time, such as 100/min, got 5\n    - {resource: z, kind: limit, rate: 5}"
        in str(refused.value)
    )


def test_mistakes_in_plain_values_are_named_by_their_path():
    with pytest.raises(RuleError) as refused:
        RuleSet.parse(
            {
                "version": 1,
                "defaults": {"limit": {"burst": 0, "cost": None}},
                "rules": [
                    limit_on("a", burst=0),
                    "orders",
                    limit_on("b", when={"x y": "z"}),
                    limit_on("c", key="user", overrides={"a.b": "fast"}),
                    limit_on("a", mode="off"),
                    None,
                ],
            }
        )
    assert [
        "defaults.limit.burst: burst must be at least 1, got 0",
        "rules[0].burst: burst must be at least 1, got 0",
        "rules[1]: a rule must be a mapping of its fields, got 'orders'",
        "rules[2].when['x y']: a key of when must name an attribute such as user or header.x-tenant, got 'x y'",
        "rules[3].overrides['a.b']: overrides['a.b'] must be an amount per time, such as 100/min, got 'fast'",
        "rules[4].name: two limit rules on 'a' have no name (the other: rules[0]); give one a name",
        "rules[5]: a rule must be a mapping of its fields, got nothing",
    ] == str(refused.value).splitlines()


@pytest.mark.parametrize(
    "text",
    [
        "*all\n",
        "version: *one\nrules: []\n",
        "version: 1\nrules: *mine\n",
        "version: 1\nrules: [*mine]\n",
        "version: 1\ndefaults: *mine\nrules: []\n",
        "version: 1\ndefaults: {limit: *mine}\nrules: []\n",
        "version: 1\ndefaults: {limit: {burst: *b}}\nrules: [{resource: a, kind: limit, rate: 5/s}]\n",
        "version: 1\nrules: [{resource: a, kind: *k, rate: 5/s}]\n",
        "version: 1\nrules: [{resource: *r, kind: limit, rate: 5/s}]\n",
        "version: 1\nrules: [{resource: [a, *r], kind: limit, rate: 5/s}]\n",
        "version: 1\nrules: [{name: *n, resource: a, kind: limit, rate: 5/s}]\n",
        "version: 1\nrules: [{resource: a, kind: limit, rate: 5/s, algorithm: *a, burst: 5}]\n",
        "version: 1\nrules: [{resource: a, kind: limit, rate: 5/s, when: {a: *b, c: [*d]}}]\n",
    ],
)
def test_what_could_not_be_read_is_not_complained_about_twice(text):
    with pytest.raises(RuleError) as refused:
        RuleSet.parse(text)
    assert text.count("*") == len(refused.value.problems)
    assert all(problem.message.startswith("text that begins with '*' is quoted") for problem in refused.value.problems)


def test_values_that_are_no_document_are_refused():
    for values, message in [
        ({}, "the file needs rules; write rules: and a list, [] for none"),
        ({"version": True, "rules": []}, "version: version must be 1, got True"),
        ({"version": 1, "rules": {"a": 1}}, "rules: rules must be a list, each rule with '- ' in front, got a mapping"),
        (
            {"version": 1, "rules": [], "defaults": {"limit": 5}},
            "defaults.limit: defaults.limit must be a mapping of fields, got 5",
        ),
        (5, "rules: rules must be a list, each rule with '- ' in front, got 5"),
    ]:
        with pytest.raises(RuleError) as refused:
            RuleSet.parse(values)
        assert message == str(refused.value)


def test_variables_are_for_files_and_not_for_programs(monkeypatch):
    monkeypatch.setenv("USERS", "all")
    (rule,) = RuleSet.parse([limit_on("${USERS}")])
    assert ("${USERS}",) == rule.resource


def test_what_cannot_be_read_is_a_RuleError_that_says_why(tmp_path):
    with pytest.raises(RuleError, match=re.escape("missing.yaml: cannot be read: No such file or directory")):
        RuleSet.load(tmp_path / "missing.yaml")
    with pytest.raises(RuleError, match=r"the folder has no rule files \(\*.yaml, \*.yml\)"):
        RuleSet.load(tmp_path)
    (tmp_path / "link.yaml").symlink_to(tmp_path / "nowhere")
    with pytest.raises(RuleError, match="cannot be read: No such file or directory"):
        RuleSet.load(tmp_path)
    with pytest.raises(RuleError, match="cannot be read: it must be a regular file, not a pipe, socket or device"):
        RuleSet.load("/dev/null")
    with pytest.raises(RuleError, match="there are no rule files"):
        RuleSet.of_files({})


def test_a_file_is_read_no_further_than_a_rule_file_goes(tmp_path):
    huge = tmp_path / "huge.yaml"
    with huge.open("wb") as file:
        file.truncate(5 * 2**30)
    with pytest.raises(RuleError, match="the file is larger than 4 MiB; split it"):
        RuleSet.load(huge)


def test_after_a_thousand_mistakes_it_is_enough():
    with pytest.raises(RuleError) as refused:
        RuleSet.parse([limit_on(f"a{number}", burst=0) for number in range(1_500)])
    assert 1_001 == len(refused.value.problems)
    assert "there are more; these are the first 1,000" == refused.value.problems[-1].message


def test_a_rule_is_never_left_out_without_a_word(monkeypatch):
    """A rule that cannot be made and is not complained about would silently not hold."""
    monkeypatch.setattr("guardrail.rules.making.find_mistakes", lambda *_: [])
    with pytest.raises(AssertionError, match="no rule is left out without a word"):
        RuleSet.parse([limit_on("a", burst=0)])
