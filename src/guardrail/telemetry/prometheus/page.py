"""The page: what `/metrics` answers, without a framework.

Law: it is put together before the first byte is sent, and nothing is held while a client reads it. Whatever fails is told
to the scraper, as an error, and to nobody else.
"""

from __future__ import annotations

import os
from logging import getLogger
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from guardrail.telemetry.prometheus.collector import GuardCollector
from guardrail.telemetry.prometheus.dead import bury
from guardrail.telemetry.prometheus.files import folder
from guardrail.telemetry.prometheus.metrics import METRICS
from guardrail.telemetry.prometheus.registration import flush, is_shown, register
from guardrail.telemetry.prometheus.sources import Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector

PATIENCE_S = 5.0  # how long a scrape waits for the one before it
TEXT = "text/plain; charset=utf-8"
OURS = frozenset(metric.name for metric in METRICS)

logger = getLogger("guardrail.metrics")


class Answer(NamedTuple):
    """Hold an answer that is ready to be sent."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes


class MetricsPage:
    """Answer scrapes: with the metrics of a guard, and with all else that a registry shows.

    In multi-process mode these are those of all processes; the guard is then registered, so a page is made in every worker,
    or before they are forked. Safe from any thread; a scrape takes milliseconds, so tasks ask `aanswer`.

    Args:
        guard: None: whichever is the default one then.

    Raises:
        ValueError, TypeError: Those of `register`, in multi-process mode.
    """

    def __init__(self, guard: Seen | None = None, registry: CollectorRegistry = REGISTRY) -> None:
        self._shown = _Together(guard, registry)
        self._turns: dict[int, Lock] = {}
        if folder() is not None:
            register(guard)

    def answer(self, accept: str | None = None) -> Answer:
        """Return the answer to one scrape: 200, 503 where those before it do not end, 500 where it fails.

        Args:
            accept: The `Accept` header, which may ask for OpenMetrics.
        """
        turn = self._turns.setdefault(os.getpid(), Lock())  # that of a parent may have been taken when it forked
        if not turn.acquire(timeout=PATIENCE_S):
            return _answer(503, TEXT, b"guardrail: the scrape before this one has not ended\n")
        try:
            return _answer(200, *exposition(self._shown, accept))
        except Exception:
            logger.exception("metrics cannot be shown")
            return _answer(500, TEXT, b"guardrail: metrics cannot be shown; the log says why\n")
        finally:
            turn.release()

    async def aanswer(self, accept: str | None = None) -> Answer:
        """Return what `answer` does, without holding up the event loop."""
        from asyncio import to_thread  # only tasks need it

        return await to_thread(self.answer, accept)


def exposition(shown: Seen | Collector | None = None, accept: str | None = None) -> tuple[str, bytes]:
    """Return a content type and all metrics in it; in multi-process mode those of all processes.

    Args:
        shown: A guard, beside which prometheus_client's own registry is shown; None: the default one. Or a registry alone.
            Not used in multi-process mode, where all that is registered is shown.
        accept: The `Accept` header, which may ask for OpenMetrics.
    """
    encode, content_type = _encoder(accept)
    path = folder()
    if path is not None:
        flush()
        bury(path)
        shown = CollectorRegistry()
        collector: Callable[..., object] = MultiProcessCollector  # it has no types
        collector(shown, path)
    if shown is None or isinstance(shown, Seen):
        shown = _Together(shown, REGISTRY)
    return content_type, encode(shown)


class _Together:
    """Show a guard, and beside it what a registry shows of anything else."""

    def __init__(self, guard: Seen | None, registry: CollectorRegistry) -> None:
        self._guard = guard
        self._registry = registry
        self._collector = GuardCollector()
        self._collector.sources.add(guard, "")

    def collect(self) -> Iterator[Metric]:
        if is_shown(self._guard, self._registry):
            yield from self._registry.collect()
        else:
            yield from (family for family in self._registry.collect() if family.name not in OURS)
            yield from self._collector.collect()


def _encoder(accept: str | None) -> tuple[Callable[[Collector], bytes], str]:
    try:
        return choose_encoder(accept or "")
    except (TypeError, ValueError):  # a version that is no number
        return choose_encoder("")


def _answer(status: int, content_type: str, body: bytes) -> Answer:
    return Answer(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))], body)
