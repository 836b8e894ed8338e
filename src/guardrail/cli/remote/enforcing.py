"""Is it safe to enforce? What rules that only watch would have refused so far, and to whom.

Law: a yes needs calls to go by: where there were none, or few, that is said instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guardrail.cli.words import number, plainly

if TYPE_CHECKING:
    from guardrail.cli.remote.figures import HotKeyFigures, Picture, RuleFigures

FEW = 100
MOST_KEYS = 3
SHORT_HASH, LONGEST_KEY = 12, 24


@dataclass(frozen=True, slots=True)
class Trial:
    """Hold how one rule that only watches has done, since the processes began.

    Attributes:
        enforced: The share of keys for which it is enforced already.
        asked: Calls it was asked about.
        would_refuse: Those it would have refused, and for the enforced share has.
        keys: The keys, or their hashes, that most of these had; the most frequent first.
    """

    rule: str
    enforced: float
    asked: int
    would_refuse: int
    keys: tuple[HotKeyFigures, ...]


def trials_of(picture: Picture) -> list[Trial]:
    """Return a trial for each rule that only watches, or does so for some keys."""
    return [_trial(rule, picture.hot_keys) for rule in picture.rules if is_on_trial(rule)]


def is_on_trial(rule: RuleFigures) -> bool:
    """Tell whether a rule lets through what it would refuse."""
    return "shadow" in rule.mode or (rule.mode == "enforce" and rule.enforced < 1)


def percent(share: float) -> str:
    """Say a share: `1.25%`."""
    return "below 0.01%" if 0 < share < 0.0001 else f"{share * 100:.3g}%"


def sentence(trial: Trial) -> str:
    """Say what a rule would have refused."""
    if not trial.asked:
        return "nothing can be said: no call has come yet"
    if not trial.would_refuse:
        few = f"; that is few: wait for {FEW} or more" if trial.asked < FEW else ""
        return f"none of {number(trial.asked, 'call')}{few}"
    share = percent(trial.would_refuse / trial.asked)
    said = f"{trial.would_refuse:,} of {number(trial.asked, 'call')} ({share})"
    return said + (f"; {_of_whom(trial)}" if trial.keys else "")


def short(one: HotKeyFigures) -> str:
    """Show a key, or its hash, so that it fits and cannot do anything to a terminal."""
    if one.hashed:
        return plainly(one.key[:SHORT_HASH])
    if not one.key:
        return "(missing)"
    if one.key.startswith("\0"):
        return "(a long one)"
    return plainly(one.key if len(one.key) <= LONGEST_KEY else f"{one.key[:LONGEST_KEY]}...")


def _trial(rule: RuleFigures, hot_keys: Sequence[HotKeyFigures]) -> Trial:
    keys = sorted((one for one in hot_keys if one.rule == rule.name and one.refused), key=lambda one: -one.refused)
    would_refuse = rule.refused + rule.would_refuse
    return Trial(
        rule.name, 0.0 if "shadow" in rule.mode else rule.enforced, rule.asked, would_refuse, tuple(keys[:MOST_KEYS])
    )


def _of_whom(trial: Trial) -> str:
    first = trial.keys[0]
    if len(trial.keys) == 1 or first.refused * 2 >= trial.would_refuse:
        return f"{_part(first.refused, trial.would_refuse)} by key {short(first)}"
    together = sum(one.refused for one in trial.keys)
    return f"{_part(together, trial.would_refuse)} by {len(trial.keys)} keys, most by {short(first)}"


def _part(part: int, whole: int) -> str:
    return "all" if part >= whole else f"about {part / whole:.0%}"
