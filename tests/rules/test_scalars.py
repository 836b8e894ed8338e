"""Unquoted scalars: nothing changes silently, and what YAML 1.1 would change is known as such."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from guardrail.rules.scalars import Bare, is_nothing, misreading, read_plain, read_variable

MISREAD = [
    ("", "nothing"),
    ("~", "nothing"),
    ("null", "nothing"),
    ("yes", "true"),
    ("True", "true"),
    ("ON", "true"),
    ("no", "false"),
    ("off", "false"),
    ("NO", "false"),
    ("010", "an octal number"),
    ("0_7", "an octal number"),
    ("0089", "an octal number"),  # would be one with other digits
    ("0b101", "a binary number"),
    ("0x1F", "a hexadecimal number"),
    ("12:30:45", "a base-60 number"),
    ("1:30", "a base-60 number"),
    ("1:30.5", "a base-60 number"),
    ("1e3", "a number with an exponent"),
    ("1.5E-3", "a number with an exponent"),
    (".5e1", "a number with an exponent"),
    ("2026-11-21", "a date"),
    ("2026-11-21 10:00:00", "a date"),
    ("2026-11-21T10:00:00Z", "a date"),
    ("1_000", "a number"),
    ("+5", "a number"),
    ("-0", "a number"),
    (".5", "a number"),
    ("5.", "a number"),
    (".inf", "a number"),
    ("-.inf", "a number"),
    (".NaN", "a number"),
    ("1" * 31, "a number"),
]

TEXT = "orders.create GET 10.0.0.7 1.10 -2.5 100/min 5s nope y n offline 1:2:x 12e 0x 2026-11 a: :a 1.2.3 --".split()


@pytest.mark.parametrize(("text", "what"), MISREAD)
def test_what_YAML_would_misread_stays_text_and_is_marked(text, what):
    assert what == misreading(text)
    assert isinstance(read_plain(text), Bare)
    assert text == read_plain(text)


@pytest.mark.parametrize("text", TEXT)
def test_ordinary_text_is_text(text):
    assert str is type(read_plain(text))
    assert text == read_plain(text)


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("-5", -5), ("1234567890", 1234567890)])
def test_a_whole_number_is_one(text, number):
    assert number == read_plain(text)
    assert number == read_variable(text)


@pytest.mark.parametrize("text", ["yes", "010", "1_000", "", "1e3"])
def test_what_comes_from_a_variable_is_meant_as_it_is(text):
    assert str is type(read_variable(text))


def test_only_an_unquoted_nothing_is_nothing():
    assert is_nothing(Bare(""))
    assert is_nothing(Bare("null"))
    assert not is_nothing("")
    assert not is_nothing("null")
    assert not is_nothing(Bare("no"))


@given(st.text("0123456789_+-.:eExXbBoOnNfFtTyYsSaAuUlLrR~ T", max_size=10))
def test_whatever_PyYAML_constructs_from_a_scalar_is_seen_coming(text):
    """PyYAML resolves a plain scalar to something else than a string only if we call it a number or a misreading."""
    tag = yaml.SafeLoader("").resolve(yaml.ScalarNode, text, (True, False))
    read = read_plain(text)
    if tag != "tag:yaml.org,2002:str" and not isinstance(read, int | Bare):
        assert "tag:yaml.org,2002:float" == tag
        assert "." in text  # 1.10: the text is kept, and a field that wants a number reads the same one
