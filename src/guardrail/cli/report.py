"""An explanation in words: a headline, what holds for all rules together, and what there is to say of each.

Law: what is shown on a terminal and what is shown without one are the same words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, assert_never

from guardrail.cli.breaker_words import breaker_rows, bulkhead_rows
from guardrail.cli.limit_words import limit_rows
from guardrail.cli.words import Row, number, percent, plainly
from guardrail.rules.spelling import any_of, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardrail.cli.explanation import Asked, Explanation, Part


class Section(NamedTuple):
    """Hold what there is to say of one rule that is asked."""

    title: str
    enforced: bool
    rows: tuple[Row, ...]


def headline(explanation: Explanation) -> list[str]:
    """Say what was asked, of which rules, and how many of them answer."""
    question, rules = explanation.question, explanation.rules
    attributes = "".join(f", {name} {shown(value)}" for name, value in question.attributes.items())
    source = "what is piped in" if rules.source == "-" else rules.source
    lines = [
        f"Call:  {question.resource}, cost {question.cost:,}{attributes}",
        f"Rules: {source}, {number(len(rules), 'rule')}, revision {rules.revision}",
    ]
    for name, guess in explanation.unread.items():
        perhaps = f"; did you mean {guess}?" if guess else ""
        lines.append(f"Note:  no rule for this resource looks at the attribute {name}{perhaps}")
    if explanation.guess:
        lines.append(f"Note:  there are rules for {shown(explanation.guess)}; did you mean that?")
    return lines


def introduction(explanation: Explanation) -> str:
    """Say how many rules are asked, and what holds for them together."""
    asked = explanation.asked
    if not asked:
        return "No rule is asked about this call: it goes ahead."
    said = [f"{number(len(asked), 'rule')} {'is asked.' if len(asked) == 1 else 'are asked, in this order.'}"]
    kinds = [one.rule.kind for one in asked if one.enforced]
    if len(set(kinds)) > 1:
        said.append(f"{' before '.join(f'{kind}s' for kind in dict.fromkeys(kinds))}.".capitalize())
    if kinds.count("limit") > 1:
        said.append("The limits are all charged, or none is.")
    if "breaker" in kinds and any(
        one.enforced and one.rule.kind != "breaker" and one.rule.max_wait_us for one in asked
    ):
        said.append("A call that had to wait is asked by the breakers again.")
    if len(kinds) < len(asked):
        said.append("Rules that only watch decide last, once the call is let in.")
    return " ".join(said)


def sections(explanation: Explanation) -> Iterator[Section]:
    """Say what there is to say of each rule that is asked, in order."""
    for place, asked in enumerate(explanation.asked, start=1):
        rows = (
            Row("matches", asked.matched),
            *_conditions(asked),
            Row("mode", _mode(asked)),
            *_key(asked),
            *meaning(asked),
        )
        yield Section(f"{place}. {asked.rule.kind} {asked.rule.name}", asked.enforced, rows)


def meaning(asked: Asked) -> Iterator[Row]:
    """Say what a rule does with this call and others like it."""
    rule = asked.rule
    match rule.kind:
        case "limit":
            yield from limit_rows(rule, asked)
        case "breaker":
            yield from breaker_rows(rule, asked.breaker)
        case "bulkhead":
            yield from bulkhead_rows(rule)
        case _:
            assert_never(rule)


def _conditions(asked: Asked) -> Iterator[Row]:
    if asked.rule.when:
        yield Row("when", ", ".join(f"{name} is {_wanted(values)}" for name, values in asked.rule.when.items()))


def _wanted(values: tuple[str, ...]) -> str:
    if values[0].startswith("!"):
        return f"not {any_of(plainly(value[1:]) for value in values)}"
    return any_of(map(plainly, values))


def _mode(asked: Asked) -> str:
    share = percent(asked.rule.enforce)
    if asked.rule.mode == "shadow":
        return "shadow: it counts and decides, and never refuses"
    if asked.rule.enforce == 1:
        return "enforced"
    if not asked.parts:
        outcome = "it has no key, and so is enforced for all calls or none: " + ("all" if asked.enforced else "none")
        return f"enforced for {share} of the keys; {outcome}"
    if asked.enforced:
        return f"enforced for {share} of the keys, this one among them"
    return f"enforced for {share} of the keys; this one is not among them, and is only watched"


def _key(asked: Asked) -> Iterator[Row]:
    if not asked.parts:
        yield Row("key", "none: one state for all calls that this rule meets")
        return
    yield Row("key", ", ".join(map(_part, asked.parts)))
    if asked.key != asked.parts[0].value:
        yield Row("stored as", repr(asked.key))


def _part(part: Part) -> str:
    if part.name is not None:
        return f"{part.name} {shown(part.value)}"
    verb = "is" if len(part.names) == 1 else "are"
    return f"{' and '.join(part.names)} {verb} missing: all such calls share one state"
