"""The writer: in multi-process mode, a thread that writes the numbers of this process to its files, once a second.

Law: guarded calls know nothing of it, and it takes at most a twentieth of a core. So what a scrape shows of a worker is a
second old at most, or 20 times what a look takes if that is more; of the worker that answers, it is of now. What a
process counted after its last look is lost where it is killed; one that exits looks once more.
"""

from __future__ import annotations

import atexit
import os
from functools import cache
from logging import getLogger
from threading import Event, Lock, Thread, get_ident
from time import monotonic
from typing import TYPE_CHECKING

from guardrail.telemetry.prometheus.files import Files, lives
from guardrail.telemetry.prometheus.metrics import DECISIONS
from guardrail.telemetry.prometheus.sources import Sources

if TYPE_CHECKING:
    from guardrail.telemetry.prometheus.bound import Numbers
    from guardrail.telemetry.prometheus.sources import Seen

INTERVAL_S = 1.0
PAUSES = 19  # so many times as long as a look took is the pause after it, at least
PATIENCE_S = 1.0  # how long whoever wants the numbers of now waits for a look that is under way
FORK_PATIENCE_S = 10.0  # likewise for whoever forks: the first numbers of thousands of rules take a second to write

logger = getLogger("guardrail.metrics")


class Writer:
    """Write the numbers of guards to the files of this process, and of every child that is forked off."""

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        self.sources = Sources()
        self._files = Files()
        self._interval_s = interval_s
        self._is_failing = False
        self._begin()

    def show(self, guard: Seen | None, name: str) -> None:
        """Write the numbers of a guard from now on."""
        self.sources.add(guard, name)
        self._start()

    def hide(self, guard: Seen | None) -> None:
        """Write them no more. What was counted stays, gauges rest."""
        for name in self.sources.remove(guard):
            with self._writing:
                self._files.write(name, {})

    def write(self) -> bool:
        """Write now. False: a look under way took too long, or the files cannot be written."""
        if not self._turn.acquire(timeout=PATIENCE_S):
            return False
        try:
            for name, numbers in self.sources.numbers().items():
                shown = self._without_live(numbers) if self._only_forks(numbers) else numbers
                with self._writing:
                    self._files.write(name, shown)
        except Exception:
            if not self._is_failing:
                logger.exception("metrics cannot be written, so scrapes show the last ones until they can")
            self._is_failing = True
            return False
        finally:
            self._turn.release()
        self._is_failing = False
        return True

    def close(self) -> None:
        """Write for the last time; this process then counts no more as one that lives."""
        self._ended.set()
        self.write()
        if self._writing.acquire(timeout=PATIENCE_S):
            try:
                self._files.rest()
            finally:
                self._writing.release()

    # ---- forks

    def before_fork(self) -> None:
        """Let nobody fork in the middle of writing: the child would find the lock of prometheus_client's files taken."""
        if self._writing.acquire(timeout=FORK_PATIENCE_S):
            self._forking.add(get_ident())

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._has_forked = True
        if get_ident() in self._forking:
            self._forking.discard(get_ident())
            self._writing.release()

    def after_fork_in_child(self) -> None:
        """Begin anew, with a thread of its own."""
        self._files.after_fork()
        self._begin()
        if self.sources:
            self._start()

    def _begin(self) -> None:
        self._turn = Lock()  # one looks and writes at a time, or an older look could be written over a newer one
        self._writing = Lock()  # taken for as long as it takes to copy numbers; no guard is asked meanwhile
        self._forking: set[int] = set()  # the threads that have taken it to fork
        self._has_forked = False
        self._ended = Event()
        self._thread: Thread | None = None

    def _only_forks(self, numbers: Numbers) -> bool:
        """Tell whether this is the parent of the workers: it has forked, and nobody calls anything in it."""
        return self._has_forked and not any(count for (metric, _), count in numbers.items() if metric is DECISIONS)

    def _without_live(self, numbers: Numbers) -> Numbers:
        return {place: value for place, value in numbers.items() if not lives(place[0])}

    # ---- the thread

    def _start(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._run, args=(self._ended,), name="guardrail-metrics", daemon=True)
            self._thread.start()

    def _run(self, ended: Event) -> None:
        pause_s = self._interval_s
        while not ended.wait(pause_s):
            began = monotonic()
            self.write()
            pause_s = max(self._interval_s, PAUSES * (monotonic() - began))


@cache
def writer() -> Writer:
    """Return the writer of this process, made when it is first needed."""
    made = Writer()
    atexit.register(made.close)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=made.before_fork,
            after_in_parent=made.after_fork_in_parent,
            after_in_child=made.after_fork_in_child,
        )
    return made
