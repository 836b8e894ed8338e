"""`demo --redis`: the show with several processes, which share their limits over a Redis that the show starts itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from guardrail.cli.demo import shared_checks
from guardrail.cli.demo.branches import branches
from guardrail.cli.demo.checks import Check
from guardrail.cli.demo.redis_server import NotOpened, redis_server
from guardrail.cli.demo.screen import Screen
from guardrail.cli.demo.shared_acts import ACTS, PROCESSES, TIMEOUT_S
from guardrail.cli.demo.shared_stage import Branches
from guardrail.cli.demo.show import LONGEST_S, in_the_end, pace_for, play, shown
from guardrail.cli.demo.stage import Act
from guardrail.cli.demo.traffic import street
from guardrail.cli.exits import WRONG, stop

WATCHED_S = 11.5
WAITED_S = 8.0


def run_shared(server: str, seconds: float, plain: bool, acts: Sequence[Act[Branches]] = ACTS) -> int:
    """Show the demo over Redis and return the exit code.

    Args:
        server: The path of a redis-server.
    """
    pace = pace_for(seconds, WATCHED_S, WAITED_S)
    try:
        return shown(plain, lambda screen, rule_file: perform(screen, rule_file, server, pace, acts))
    except NotOpened as missing:
        stop(str(missing), WRONG)


async def perform(
    screen: Screen, rule_file: Path, server: str, pace: float, acts: Sequence[Act[Branches]]
) -> list[Check]:
    """Play *acts* from starting Redis to the end of all processes, and return what was found."""
    loop = asyncio.get_running_loop()
    until = loop.time() + LONGEST_S
    async with AsyncExitStack() as opened:
        redis = await opened.enter_async_context(redis_server(server, rule_file.parent))
        url = f"redis://{redis.where}/0?timeout={TIMEOUT_S * 1000:.0f}ms"
        shops = await opened.enter_async_context(branches(PROCESSES, rule_file, url))
        road = await opened.enter_async_context(street(*(shop.address for shop in shops)))
        where = f"{PROCESSES} processes over Redis {redis.version} on {redis.where}"
        stage = Branches(where, rule_file, road, pace, screen.say, shops, redis)
        found = await play(screen, stage, acts, until - loop.time())
    return [*found, *in_the_end(stage, stage.told), shared_checks.all_ended([shop.ended_well for shop in shops])]
