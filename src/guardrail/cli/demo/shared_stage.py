"""The stage of `demo --redis`: branches of the shop, and the Redis between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from guardrail.cli.demo.branches import Branch
from guardrail.cli.demo.redis_server import RedisServer
from guardrail.cli.demo.stage import Stage
from guardrail.cli.demo.standing import Standing


@dataclass
class Branches(Stage):
    """Hold several branches, each a process of its own, that share limits over one Redis."""

    branches: Sequence[Branch]
    redis: RedisServer

    def standings(self) -> list[Standing]:
        return [branch.standing for branch in self.branches if branch.standing is not None]

    def notes(self) -> list[str]:
        let_in = Counter(one.place for one in self.street.history.answers if one.allowed)
        return [
            f"process {place + 1}: {let_in[place]} let in{', Redis is away' if branch.is_away else ''}"
            for place, branch in enumerate(self.branches)
        ]

    @property
    def told(self) -> Counter[str]:
        """How many refusals the listeners of all branches were told of, by rule."""
        return sum((Counter(one.refused) for one in self.standings()), Counter())
