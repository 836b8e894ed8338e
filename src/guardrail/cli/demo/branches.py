"""The branches of the shop, as the demo sees them from outside.

Law: a branch ends with the block that opened it; one that does not end by itself is ended, and that is a claim refuted.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from guardrail.cli.demo.redis_server import NotOpened
from guardrail.cli.demo.standing import Standing

OPENING_S = 10.0
GOODBYE_S = 5.0
ASK_EVERY_S = 0.1


class Outage(NamedTuple):
    """Hold what a branch told of one outage of the store. Times are seconds of the monotonic clock.

    Attributes:
        error: What failed, in one word.
        back_at: None: it goes on.
    """

    lost_at: float
    error: str
    back_at: float | None = None


class Branch:
    """Know one branch: where it is, how it stands, and what it has told.

    Attributes:
        standing: How it stood when it was last asked.
        ended_well: It ended when it was told to.
        opened: It is open, or has ended before that.
    """

    def __init__(self, rule_file: Path, url: str) -> None:
        self.address = ""
        self.standing: Standing | None = None
        self.outages: list[Outage] = []
        self.ended_well = False
        self.opened = asyncio.Event()
        self._running = subprocess.Popen(  # noqa: S603  # this Python, and what the demo has made
            [sys.executable, "-m", "guardrail.cli.demo.branch", str(rule_file), url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C in the terminal is for the demo, which then ends the branches
        )

    @property
    def is_away(self) -> bool:
        """Whether its store is away, by what it has told."""
        return bool(self.outages) and self.outages[-1].back_at is None

    async def listen(self) -> None:
        """Take in what it tells, until it ends."""
        reader = asyncio.StreamReader()
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self._running.stdout
        )
        try:
            async for line in reader:
                self._hear(**json.loads(line))
        finally:
            self.opened.set()
            pipe.close()

    async def ask(self) -> None:
        """Ask again and again how it stands."""
        await self.opened.wait()
        with suppress(BrokenPipeError):
            while self._running.stdin is not None:
                self._running.stdin.write(b"\n")
                self._running.stdin.flush()
                await asyncio.sleep(ASK_EVERY_S)

    def close(self) -> None:
        """Tell it to end."""
        if self._running.stdin is not None:
            with suppress(BrokenPipeError):
                self._running.stdin.close()

    def end(self) -> None:
        """See it ended."""
        with suppress(subprocess.TimeoutExpired):
            self.ended_well = self._running.wait(GOODBYE_S) == 0
        self._running.kill()
        self._running.wait()

    def _hear(self, news: str, at: float, what: Any) -> None:
        match news:
            case "open":
                self.address = what
            case "lost":
                self.outages.append(Outage(at, what))
            case "back":
                self.outages[-1] = self.outages[-1]._replace(back_at=at)
            case _:
                self.standing = Standing(*what)
                self.opened.set()


@asynccontextmanager
async def branches(count: int, rule_file: Path, url: str) -> AsyncIterator[list[Branch]]:
    """Keep so many branches open inside the block.

    Raises:
        NotOpened: One did not open.
    """
    opened: list[Branch] = []
    listening: list[asyncio.Task[None]] = []
    asking: list[asyncio.Task[None]] = []
    try:
        for _ in range(count):
            opened.append(Branch(rule_file, url))
            listening.append(asyncio.create_task(opened[-1].listen()))
            asking.append(asyncio.create_task(opened[-1].ask()))
        with suppress(TimeoutError):
            async with asyncio.timeout(OPENING_S):
                for branch in opened:
                    await branch.opened.wait()
        if any(branch.standing is None for branch in opened):
            raise NotOpened("a process of the shop did not open")
        yield opened
    finally:
        for task in asking:
            task.cancel()
        for branch in opened:
            branch.close()
        if listening:
            await asyncio.wait(listening, timeout=GOODBYE_S)
        for branch in opened:
            branch.end()
