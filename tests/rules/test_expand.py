"""Environment variables in values: filled in once, after parsing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import RuleError
from guardrail.rules.expand import Expansion
from guardrail.rules.gather import rules_of_files

ENVIRON = {"RATE": "100/min", "BURST": "20", "EMPTY": "", "NAME": "a: [b, *c]", "MODE": "off", "DOLLAR": "${RATE}"}

EXPANDED = [
    ("${RATE}", "100/min"),
    ("${BURST}/s", "20/s"),
    ("a ${RATE} b ${BURST}", "a 100/min b 20"),
    ("${MISSING:-5/s}", "5/s"),
    ("${EMPTY:-5/s}", "5/s"),
    ("${MISSING:-}", ""),
    ("${EMPTY}", ""),
    ("${MISSING:-/v1/{id}/x}", "/v1/{id}/x"),
    ("$$", "$"),
    ("$${RATE}", "${RATE}"),
    ("$$$$", "$$"),
    ("$$${BURST}", "$20"),
    ("US$ 5", "US$ 5"),
    ("$RATE", "$RATE"),
    ("${DOLLAR}", "${RATE}"),  # once, not again
]

REFUSED = [
    ("${MISSING}", "the environment variable MISSING is not set; set it, or write ${MISSING:-default}"),
    ("${}", "no variable begins here: '${}'"),
    ("${1X}", "no variable begins here"),
    ("${RATE", "no variable begins here"),
    ("${RATE:?no}", "no variable begins here: '${RATE:?no}'; write ${VAR}, ${VAR:-default}, or $$ for a dollar sign"),
    ("${RATE-5}", "no variable begins here"),
    ("${a:-" + "x" * 2_000 + "}", "no variable begins here"),
]


@pytest.mark.parametrize(("text", "expanded"), EXPANDED)
def test_variables_are_filled_in(text, expanded):
    assert expanded == Expansion(ENVIRON).expand(text)


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=lambda text: text[:20])
def test_what_is_no_variable_or_not_set_is_refused(text, message):
    with pytest.raises(ValueError) as refused:
        Expansion(ENVIRON).expand(text)
    assert message in str(refused.value)


def test_what_comes_out_of_a_file_is_bounded():
    expansion = Expansion({"BIG": "x" * 1_000_000})
    expansion.expand("${BIG}${BIG}")
    with pytest.raises(ValueError, match="too much text comes out of the variables of this file"):
        expansion.expand("${BIG}${BIG}${BIG}")


def rule(**fields):
    text = "version: 1\nrules:\n  - resource: orders\n    kind: limit\n"
    return text + "".join(f"    {name}: {value}\n" for name, value in fields.items())


def test_a_variable_gives_a_number_where_one_is_wanted_and_text_where_that_is():
    (made,) = rules_of_files({"f": rule(rate="${RATE}", burst="${BURST}", name="${BURST}", mode="${MODE}")}, ENVIRON)
    assert ("100/min", 20, "20", "off") == (str(made.rate), made.burst, made.name, made.mode)


def test_a_variable_in_quotes_is_as_good():
    (made,) = rules_of_files({"f": rule(rate='"${RATE}"', burst='"${BURST}"')}, ENVIRON)
    assert 20 == made.burst


def test_a_variable_never_changes_the_structure_of_a_file():
    (made,) = rules_of_files({"f": rule(rate="5/s", name="${NAME}")}, ENVIRON)
    assert "a: [b, *c]" == made.name


def test_what_a_variable_holds_is_not_misread():
    """YAML's traps are about what stands in the file; whoever sets a variable need not know them."""
    (made,) = rules_of_files({"f": rule(rate="5/s", name="${WORD}")}, {"WORD": "no"})
    assert "no" == made.name


def test_an_unset_variable_is_a_mistake_at_its_place():
    with pytest.raises(RuleError) as refused:
        rules_of_files({"f.yaml": rule(rate="${NOT_SET}/min", burst=0)}, {})
    assert [("f.yaml", 5, 11), ("f.yaml", 6, 12)] == [problem[1:4] for problem in refused.value.problems]


def test_the_environment_is_the_default(monkeypatch):
    monkeypatch.setenv("RULE_RATE", "7/s")
    (made,) = rules_of_files({"f": rule(rate="${RULE_RATE}")})
    assert 7 == made.rate.amount


@given(st.text("${}:-AB ", max_size=20))
def test_any_text_expands_or_is_a_ValueError(text):
    try:
        expanded = Expansion({"A": "x"}).expand(text)
    except ValueError:
        assert "${" in text
    else:
        assert "$" in text or expanded == text
