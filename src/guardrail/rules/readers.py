"""How the values in a rule are read.

Law: a reader takes what YAML or a program wrote and returns its one meaning, or raises a ValueError whose text goes
behind the field's name: `burst must be at least 1, got 0`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import NoReturn

from guardrail.rules.durations import EXPONENT, without_zero, written_out
from guardrail.rules.exceptions import check_name
from guardrail.rules.pattern import compile_pattern
from guardrail.rules.scalars import Bare, is_nothing, misreading
from guardrail.rules.spelling import any_of, did_you_mean, shown
from guardrail.rules.units import LARGEST, Rate, parse_duration_us, parse_rate, parse_ratio

MODES = ("enforce", "shadow", "off")
_LONGEST_RESOURCE = 1_000
_LONGEST_TEXT = 2 * _LONGEST_RESOURCE  # a name is a resource and a kind
_LONGEST_WHOLE = 40


def read_text(value: object) -> str:
    """Read a name or resource: one line without space around it."""
    text = read_value(value)
    if not text or not text.isprintable() or text != text.strip():
        raise ValueError(f"must be one line of text without space around it, got {shown(text)}")
    if len(text) > _LONGEST_TEXT:
        raise ValueError(f"must have at most {_LONGEST_TEXT:,} characters, got {len(text):,}")
    return text


def read_value(value: object) -> str:
    """Read any text, such as an attribute's value."""
    if isinstance(value, str):
        return value if not isinstance(value, Bare) else _refuse_bare(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST:
        return str(value)
    quotes = "; put text that has { } or ': ' in it in quotes" if isinstance(value, Mapping) else ""
    raise ValueError(f"must be text, got {shown(value)}{quotes}")


def read_resource(value: object) -> str:
    """Read a resource or a pattern."""
    text = read_text(value)
    if len(text) > _LONGEST_RESOURCE:
        raise ValueError(f"must have at most {_LONGEST_RESOURCE:,} characters, got {len(text):,}")
    if any(character in "*{}" for character in text):
        compile_pattern(text)
    return text


def read_attribute(value: object) -> str:
    """Read the name of an attribute, such as `client.ip`."""
    text = read_text(value)
    if any(character.isspace() or character in "|!*" for character in text):
        raise ValueError(f"must name an attribute such as user or header.x-tenant, got {shown(text)}")
    return text


def read_alternatives(value: object) -> tuple[str, ...]:
    """Read one part of a key: an attribute, or several of which the first that is present counts."""
    return tuple(read_attribute(name.strip()) for name in read_text(value).split("|"))


def read_condition(value: object) -> str:
    """Read a value that `when:` asks for, or with `!` in front one it does not want."""
    text = read_value(value)
    if text == "!":
        raise ValueError('must have a value behind !, such as "!billing"')
    return text


def read_conditions(values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse lists that cannot mean anything."""
    at_least_one(values)
    if len({value.startswith("!") for value in values}) > 1:
        raise ValueError("must list either values or !values: the plain ones alone say what is wanted")
    return values


def read_exception(value: object) -> str | type[BaseException]:
    """Read the name of an exception, or in code its class."""
    if isinstance(value, type) and issubclass(value, BaseException):
        return value
    return check_name(read_value(value))


def read_whole(value: object) -> int:
    """Read a whole number of at least 1."""
    if isinstance(value, Bare) and value.replace("_", "").isdecimal() and value[:1] != "0":
        value = int(value.replace("_", "")) if len(value) <= _LONGEST_WHOLE else LARGEST + 1
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError(f"must be at least 1, got {shown(value)}")
        if value > LARGEST:
            raise ValueError(f"must be below 2^53, got {shown(value)}")
        return value
    raise ValueError(_no_whole(value))


def read_cost(value: object) -> int | str:
    """Read what a call costs: a whole number, or the attribute that holds it."""
    if isinstance(value, str) and not isinstance(value, Bare) and not value[:1].isdigit():
        return read_attribute(value)
    return read_whole(value)


def one_of(*choices: str) -> Callable[[object], str]:
    """Return the reader of a field that takes one of a few words."""

    def read_word(value: object) -> str:
        if isinstance(value, str) and value in choices:
            return str(value)
        guess = did_you_mean(value, choices) if isinstance(value, str) else ""
        raise ValueError(f"must be {any_of(choices)}, got {shown(_filled(value))}{guess}")

    return read_word


def read_mode(value: object) -> str:
    """Read a mode. A bare `off` is meant, and still meant when other tools have made False or `false` of it."""
    is_off = value is False or (isinstance(value, Bare) and value.lower() in {"off", "false"})
    return "off" if is_off else one_of(*MODES)(value)


def mapping_like(example: str) -> Callable[[object], object]:
    """Return a check that a value is a mapping, before its content is read."""

    def check(value: object) -> object:
        if isinstance(value, Mapping):
            return dict(value)
        raise ValueError(f"must be a mapping such as {example}, got {shown(_filled(value))}")

    return check


def read_positive_us(value: object) -> int:
    """Read a duration that is not 0."""
    duration_us = read_duration_us(value)
    if duration_us == 0:
        raise ValueError(f"must be longer than 0, got {shown(value)}")
    return duration_us


def read_duration_us(value: object) -> int:
    """Read a duration, 0 included."""
    return parse_duration_us(_filled(value))


def read_rate(value: object) -> Rate:
    """Read an amount per time."""
    return parse_rate(_filled(value))


def read_ratio(value: object) -> Fraction:
    """Read a ratio, 0 included."""
    return parse_ratio(_filled(value))


def read_threshold(value: object) -> Fraction:
    """Read a ratio at which something happens."""
    ratio = read_ratio(value)
    if ratio == 0:
        raise ValueError(f"must be above 0%, got {shown(value)}")
    return ratio


def at_least_one(values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse an empty list where it would mean: never."""
    if not values:
        raise ValueError("must list at least one")
    return values


def listed(value: object) -> object:
    """Let one value stand for a list of one."""
    return value if isinstance(value, list | tuple) else [value]


def _filled(value: object) -> object:
    return _refuse_bare(value) if isinstance(value, Bare) and is_nothing(value) else value


def _refuse_bare(value: Bare) -> NoReturn:
    if is_nothing(value):
        raise ValueError("must not be empty; write a value or leave the key out")
    raise ValueError(f'must be text, but YAML 1.1 reads {value} as {misreading(value)}; write "{value}" in quotes')


def _no_whole(value: object) -> str:
    """Say why *value* is no whole number, and what to write instead."""
    what = misreading(value) if isinstance(value, Bare) else None
    if what == "nothing":
        return "must not be empty; write a value or leave the key out"
    if what == "an octal number":
        return without_zero(str(value))
    if isinstance(value, Bare) and (exponent := EXPONENT.fullmatch(value)):
        return written_out(value, exponent)
    if what is not None:
        return f"must be a whole number such as 20, got {value}, which YAML 1.1 reads as {what}"
    if isinstance(value, str) and value.isdecimal():
        return f"must be a whole number, got text: {shown(value)}; leave out the quotes"
    return f"must be a whole number such as 20, got {shown(value)}"
