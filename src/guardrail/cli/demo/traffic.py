"""The customers of the demo: what they send, and what was answered.

Law: every request is answered or written down as lost, and there is an end to them, in number and in time.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from typing import Any, NamedTuple

import httpx

MOST_ANSWERS = 20_000
TICK_S = 0.5
PATIENCE_S = 10.0
POLICY = re.compile(r'"([^"]*)";q=(\d+)')  # in RateLimit-Policy: a rule, and what it allows at once


class Answer(NamedTuple):
    """Hold one answer, and when its request was sent. Times are seconds of the monotonic clock.

    Attributes:
        status: 0: the request was lost.
        retry_after: The header.
        place: Which of several addresses answered.
    """

    client: str
    path: str
    status: int
    body: dict[str, Any]
    retry_after: str | None
    sent: float
    received: float
    place: int = 0

    @property
    def allowed(self) -> bool:
        return self.status == 200

    @property
    def rule(self) -> str | None:
        """The rule that refused."""
        return self.body.get("rule")

    @property
    def page(self) -> str:
        """What was asked for, or nothing."""
        return str(self.body.get("page", ""))


class Customer(NamedTuple):
    """Hold the habits of one customer."""

    name: str
    habit: str
    paths: tuple[str, ...]
    pause: float
    hands: int = 1  # that many requests may be under way


CUSTOMERS = (
    Customer("mallory", "hammers /search", ("/search",), 0.08, hands=5),
    Customer("crawler", "walks through every page", ("/price", "/price", "/search"), 0.12, hands=6),
    Customer("ada", "shops", ("/price", "/search"), 0.3),
    Customer("bob", "shops at his leisure", ("/search", "/price"), 0.45),
)
HANDS = sum(customer.hands for customer in CUSTOMERS)


class History:
    """Remember every answer, and count.

    Attributes:
        allowed: How many calls went ahead, by path and by customer.
        refused: How many were refused, by rule and by customer.
        ticks: How many of a customer's calls went ahead in each half second.
    """

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.answers: list[Answer] = []
        self.allowed: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.ticks: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self._latencies: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=400))

    @property
    def age(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    def note(self, answer: Answer) -> None:
        """Remember one answer."""
        self.answers.append(answer)
        if answer.allowed:
            self.allowed.update((answer.path, answer.client))
            self.ticks[answer.client][int((answer.received - self.began) / TICK_S)] += 1
            self._latencies[answer.path].append(answer.received - answer.sent)
        elif answer.rule is not None:
            self.refused.update((answer.rule, answer.client))

    def since(self, mark: int, *, client: str | None = None, path: str | None = None) -> list[Answer]:
        """Return the answers after the first *mark*, of one customer and one path if given."""
        return [one for one in self.answers[mark:] if client in (None, one.client) and path in (None, one.path)]

    def latencies(self, *paths: str) -> tuple[float, float] | None:
        """Return the median and the 99th percentile of lately allowed calls, in milliseconds; None: too few so far."""
        return quantiles([one for path in paths for one in self._latencies[path]])


def quantiles(seconds: list[float]) -> tuple[float, float] | None:
    """Return the median and the 99th percentile in milliseconds; None: too few."""
    if len(seconds) < 2:
        return None
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return cuts[49] * 1000, cuts[98] * 1000


def said(response: httpx.Response) -> dict[str, Any]:
    """Return what an answer says: a page, or which rule refused and what it allows."""
    if not response.headers.get("content-type", "").endswith("json"):
        return {}
    body: dict[str, Any] = response.json()
    for rule in body.get("violated-policies", ())[:1]:
        limits = dict(POLICY.findall(response.headers.get("ratelimit-policy", "")))
        body |= {"rule": rule, "limit": int(limits.get(rule, 0))}
    return body


class Street:
    """Carry the requests of all customers to the shop, to each of its addresses in turn."""

    def __init__(self, http: httpx.AsyncClient, addresses: Sequence[str], history: History) -> None:
        self.history = history
        self._http = http
        self._turns = cycle(enumerate(addresses))
        self._closing = asyncio.Event()
        self._room = asyncio.Semaphore(HANDS)

    async def ask(self, client: str, path: str) -> Answer:
        """Send one request and return the answer."""
        place, address = next(self._turns)
        sent = time.monotonic()
        try:
            response = await self._http.get(f"{address}{path}", headers={"x-client": client})
            status, retry_after = response.status_code, response.headers.get("retry-after")
            body = said(response)
        except httpx.HTTPError as lost:
            status, retry_after, body = 0, None, {"detail": f"{type(lost).__name__}: {lost}"}
        answer = Answer(client, path, status, body, retry_after, sent, time.monotonic(), place)
        self.history.note(answer)
        return answer

    async def ask_often(self, client: str, path: str, times: int, hands: int) -> list[Answer]:
        """Send many requests, so many at once, and return the answers."""
        left = iter(range(times))

        async def ask() -> list[Answer]:
            return [await self.ask(client, path) for _ in left]

        return [answer for answers in await asyncio.gather(*(ask() for _ in range(hands))) for answer in answers]

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """Let all customers come and go inside the block."""
        async with asyncio.TaskGroup() as group:
            for customer in CUSTOMERS:
                for _ in range(customer.hands):
                    group.create_task(self._stroll(customer))
            try:
                yield
            finally:
                self._closing.set()

    @asynccontextmanager
    async def empty(self) -> AsyncIterator[None]:
        """Keep the customers at home inside the block; it begins when the last of them is back."""
        async with AsyncExitStack() as taken:
            for _ in range(HANDS):
                await taken.enter_async_context(self._room)
            yield

    async def _stroll(self, customer: Customer) -> None:
        for path in cycle(customer.paths):
            async with self._room:
                if self._closing.is_set() or len(self.history.answers) >= MOST_ANSWERS:
                    break
                await self.ask(customer.name, path)
            await asyncio.sleep(customer.pause)


@asynccontextmanager
async def street(*addresses: str) -> AsyncIterator[Street]:
    """Open a street to the shop at *addresses*; its connections are closed with the block."""
    limits = httpx.Limits(max_connections=32, max_keepalive_connections=32)
    async with httpx.AsyncClient(timeout=PATIENCE_S, limits=limits, trust_env=False) as http:
        yield Street(http, addresses, History())
