"""What becomes of a rule's state when other rules are put in force.

Law: this says what `admission/stock.py` and the `adopt` of each algorithm do; tests hold it against a live guard.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple, assert_never

from guardrail.cli.lint.bounds import lets_in_no_more
from guardrail.cli.words import number

if TYPE_CHECKING:
    from guardrail.cli.diff.changes import Change
    from guardrail.rules.model import BreakerRule, BulkheadRule, LimitRule, Rule

TIGHTER = "tighter: every call that it lets in, the old one would have let in too"
LOOSER = "looser: every call that the old one let in, it lets in too"

Fate = Literal["kept", "rescaled", "afresh", "forgotten"]


class State(NamedTuple):
    """Hold what becomes of a state, and a sentence about it."""

    fate: Fate
    sentence: str


def state_after(change: Change) -> State:
    """Say what becomes of the state of a rule that changes."""
    old, new = change.old, change.new
    if old is None:
        return State("afresh", "nothing is used yet")
    if new is None:
        return State("forgotten", "what it has counted is dropped")
    if change.sort == "renamed":
        return State("afresh", f"state is kept by name, and {old.name} was another; write the old name to keep it")
    return _carried_over(old, new)


def effects(change: Change) -> Iterator[str]:
    """Say what a change of fields means for callers, where the fields alone do not."""
    old, new = change.old, change.new
    if old is None or new is None:
        return
    if (old.mode, old.enforce) != (new.mode, new.enforce):
        yield _enforcement(old, new)
    elif (tighter := lets_in_no_more(new, old)) != lets_in_no_more(old, new):
        yield TIGHTER if tighter else LOOSER


def _carried_over(old: Rule, new: Rule) -> State:
    if old.kind != new.kind:
        return State("afresh", f"a {new.kind} cannot go on with what a {old.kind} has counted")
    if old.key != new.key:
        inside = "; calls that are inside now are not counted" if new.kind == "bulkhead" else ""
        return State("afresh", f"another key{inside}")
    if old.kind == "limit" and new.kind == "limit":
        return _limit(old, new)
    if old.kind == "breaker" and new.kind == "breaker":
        return _breaker(old, new)
    if old.kind == "bulkhead" and new.kind == "bulkhead":
        return _bulkhead(old, new)
    raise AssertionError("there are three kinds")


def _limit(old: LimitRule, new: LimitRule) -> State:
    if old.algorithm != new.algorithm:
        return State("afresh", f"{new.algorithm} cannot go on with what {old.algorithm} has counted")
    if old.scope != new.scope:
        where = "in the guard's store" if new.scope == "shared" else "in each process"
        return State("afresh", f"it is counted {where} from now on (without a store, nothing changes)")
    in_store = ""
    if new.scope == "shared" and not new.key and old.resource != new.resource:
        in_store = "; in a store it starts afresh, because there a state without a key is kept under the resource"
    before, after = old.limit(), new.limit()
    same = old.rate == new.rate and before.capacity == after.capacity
    if same and old.overrides == new.overrides:
        return State("kept", f"what was used stays used{in_store}")
    if same:
        return State("kept", f"what was used stays used; keys with another override are rescaled{in_store}")
    match new.algorithm:
        case "token_bucket" | "leaky_bucket":
            most = f"up to the {number(after.capacity, 'token')} there are now"
            return State("rescaled", f"what was used stays used, {most}, and comes back at the new rate{in_store}")
        case "sliding_log":
            return State("kept", f"the times of calls are kept, and looked at with the new numbers{in_store}")
        case "sliding_window" | "fixed_window":
            if old.rate.period_us == new.rate.period_us:
                return State("kept", f"what was counted in the window counts against the new amount{in_store}")
            return State("rescaled", f"what was counted is laid into the new windows, never too early{in_store}")
        case _:
            assert_never(new.algorithm)


def _breaker(old: BreakerRule, new: BreakerRule) -> State:
    before, after = old.breaker(), new.breaker()
    if (before.window_us, before.window_calls) != (after.window_us, after.window_calls):
        return State("rescaled", "breakers stay open or closed, and start with an empty window")
    if before != after:
        return State("kept", "breakers stay open or closed and keep their window; the next outcome is judged anew")
    return State("kept", "breakers stay as they are")


def _bulkhead(old: BulkheadRule, new: BulkheadRule) -> State:
    if old.scope != new.scope:
        where = "by leases in the store" if new.scope == "shared" else "in each process"
        return State("afresh", f"places are counted {where} from now on (without a store, nothing changes)")
    if new.max_concurrent < old.max_concurrent:
        drains = f"nobody is thrown out; new calls come in once fewer than {new.max_concurrent:,} are inside"
        return State("rescaled", drains)
    if new.max_concurrent > old.max_concurrent:
        return State("rescaled", "calls in the queue get the new places at once")
    return State("kept", "calls that are inside stay counted")


def _enforcement(old: Rule, new: Rule) -> str:
    match old.mode, new.mode:
        case _, "off":
            return "it is not asked any more"
        case "off", _:
            return f"it is asked again{'' if new.mode == 'enforce' else ', and only watches'}"
        case "enforce", "shadow":
            return "it refuses nobody any more, and goes on counting"
        case "shadow", "enforce":
            return "it refuses from now on, and what it has counted so far counts"
        case _:
            more = "more" if new.enforce > old.enforce else "fewer"
            return f"it is enforced for {more} keys; those that are enforced in both stay the same ones"
