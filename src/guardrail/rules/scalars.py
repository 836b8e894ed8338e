"""Unquoted words in YAML that are not what they look like.

Law: a scalar never changes silently. What YAML 1.1 reads as something other than its text stays text, marked as `Bare`,
and the field that gets it decides whether that is meant (`mode: off`) or a mistake (`resource: NO`).
"""

from __future__ import annotations

import re

_LONGEST_INT = 30  # digits; longer ones are no amount anybody means


class Bare(str):
    """Hold an unquoted scalar that YAML 1.1 reads as something other than its text."""

    __slots__ = ()


_INT = re.compile(rf"0|-?[1-9][0-9]{{0,{_LONGEST_INT - 1}}}")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
_SUSPECT = re.compile(r"[-+.~0-9tTfFyYnNoO]|$")  # how everything below begins

_READINGS = tuple(
    (what, re.compile(pattern))
    for what, pattern in (
        ("nothing", r"|~|null|Null|NULL"),
        ("true", r"yes|Yes|YES|true|True|TRUE|on|On|ON"),
        ("false", r"no|No|NO|false|False|FALSE|off|Off|OFF"),
        ("an octal number", r"[-+]?0[0-9_]+"),
        ("a binary number", r"[-+]?0b[01_]+"),
        ("a hexadecimal number", r"[-+]?0x[0-9a-fA-F_]+"),
        ("a base-60 number", r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"),
        ("a number with an exponent", r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9_]+)[eE][-+]?[0-9]+"),
        ("a date", r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}.*)?"),
        ("a number", r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)"),
    )
)


def read_plain(text: str) -> str | int:
    """Return what an unquoted scalar stands for: a whole number, its text, or a `Bare` where YAML sees something else."""
    if not _SUSPECT.match(text):
        return text
    if _INT.fullmatch(text):
        return int(text)
    return text if misreading(text) is None else Bare(text)


def read_variable(text: str) -> str | int:
    """Return what came out of a variable: a whole number or text. Whoever set it need not know YAML."""
    return int(text) if _INT.fullmatch(text) else text


def misreading(text: str) -> str | None:
    """Return what YAML 1.1 takes an unquoted *text* for, such as `a date`; None where that is its text."""
    if _DECIMAL.fullmatch(text):
        return None  # 1.10 keeps its text here; a field that wants a number reads the same
    return next((what for what, pattern in _READINGS if pattern.fullmatch(text)), None)


def is_nothing(value: object) -> bool:
    """Tell whether *value* is an unquoted scalar that stands for no value at all."""
    return isinstance(value, Bare) and misreading(value) == "nothing"
