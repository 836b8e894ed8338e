"""What is not YAML at all, said in words that help.

Law: an error of either YAML parser (libyaml's or the one in Python) becomes one sentence and one place.
"""

from __future__ import annotations

from typing import NamedTuple

import yaml

from guardrail.rules.spelling import in_quotes

SPECIAL = frozenset("*&!@`%")  # what text cannot begin with unless it is quoted

_NO_END = "that opens here is not closed; put text that contains [ ] { } , or ': ' in quotes"
_MISFIT = "what stands here does not fit what is above it; check the indentation and the quotes"
_TABS = "lines are indented with spaces, not with tabs"
# part of the parser's sentence -> ours, and whether it is about the place where the thing began
_SENTENCES = (
    ("unexpected end of stream", "the quote that opens here is never closed", True),
    ("expected ',' or ']'", f"the '[' {_NO_END}", True),
    ("expected ',' or '}'", f"the '{{' {_NO_END}", True),
    ("could not find expected ':'", "this is no 'key: value'", True),
    (
        "escape character",
        "double quotes contain an unknown escape; use single quotes, or two backslashes for one",
        True,
    ),
    ("mapping values are not allowed", "no ':' is expected here; put text that contains ': ' in quotes", False),
    ("entries are not allowed", "no '- ' is expected here; begin a list on a line of its own", False),
    ("incompatible YAML document", "this version of YAML is not known; leave the %YAML line out", False),
    ("tab character", _TABS, False),
    ("line break", "text that begins with '|' or '>' is quoted", True),
    ("indentation indicators", "text that begins with '|' or '>' is quoted", True),
    (
        "node content",
        "a value is expected here, or the end of what was opened; text that begins with ] } or , is quoted",
        False,
    ),
    ("expected key", _MISFIT, False),
    ("indicator", _MISFIT, False),
    ("<block end>", _MISFIT, False),
)


class SyntaxProblem(NamedTuple):
    """Say what is wrong where, counted from 0, and whether reading may go on as if a letter stood there."""

    message: str
    line: int
    column: int
    offset: int
    special: bool = False


def explain(error: Exception, text: str) -> SyntaxProblem:
    """Turn what the parser says about *text* into a sentence and a place."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if not isinstance(error, yaml.MarkedYAMLError) or mark is None:
        return SyntaxProblem(f"this is no YAML: {' '.join(str(error).split())}", 0, 0, 0)
    problem, context, start = error.problem or "", error.context or "", error.context_mark or mark
    named = context.endswith(("an alias", "an anchor", "a tag")) or "tag handle" in problem  # an unquoted *.orders
    if named or "cannot start any token" in problem:
        place = start if named else mark
        found = text[place.index : place.index + 1]
        if found in SPECIAL:
            return SyntaxProblem(quote_it(text, place.index), place.line, place.column, place.index, special=True)
        return SyntaxProblem(_TABS if found == "\t" else _MISFIT, place.line, place.column, place.index)
    for part, sentence, at_start in _SENTENCES:
        if part in problem:
            place = start if at_start else mark
            return SyntaxProblem(sentence, place.line, place.column, place.index)
    return SyntaxProblem(f"this is no YAML: {problem}", mark.line, mark.column, mark.index)


def quote_it(text: str, index: int) -> str:
    """Tell how to write the scalar that begins at *index* with a character YAML keeps for itself."""
    line = (text[index : index + 200].splitlines() or [""])[0]
    scalar = line.partition(" #")[0].partition(": ")[0].partition(", ")[0].strip().rstrip(",]}:")
    return f"text that begins with {line[:1]!r} is quoted: {in_quotes(scalar)}"
