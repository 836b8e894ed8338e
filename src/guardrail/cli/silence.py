"""Why a rule is not asked about a call.

Law: every reason that has to go away first is named; where one rule is nearly the right one, so is what it takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from shlex import quote
from typing import TYPE_CHECKING, NamedTuple

from guardrail.cli.words import plainly
from guardrail.rules.match import Index, matches_when
from guardrail.rules.spelling import any_of

if TYPE_CHECKING:
    from guardrail.cli.question import Question
    from guardrail.rules.model import Rule


class Silent(NamedTuple):
    """Hold a rule that is not asked.

    Attributes:
        fits: It is about the resource, but left out by something else.
    """

    rule: Rule
    fits: bool
    why: tuple[str, ...]


def silent(rule: Rule, question: Question) -> Silent:
    """Find out why *rule* is not asked."""
    if matched_by(rule.resource, question.resource) is None:
        return Silent(rule, fits=False, why=(_elsewhere(rule, question.resource),))
    return Silent(rule, fits=True, why=tuple(_left_out(rule, question)))


def matched_by(texts: Iterable[str], resource: str) -> str | None:
    """Return the first of some resources and patterns that matches *resource*."""
    for text in texts:
        index = Index()
        index.add(text, 0)
        if index.find(resource):
            return text
    return None


def _left_out(rule: Rule, question: Question) -> Iterator[str]:
    excepted = matched_by(rule.except_, question.resource)
    if excepted is not None:
        yield f"except: it leaves out {excepted}"
    if rule.mode == "off":
        yield "mode: off"
    for name, values in rule.when.items():
        if not matches_when({name: values}, question.attribute):
            yield f"when: {_unmet(name, values, question.attribute(name))}"


def _unmet(name: str, values: tuple[str, ...], value: str | None) -> str:
    if value is None:
        typed = quote(f"{name}={values[0]}")
        return f"{name} must be {any_of(map(plainly, values))}, and the call has none; add --attr {typed}"
    if values[0].startswith("!"):
        return f"{name} must not be {any_of(plainly(text[1:]) for text in values)}, and it is"
    return f"{name} must be {any_of(map(plainly, values))}, and it is {plainly(value)}"


def _elsewhere(rule: Rule, resource: str) -> str:
    return f"resource: it is about {any_of(rule.resource)}{_nearly(rule.resource, resource)}"


def _nearly(texts: Iterable[str], resource: str) -> str:
    for text in texts:
        if matched_by([text.casefold()], resource.casefold()):
            return "; case counts"
        method, _, path = text.rpartition(" ")
        if method and " " not in resource and matched_by([path], resource):
            return f"; did you mean '{method.replace('*', 'GET')} {resource}'?"
        if resource.endswith(("/", ".")) and matched_by([text], resource[:-1]):
            return f"; did you mean '{resource[:-1]}'?"
    return ""
