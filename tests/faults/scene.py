"""Callers of a store, in threads and in tasks, that note how long each call took; and what must not stay behind."""

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter, sleep

from guardrail.core.token_bucket import TokenBucket
from guardrail.stores.protocol import Check, Reply, Unavailable
from guardrail.stores.redis import RedisStore
from guardrail.telemetry.events import StoreBack, StoreLost
from tests.faults.proxy import Proxy
from tests.servers import PATIENCE

SHORT, TIMEOUT = "50ms", 0.05  # the default, where waiting is looked at
LONG = "2s"  # elsewhere: no machine is so busy
LATE = 0.01  # the law: no call outlives its timeout by more
SLACK = 0.03  # ... but for a thread that was not run at once; how long that can be here and now, `Metronome` says
STALLED = 1.0  # ... or, now and then, was not run for long, although the metronome was
FAST = TIMEOUT / 2  # for what need not be waited for
RECOVERY = (
    5.0  # a probe is due every second, see tests/stores/test_health.py; where the machine is slow, not the first helps
)
FAILURES = 5  # in a row, and nobody waits any more
HUNDRED = TokenBucket(100, 3_600_000_000, 100)  # per hour: nothing comes back during a test
KINDS = ("threads", "tasks")


class Metronome:
    """Wake up every 2 ms, and note by how much the machine, busy with other things, was ever late."""

    def __enter__(self):
        self.late = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="metronome")
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join(PATIENCE)

    def _beat(self):
        began = monotonic()
        while not self._over.wait(0.002):
            now = monotonic()
            self.late = max(self.late, now - began - 0.002)
            began = now


class Loop:
    """An event loop that turns in a thread of its own, and how long it ever stood still."""

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.complaints: list[dict] = []  # of tasks that failed unseen, sockets that nobody closed
        self.loop.set_exception_handler(lambda _, complaint: self.complaints.append(complaint))
        self.longest_pause = 0.0
        self._thread = threading.Thread(target=self.loop.run_forever, name="loop-of-the-test")
        self._thread.start()
        return self

    def __exit__(self, *_):
        left = self.run(self._others())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE)
        self.loop.close()
        assert (set(), []) == (left, self.complaints), "tasks stayed behind, or failed"

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    async def _others(self):
        until = monotonic() + PATIENCE / 2
        while (left := asyncio.all_tasks() - {asyncio.current_task()}) and monotonic() < until:
            await asyncio.sleep(0.005)
        return left

    @contextmanager
    def watched(self):
        """Measure how long the loop stands still."""
        watching = asyncio.run_coroutine_threadsafe(self._watch(), self.loop)
        yield
        watching.cancel()

    async def _watch(self):
        while True:
            began = monotonic()
            await asyncio.sleep(0.001)
            self.longest_pause = max(self.longest_pause, monotonic() - began - 0.001)


class Caller:
    """Ask a store, and note how long that took."""

    def __init__(self, store: RedisStore, loop: Loop | None, metronome: Metronome):
        self.store, self.loop, self.metronome = store, loop, metronome
        self.spent: list[float] = []
        self.news: list[object] = []
        store.follow(self.news.append)

    def ask(self, user: str = "u", *, cost: int = 1, limit=HUNDRED, peek: bool = False) -> Reply | Unavailable:
        checks = [Check(f"{{{user}}}:rule", limit, cost)]
        if self.loop is not None:
            return self.loop.run(self._aask(checks, peek))
        began = perf_counter()
        reply = self.store.admit(checks, peek=peek)
        self.spent.append(perf_counter() - began)
        return reply

    async def _aask(self, checks, peek):
        began = perf_counter()
        reply = await self.store.aadmit(checks, peek=peek)
        self.spent.append(perf_counter() - began)
        return reply

    def used(self, user: str = "u") -> int:
        """Return how many tokens of the user are gone, on the server."""
        until = monotonic() + PATIENCE
        while not isinstance(reply := self.ask(user, peek=True), Reply):
            assert monotonic() < until, reply
        return HUNDRED.capacity - HUNDRED.view(reply.states[0], reply.now_us)[0]

    def fails(self, times: int = FAILURES) -> None:
        """Ask so often, in vain."""
        self.spent.clear()
        for _ in range(times):
            reply = self.ask()
            assert isinstance(reply, Unavailable), reply

    def was_in_time(self, most: float = TIMEOUT + LATE) -> None:
        """See that calls kept the law: to the best of them the machine has added least, and to none for ever."""
        late = self.metronome.late
        assert len(self.spent) < 3 or min(self.spent) <= most + SLACK + late, (self.spent, late)
        assert max(self.spent) <= most + STALLED + late, (self.spent, late)

    def is_on_its_own(self, touched: Callable[[], int]) -> None:
        """See that a store that is away is not waited for, nor asked: *touched* counts what reaches the other side."""
        self.spent.clear()
        before, began = touched(), monotonic()
        for _ in range(200):
            reply = self.ask()
            assert isinstance(reply, Unavailable), reply
            assert reply.retry_after_us <= 1_000_000
        probes = 2 * (1 + int((monotonic() - began) / 0.5))  # at most so many connections and requests
        assert touched() - before <= probes
        assert median(self.spent) < TIMEOUT / 5, median(self.spent)

    def is_back(self, within: float = RECOVERY) -> Reply:
        """Return the first answer after an outage, which must come in time, and be told of."""
        began = monotonic()
        while True:
            reply = self.ask("back")
            if isinstance(reply, Reply):
                break
            assert monotonic() - began < within + self.metronome.late, "not back"
            sleep(0.005)
        return reply

    def told(self, kind: type) -> list:
        if self.loop is not None:
            self.loop.run(asyncio.sleep(0))  # loops tell events behind who waited
        return [event for event in self.news if isinstance(event, kind)]

    def told_of_outage(self, *words: str) -> None:
        """See that one outage was told, by one of these words, and its end."""
        (lost,) = self.told(StoreLost)
        assert lost.error in words, lost
        assert 1 == len(self.told(StoreBack))


@contextmanager
def calling(kind: str, url: str, *, proxy: Proxy | None = None, **options) -> Iterator[Caller]:
    """Call a store from threads or tasks; afterwards nothing of it may be left: no file, thread, or task."""
    gc.collect()  # what others left is not counted
    threads, files = set(threading.enumerate()), open_files()
    store = RedisStore(url, **{"timeout": LONG} | options)
    try:
        with Metronome() as metronome:
            if kind == "tasks":
                with Loop() as loop:
                    try:
                        yield Caller(store, loop, metronome)
                    finally:
                        loop.run(store.aclose())
            else:
                yield Caller(store, None, metronome)
    finally:
        store.close()
        if proxy is not None:
            proxy.heal()  # its own half of the connections goes too
    until = monotonic() + PATIENCE
    while (set(threading.enumerate()) - threads or open_files() > files) and monotonic() < until:
        sleep(0.005)
    assert set() == set(threading.enumerate()) - threads
    assert open_files() <= files, "files stayed open"


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
