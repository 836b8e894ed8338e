"""What a log or a snapshot may say of wrong rules: where, and what is wrong; nothing of what is written there."""

import re
from pathlib import Path

import pytest

from guardrail.errors import Problem, RuleError
from guardrail.rules.gather import rules_of_files
from guardrail.rules.making import merge, parse_rule

FILES = sorted((Path(__file__).parents[1] / "bad_rules").glob("*.yaml"))
RULE = "version: 1\nrules:\n  - {name: r, resource: x, kind: limit, rate: 1/h, key: api_key"


def problems_of(text, environ=None):
    try:
        rules_of_files({"api.yaml": text}, environ or {})
    except RuleError as wrong:
        return wrong.problems
    return ()


#   message                                                                   what is said of it
SAID = [
    ("burst must be at least 1, got 0", "burst must be at least 1"),
    ("unknown key 'sk-1'; did you mean 'burst'?", "unknown key ...; did you mean ...?"),
    ("unknown key \"it's\"; a limit takes burst", "unknown key ...; a limit takes burst"),
    (r"""duplicate key 'a\'b"c'; the first is on line 3""", "duplicate key ...; the first is on line 3"),
    ("overrides['sk, got it'] must be one rate, got '1/s, 2/s'; write one", "overrides[...] must be one rate"),
    ('text must be text, but YAML 1.1 reads 0x1F as a number; write "0x1F"', "text must be text"),
    ("rule 'r', with what code says of it: burst must be at least 1, got 0",
     "rule 'r', with what code says of it: burst must be at least 1"),
    ("a quote that is 'never closed", "a quote that is ..."),
]  # fmt: skip


@pytest.mark.parametrize(("message", "said"), SAID)
def test_what_is_quoted_or_was_found_is_not_said_but_for_names_of_rules(message, said):
    assert f"api.yaml:3:5: {said}" == Problem(message, "api.yaml", 3, 5, "an excerpt").outline()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (", overrides: {sk-CANARY: 10/parsec}", "overrides[...] must have a unit such as ms, s, min, h or d"),
        (", overrides: {sk_CANARY: fast}", "overrides[...] must be an amount per time, such as 100/min"),
        (", overrides: {sk-CANARY: 1/s, sk-CANARY: 2/s}", "duplicate key ...; the first is on line 3"),
        (", overrides: sk-CANARY", "overrides must be a mapping such as {vip: 1000/min}"),
        (", overrides: , sk_CANARY: 10/s", "unknown key ...; a limit takes"),
        (", when: {plan: {sk-CANARY: 1}}", "when[...] must be text"),
        (', when: {plan: *a"CANARY"b}', "text that begins with ... is quoted: ..."),
        (', when: {plan: !a CA"NARY"CANARY}', "text that begins with ... is quoted: ..."),
        (", burst: '${SECRET}'", "burst must be a whole number such as 20"),
        (", max_wait: '${SECRET}'", "max_wait must be a duration such as 500ms, 10s, 1m30s or 1h"),
    ],
)
def test_neither_a_key_nor_a_variable_is_said(fields, said):
    problems = problems_of(f"{RULE}{fields}}}\n", {"SECRET": "sk-CANARY"})
    assert said in problems[-1].outline()
    assert "CANARY" in f"{problems}"
    assert not [problem for problem in problems if "CANARY" in problem.outline()]


@pytest.mark.parametrize("canary", ["CANARY", "CA-NARY'\"", '*CA-NARY"x', "!CA-NARY 'x", "0xCA7", "'C\\A\"NARY'"])
def test_whatever_stands_where_in_a_file_that_is_wrong_is_not_said(canary):
    """Put a secret in place of every word of every wrong file."""
    core, quoted = re.compile("CA-?N|xCA|C.{1,2}A"), 0
    for file in FILES:
        text = "".join(line for line in file.read_text().splitlines(keepends=True) if not line.startswith("# "))
        for word in re.finditer(r"(?<![\w{])\w[\w-]*", text):
            planted = f"{text[: word.start()]}{canary}{text[word.end() :]}"
            for problem in problems_of(planted):
                outline = problem.outline()
                assert not core.search(outline), f"{file.name}: {planted}\n{outline}"
                quoted += bool(core.search(problem.message))
    assert quoted > 100


def test_of_a_rule_in_code_and_one_in_a_file_the_name_is_said():
    code = {"name": "r", "resource": "x", "kind": "limit", "rate": "1/us", "burst": 2**50}
    [file] = rules_of_files({"api.yaml": f"{RULE}}}\n"}, {})
    with pytest.raises(RuleError) as refused:
        merge(parse_rule(code, where="code"), file)
    [problem] = refused.value.problems
    assert problem.outline().startswith("rule 'r', with what code says of it: 1/h with burst")
