"""What the demo claims, held against what was measured.

Law: a bound that a check relies on holds however slow the machine is: it is taken over the whole time between the first
request and the last answer. The one exception is the second within which an edited rule has to be enforced.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from guardrail.cli.demo.traffic import Answer
from guardrail.errors import Problem

ROUNDED_S = 2e-6  # two times, each rounded to a microsecond


class Check(NamedTuple):
    """Hold one claim, what was measured, and whether it is so."""

    claim: str
    measured: str
    holds: bool


class Rate(NamedTuple):
    """Hold the numbers of a token bucket.

    Attributes:
        burst: None: its amount.
    """

    amount: int
    period_s: int
    text: str
    burst: int | None = None

    @property
    def at_once(self) -> int:
        """The most that can be spent at once."""
        return self.amount if self.burst is None else self.burst

    def most(self, seconds: float) -> int:
        """Return the most that may be let in in any span of so many seconds."""
        return self.at_once + math.floor(Fraction(seconds) * self.amount / self.period_s)

    def share(self, count: int) -> Rate:
        """Return what each of *count* processes may let in by itself."""
        text = f"1/{count} of {self.text}"
        return Rate(self.amount, self.period_s * count, text, max(1, self.at_once // count))


def span(answers: Sequence[Answer]) -> float:
    """Return the seconds between the first request and the last answer."""
    return max(one.received for one in answers) - min(one.sent for one in answers) if answers else 0.0


def held_to(claim: str, rate: Rate, rule: str, answers: Sequence[Answer]) -> Check:
    """Check that a rule let in what its law allows, and that it had something to refuse."""
    let_in = sum(one.allowed for one in answers)
    refused = sum(one.rule == rule for one in answers)
    seconds, most = span(answers), rate.most(span(answers))
    measured = f"{let_in} let in, {refused} refused in {seconds:.1f} s; the law allows {most}"
    return Check(claim, measured, let_in <= most and refused > 0)


def enforced_in_time(
    written_at: float, first: Answer | None, rate: Rate, before: Rate, answers: Sequence[Answer], places: int = 1
) -> Check:
    """Check that an edited rate refused a call within a second, and let in no more than its law allows from then on.

    Args:
        first: The first answer that names the new rate; of several places, of the one that was last to give it.
        answers: Those of one customer whose requests were sent after it.
        places: In so many places.
    """
    everywhere = f" by all {places} processes" if places > 1 else ""
    claim = f"the file is edited: {rate.text} instead of {before.text} is enforced{everywhere} within a second"
    if first is None:
        return Check(claim, "not at all", holds=False)
    delay, let_in, seconds = first.received - written_at, sum(one.allowed for one in answers), span(answers)
    old = math.floor(seconds * before.amount / before.period_s)
    measured = f"after {delay:.2f} s; then {let_in} let in in {seconds:.1f} s, where {before.text} lets in {old}"
    return Check(claim, measured, delay <= 1 and let_in <= rate.most(seconds) and len(answers) > let_in)


def used_stays_used(before: Rate, after: Rate, earlier: Sequence[Answer], later: Sequence[Answer]) -> Check:
    """Check that a customer who had used up a limit got what a larger one has more, and no fresh start.

    Args:
        earlier: Her answers until the limit refused her.
        later: Her answers under the new rate, until it refused her.
    """
    used, more = sum(one.allowed for one in earlier), sum(one.allowed for one in later)
    come_back = math.floor(span([*earlier, *later]) * after.amount / after.period_s)
    measured = f"{used} of {before.text} used; {after.text} gave {more} more, not {after.amount}"
    holds = used >= before.amount and after.amount <= used + more <= after.amount + come_back
    return Check("used-up tokens stay used: the edit is no fresh start", measured, holds)


def mistake_shown(
    problems: Sequence[Problem], planted: tuple[int, int], answers: Iterable[Answer], *, unchanged: bool
) -> Check:
    """Check that a mistake in the file was placed, and that the last good rules went on.

    Args:
        planted: Line and column of the mistake.
        answers: What the shop answered while the file was broken.
        unchanged: The rules in force are those from before.
    """
    claim = "a typo in the file: it is shown where, and the last good rules go on"
    shown = next((one for one in problems if (one.line, one.column) == planted), None)
    served = sum(one.allowed for one in answers)
    if not unchanged:
        return Check(claim, "other rules are in force", holds=False)
    if shown is None:
        return Check(claim, f"no mistake shown at {planted[0]}:{planted[1]}", holds=False)
    return Check(claim, f"{shown._replace(excerpt=None)}; {served} calls let in meanwhile", served > 0)


def taken_up(claim: str, delay: float | None) -> Check:
    """Check that another file came into force."""
    return Check(claim, "not at all" if delay is None else f"after {delay:.2f} s", delay is not None)


def retry_is_exact(refused: Answer | None, early: Answer | None, retry: Answer | None) -> Check:
    """Check that a call that came back after `retry_after` was let in, and that an earlier one was told the rest of it."""
    claim = "retry_after is exact: a retry then is let in, an earlier one is not"
    if refused is None or early is None or retry is None:
        return Check(claim, "nothing was refused", holds=False)
    seconds, passed = _retry_after(refused), (early.sent - refused.received, early.received - refused.sent)
    told = early.allowed or passed[0] - ROUNDED_S <= seconds - _retry_after(early) <= passed[1] + ROUNDED_S
    in_time = early.allowed and passed[1] >= seconds  # a machine that took so long proves nothing
    earlier = f"let in after {passed[1]:.3f} s" if early.allowed else f"refused after {passed[1]:.3f} s"
    measured = f"told {seconds:.6f} s; {earlier}, {'let in' if retry.allowed else 'refused'} after {seconds:.6f} s"
    return Check(claim, measured, retry.allowed and told and (in_time or not early.allowed))


def polite_unharmed(names: Sequence[str], answers: Sequence[Answer]) -> Check:
    """Check that those who keep to the rules were always let in."""
    theirs = [one for one in answers if one.client in names]
    let_in = sum(one.allowed for one in theirs)
    measured = f"{let_in} of {len(theirs)} calls let in"
    return Check(f"{' and '.join(names)} never feel the others", measured, let_in == len(theirs) > 0)


def nothing_else(answers: Sequence[Answer], told: Mapping[str, int]) -> Check:
    """Check that every answer is a page, or a refusal that says why; and that nobody was refused in silence.

    Args:
        told: How many refusals the guard told its listener of, by rule.
    """
    refused = [one for one in answers if one.status in (429, 503)]
    odd = [one for one in answers if not one.allowed and (one not in refused or not _is_explained(one))]
    counted = Counter(str(one.rule) for one in refused)
    missed = sorted(rule for rule in {*counted, *told} if told.get(rule, 0) != counted[rule])
    measured = f"{len(answers)} answers: {sum(one.allowed for one in answers)} let in, {len(refused)} refused, {len(odd)} others"
    if odd:
        measured += f", the first {odd[0].status} {odd[0].body}"
    elif missed:
        measured += f"; the guard counted otherwise: {', '.join(missed)}"
    claim = "every refusal says which rule, why and when to come back; there are no errors"
    return Check(claim, measured, not odd and not missed)


def _is_explained(refused: Answer) -> bool:
    seconds = refused.body.get("retry_after")
    header = None if seconds is None else str(math.ceil(seconds))
    return (
        bool(refused.rule and refused.body.get("reason") and refused.body.get("detail"))
        and refused.retry_after == header
    )


def _retry_after(refused: Answer) -> float:
    return float(refused.body.get("retry_after") or 0)
