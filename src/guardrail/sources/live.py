"""Live rules: what a source shows, taken up while the service runs.

Law: `current` is always a whole set that was accepted. What the source shows is dealt with once, as soon as two looks in
a row agree on it; what cannot be used changes nothing and is reported.

    a look shows                      then
    ────────────────────────────────  ──────────────────────────────────────────────────────────────
    what the rules in force are from  all is well: a change in sight is forgotten, and a report is taken back
    what was dealt with last          a change in sight is forgotten
    something else                    it is in sight
    what was in sight                 it is dealt with: taken up, or reported
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from threading import RLock
from typing import Generic, TypeVar

from guardrail.sources.source import Sight, Source, look
from guardrail.sources.watch import Watch

R = TypeVar("R")


class Live(Generic[R]):
    """Hold the rules that are in force, and follow their source. Safe from any thread, and across a fork.

    Args:
        parse: Makes rules of what the source shows, or raises RuleError.
        on_change: Puts other rules in force, or raises RuleError to refuse them. Changes come one at a time.
        on_problem: Hears of what cannot be used.
        after_change: Hears of other rules in force, and of those before them. Here, as in `on_problem`, no lock is held.

    Attributes:
        current: The rules in force. There are none before `load`.
    """

    current: R

    def __init__(
        self,
        source: Source,
        parse: Callable[[Mapping[str, bytes]], R],
        on_change: Callable[[R], object],
        on_problem: Callable[[Exception], object],
        interval_s: float = 0.25,
        *,
        after_change: Callable[[R, R], object] | None = None,
    ) -> None:
        self._source = source
        self._parse = parse
        self._on_change = on_change
        self._on_problem = on_problem
        self._after_change = after_change
        self._watch = Watch(self.poll, interval_s, source.folder)
        self._locks: dict[int, RLock] = {}
        self._swaps = 0
        self._in_force: Sight | None = None
        self._dealt_with: Sight | None = None
        self._in_sight: Sight | None = None

    def load(self) -> R:
        """Read the source for the first time, and return its rules without a word to anybody.

        Raises:
            RuleError: They cannot be used.
            OSError: They cannot be read.
        """
        with self._turn():
            files = self._source.read()
            self.current = self._parse(files)
            self._in_force = self._dealt_with = Sight(files)
            return self.current

    def poll(self) -> bool:
        """Look at the source once, and deal with what two looks in a row have shown. The watching thread does this.

        Returns:
            Whether a change is in sight that the next look may confirm.
        """
        news: tuple[R, R] | Exception
        with self._turn():
            sight, problem = look(self._source)
            if sight == self._in_force != self._dealt_with:  # what was rejected has been taken back
                self._dealt_with, self._in_sight = sight, None
                news = self.current, self.current
            elif sight == self._dealt_with:
                self._in_sight = None
                return False
            elif sight != self._in_sight:
                self._in_sight = sight
                return True
            else:
                news = self._deal_with(sight, problem)
        self._tell(news)
        return False

    def reload(self) -> R:
        """Look at the source and take up what it shows, now. What cannot be used is reported, and raised.

        Raises:
            RuleError: The rules cannot be used. Those in force stay.
            OSError: They cannot be read. Those in force stay.
        """
        with self._turn():
            news = self._deal_with(*look(self._source))
        self._tell(news)
        if isinstance(news, Exception):
            raise news
        return news[0]

    def apply(self, rules: R) -> None:
        """Put other rules in force until the source shows something else than it does now.

        Raises:
            RuleError: They were refused. Those in force stay.
        """
        with self._turn():
            sight, _ = look(self._source)
            news = self._swap(rules)
            self._in_force = self._dealt_with = sight
            self._in_sight = None
        self._tell(news)

    def start(self) -> None:
        """Watch the source from a daemon thread. Does nothing where this process watches already.

        The thread ends with `stop`, or when nobody holds this object any more.
        """
        self._watch.start()

    def after_fork(self) -> None:
        """Go on watching in a forked child if the parent did."""
        self._watch.after_fork()

    def stop(self) -> None:
        """End watching. Rules in force stay, and everything else still works."""
        self._watch.stop()

    def _turn(self) -> RLock:
        # A lock that another thread held at a fork stays locked in the child, so each process has its own.
        return self._locks.setdefault(os.getpid(), RLock())

    def _deal_with(self, sight: Sight, problem: Exception | None) -> tuple[R, R] | Exception:
        news = self._take_up(sight.files) if problem is None else problem
        if not isinstance(news, Exception):
            self._in_force = sight
        self._dealt_with, self._in_sight = sight, None
        return news

    def _take_up(self, files: Mapping[str, bytes]) -> tuple[R, R] | Exception:
        try:
            return self._swap(self._parse(files))
        except Exception as problem:  # noqa: BLE001  whatever it is, it is reported, and watching goes on
            return problem

    def _swap(self, rules: R) -> tuple[R, R]:
        previous = self.current
        self._swaps += 1
        swap = self._swaps
        self._on_change(rules)
        if swap == self._swaps:  # else `on_change` has called back and brought in others
            self.current = rules
        return rules, previous

    def _tell(self, news: tuple[R, R] | Exception) -> None:
        if isinstance(news, Exception):
            self._on_problem(news)
        elif self._after_change is not None:
            self._after_change(*news)
