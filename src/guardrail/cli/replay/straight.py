"""The straight way past rules that let nobody wait: what the flow of admission does, without the means to wait in it.

    breakers are asked          nothing is taken
    bulkheads                   a place is taken, one after the other
    limits                      all of them are charged, or none
    the call is let in          breakers count it, and the rules that only watch decide by themselves

Law: what is decided here is what the flow decides; keys, numbers and states are the guard's own. Whatever was taken
before a refusal is given back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from guardrail.admission.call import Call as Asking
from guardrail.admission.call import KeyParts, key_of
from guardrail.cli.replay.posts import BreakerPost, BulkheadPost, End, LimitPost, Post, post_for

if TYPE_CHECKING:
    from guardrail.admission.call import Get
    from guardrail.admission.gate import Gate
    from guardrail.cli.replay.tally import RuleTally


class Said(NamedTuple):
    """Say what became of a call.

    Attributes:
        ends: What ends it, if it was let in.
    """

    allowed: bool
    ends: list[End]


class Straight:
    """Decide about calls to one resource."""

    __slots__ = ("_looks", "_partly", "_parts", "_resource", "_stages", "_watching")

    def __init__(self, resource: str, posts: Sequence[Post]) -> None:
        self._resource = resource
        self._parts: list[KeyParts] = list(dict.fromkeys(post.gate.key for post in posts))  # each is read once
        for post in posts:
            post.place = self._parts.index(post.gate.key)
        enforced = [post for post in posts if post.gate.enforced > 0]
        breakers: list[Post] = [post for post in enforced if isinstance(post, BreakerPost)]
        bulkheads: list[list[Post]] = [[post] for post in enforced if isinstance(post, BulkheadPost)]
        limits: list[Post] = [post for post in enforced if isinstance(post, LimitPost)]
        # who is kept out by one stage is not seen by the next: behind a full bulkhead nobody asks for a place
        self._stages = [stage for stage in (breakers, *bulkheads, limits) if stage]
        self._watching = [post for post in posts if post.gate.enforced < 1]
        self._partly = any(0 < post.gate.enforced < 1 for post in posts)
        self._looks = any(post.looks for post in posts)

    def decide(self, get: Get, cost: int, now_us: int) -> Said:
        """Decide about one call, and take for it what it takes if it is let in."""
        call = Asking(self._resource, get, cost) if self._looks else None
        keys = [key_of(parts, get) if parts else "" for parts in self._parts]
        asked: list[Post] = []
        allowed = True
        for stage in self._stages:
            fitting = self._fitting(stage, call, keys, watching=False) if self._partly or call is not None else stage
            asked += fitting
            if not all([post.ask(keys[post.place], call, cost, now_us) for post in fitting]):
                allowed = False
                break
        ends: list[End] = []
        for post in asked:
            end = post.conclude(now_us, let_in=allowed, watching=False)
            if end is not None:
                ends.append(end)
        for post in self._fitting(self._watching, call, keys, watching=True) if allowed and self._watching else ():
            post.ask(keys[post.place], call, cost, now_us)
            end = post.conclude(now_us, let_in=True, watching=True)
            if end is not None:
                ends.append(end)
        return Said(allowed, ends)

    def _fitting(self, posts: list[Post], call: Asking | None, keys: list[str], *, watching: bool) -> list[Post]:
        """Return those that are about this call, and enforced for its key, or not."""
        return [
            post
            for post in posts
            if (call is None or post.gate.applies is None or post.gate.applies(call))
            and (post.gate.only_watches(keys[post.place]) if post.is_partial else watching) is watching
        ]


def straight_past(resource: str, gates: Sequence[Gate], tallies: Mapping[str, RuleTally]) -> Straight | None:
    """Return the straight way past these gates; None: only the flow knows one."""
    posts = [post for gate in gates if (post := post_for(gate, tallies[gate.name])) is not None]
    return Straight(resource, posts) if len(posts) == len(gates) else None
