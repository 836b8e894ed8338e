"""Who calls in a storm: every way in, and every way out that user code has.

Law: a caller that was admitted says so to the scene in the step in which it was (`Scene.call`), as the books depend on it.
Each ends by itself, unless it waits for what never comes.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from guardrail import Refused
from tests.storms.scene import Broken, Scene

NAPS = (0, 0, 0, 0.002, 0.03)
WAITS = (None, None, None, 0, "1ms", "20ms")


class Crowd:
    """Hold the guarded functions of one scene, made when first called.

    Attributes:
        fails: The share of calls that fail.
    """

    def __init__(self, scene: Scene, fails: float = 0.2, decorate: Callable[..., Any] | None = None) -> None:
        self.scene = scene
        self.fails = fails
        self._decorate = decorate or (lambda **options: scene.guard.guarded("r", **options))
        self._made: dict[str, Any] = {}

    async def call(self, kind: str) -> None:
        """Call in one way, some time from now."""
        tell = self.scene.tell
        try:
            await self.nap()
            await getattr(self, kind)()
            tell(f"{kind} is done")
        except Refused as refused:
            tell(f"{kind}: {refused.reason}")
        except (Broken, TimeoutError) as error:
            tell(f"{kind}: {error!r}")
        except BaseException as error:
            tell(f"{kind}: {error!r}")
            raise

    async def nap(self) -> None:
        await asyncio.sleep(self.scene.random.choice(NAPS))

    async def work(self, cost: int = 1) -> str:
        """Be the guarded code."""
        with self.scene.call(cost):
            await self.nap()
            if self.scene.random.random() < self.fails:
                raise Broken
            await self.nap()
            return "done"

    def guarded(self, name: str, function: Callable[..., Any], **options: Any) -> Any:
        if name not in self._made:
            self._made[name] = self._decorate(**options)(function)
        return self._made[name]

    # -- coroutines

    async def coroutine(self) -> None:
        await self.guarded("coroutine", _plain(self))()

    async def timed(self) -> None:
        async with asyncio.timeout(self.scene.random.choice((0, 0.001, 0.03))):
            await self.coroutine()

    async def waited_for(self) -> None:
        await asyncio.wait_for(self.coroutine(), self.scene.random.choice((0.001, 0.03)))

    async def siblings(self) -> None:
        """One that fails cancels the other."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(2):
                    group.create_task(self.coroutine())
        except* (Broken, Refused) as failed:
            self.scene.tell(f"siblings: {failed!r}")

    async def with_fallback(self) -> None:
        async def answer(refused: Refused | None) -> str:
            await self.nap()
            return "instead"

        answered = await self.guarded("with_fallback", _plain(self), fallback=answer, fallback_on=(Broken,))()
        assert answered in ("done", "instead")

    async def nested(self) -> None:
        """The outer call waits inside for the inner one."""
        inner = self._made.setdefault("inner", self.scene.guard.guarded("s")(_inner(self)))

        async def outer() -> None:
            with self.scene.call():
                await inner()

        await self.guarded("nested", outer)()

    # -- entries and permits

    async def entry(self) -> None:
        choice = self.scene.random.choice
        cost = choice((0, 1, 1, 2))
        async with self.scene.guard.enter("r", cost=cost, max_wait=choice(WAITS)):
            await self.work(cost)

    async def by_hand(self) -> None:
        permit = await self.scene.guard.atry_enter("r", max_wait=self.scene.random.choice(WAITS))
        if permit:
            error: BaseException | None = None
            try:
                await self.work()
            except BaseException as raised:
                error = raised
                raise
            finally:
                await permit.aexit(error)
                permit.exit()  # only the first one counts

    async def settled(self) -> None:
        asked = self.scene.random.choice((1, 1, 2, 3))
        cost = self.scene.random.choice((0, asked - 1, asked, asked + 2))
        async with self.scene.guard.enter("r", cost=asked) as permit:
            with self.scene.call(asked, cost):
                try:
                    await self.nap()
                finally:
                    permit.settle(cost)

    async def at_once(self) -> None:
        """A call of synchronous code, which must not wait in a loop."""
        with self.scene.guard.enter("r", max_wait=0), self.scene.call():
            pass

    async def looked(self) -> None:
        self.scene.guard.peek("r")

    # -- streams

    async def read(self) -> None:
        async for _ in self.stream():
            await self.nap()

    async def half_read(self) -> None:
        """Who leaves a loop early leaves the stream to the collector."""
        async for _ in self.stream():
            break

    async def closed(self) -> None:
        stream = self.stream()
        try:
            await anext(stream, None)
        finally:
            await stream.aclose()

    async def thrown_into(self) -> None:
        stream = self.stream()
        await anext(stream, None)
        await stream.athrow(Broken)

    async def never_started(self) -> None:
        self.stream()

    async def closed_unread(self) -> None:
        await self.stream().aclose()

    async def kept(self) -> None:
        """It is closed when the loop is shut down."""
        stream = self.stream()
        self.scene.kept.append(stream)
        await anext(stream, None)

    async def in_a_cycle(self) -> None:
        """Only the cycle collector finds it."""
        stream = self.stream()
        ring: list[Any] = [stream]
        ring.append(ring)
        await anext(stream, None)
        del stream, ring
        gc.collect()

    async def sync_stream(self) -> None:
        """A generator of synchronous code: read to the end, closed or dropped."""
        stream = self._made.setdefault("sync_stream", self.scene.guard.guarded("q")(_counting(self)))()
        for _ in stream:
            await self.nap()
            if self.scene.random.random() < 0.4:
                break
        if self.scene.random.random() < 0.5:
            stream.close()

    def stream(self) -> Any:
        return self.guarded("stream", _streaming(self))()


def _plain(crowd: Crowd) -> Callable[[], Awaitable[str]]:
    async def plain() -> str:
        return await crowd.work()

    return plain


def _inner(crowd: Crowd) -> Callable[[], Awaitable[str]]:
    async def inner() -> str:
        with crowd.scene.visit("s"):
            await crowd.nap()
            return "done"

    return inner


def _streaming(crowd: Crowd) -> Callable[[], AsyncIterator[int]]:
    async def streaming() -> AsyncIterator[int]:
        with crowd.scene.call():
            try:
                await crowd.nap()
                for item in range(2):
                    yield item
                    await crowd.nap()
                if crowd.scene.random.random() < crowd.fails:
                    raise Broken
            finally:
                await crowd.nap()

    return streaming


def _counting(crowd: Crowd) -> Callable[[], Iterator[int]]:
    def counting() -> Iterator[int]:
        with crowd.scene.visit("q"):
            yield from range(2)

    return counting
