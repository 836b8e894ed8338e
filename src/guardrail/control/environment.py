"""The endpoint that the environment asks for: GUARDRAIL_CONTROL and GUARDRAIL_CONTROL_TOKEN.

Law: whatever is wrong with it is logged, or said on stderr where nobody listens to the log, and the service goes on
without. A process has one, at the first free port, for which it waits in the background; it answers for the oldest of its
guards that is not closed. A forked child has one of its own where there are several ports.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from logging import ERROR, INFO, WARNING, Logger, NullHandler, getLogger
from threading import Event, RLock, Thread
from typing import TYPE_CHECKING
from weakref import ref

from guardrail.admission.forks import follow_forks
from guardrail.control.address import Address, read_address
from guardrail.control.endpoint import Control
from guardrail.control.tokens import checked_token

if TYPE_CHECKING:
    from guardrail.control.routes import Served

ADDRESS, TOKEN = "GUARDRAIL_CONTROL", "GUARDRAIL_CONTROL_TOKEN"

RETRY_S = 5.0

logger = getLogger("guardrail.control")


class Attendance:
    """Know the guards of this process, and hold the endpoint that answers for the oldest that is open.

    A guard is not kept alive for it.
    """

    def __init__(self) -> None:
        self.control: Control | None = None
        self._guards: list[ref[Served]] = []
        self._closed: list[ref[Served]] = []
        self._lock = RLock()
        self._given_up: Event | None = None  # while a port is waited for: set, it is not any more
        self._said: set[str] = set()
        follow_forks(self)

    def attend(self, guard: Served) -> None:
        """Answer for *guard* too. Opens the endpoint unless this process has it already."""
        with self._lock:
            self._guards = [one for one in self._guards if one() is not None]
            self._guards.append(ref(guard))
            if self.control is None and self._given_up is None:
                self._open(WARNING)

    def step_back(self, guard: Served) -> None:
        """Let all others go before *guard*, which has been closed; it still decides, if it is the only one. Never waits."""
        with self._lock:
            self._closed = [one for one in self._closed if one() not in {None, guard}]
            self._closed += [one for one in self._guards if one() is guard]
            self._guards = [one for one in self._guards if one() not in {None, guard}]
            if not self._guards:
                self._give_up()

    def first(self) -> Served | None:
        """Return the guard to answer for."""
        return next((guard for one in [*self._guards, *self._closed] if (guard := one()) is not None), None)

    def close(self) -> None:
        """Close the endpoint, and forget all guards."""
        with self._lock:
            control, self.control = self.control, None
            self._guards, self._closed = [], []
            self._give_up()
        if control is not None:
            control.close()

    def after_fork(self) -> None:
        """Open an endpoint of its own in a forked child, if the parent has or awaits one and there are more ports."""
        self._lock = RLock()
        before, self.control, self._given_up = self.control or self._given_up, None, None
        if before is not None and self.first() is not None:
            self._open(INFO, at_least=2)

    def _open(self, level: int, at_least: int = 1) -> None:
        wanted = os.environ.get(ADDRESS, "")
        try:
            address = _read(wanted)
            token = checked_token(os.environ.get(TOKEN), TOKEN)
        except ValueError as wrong:
            self._say(ERROR, f"no control endpoint: {wrong}")
            return
        if len(address.ports) < at_least:
            return
        try:
            self.control = Control(self.first, address, token)
        except OSError as busy:
            hint = "where several processes run, give each a port, and one more where a parent preloads: 127.0.0.1:9911-9918"
            again = f"it is tried again every {RETRY_S:g} s"
            self._say(level, f"no control endpoint in process {os.getpid()}: {busy}; {again}; {hint}")
            self._given_up = Event()
            waiting = (address, token, self._given_up)
            Thread(target=self._await_port, args=waiting, name="guardrail-control-port", daemon=True).start()

    def _await_port(self, address: Address, token: str, given_up: Event) -> None:
        while not given_up.wait(RETRY_S):
            with self._lock, suppress(OSError):
                if given_up.is_set():
                    return
                if any(one() is not None for one in self._guards):
                    self.control = Control(self.first, address, token)
                self._given_up = None
                return

    def _give_up(self) -> None:
        if self._given_up is not None:
            self._given_up.set()
            self._given_up = None

    def _say(self, level: int, sentence: str) -> None:
        """Log it; where nobody listens to the log, say it on stderr as Python would, but once."""
        if _is_heard(logger):
            logger.log(level, "%s", sentence)
        elif sentence not in self._said and logger.isEnabledFor(level) and logging.lastResort is not None:
            self._said.add(sentence)
            record = logger.makeRecord(logger.name, level, "", 0, "guardrail: %s", (sentence,), None)
            if level >= logging.lastResort.level:
                logging.lastResort.handle(record)


def _is_heard(speaker: Logger) -> bool:
    """Tell whether anybody has set up what takes the lines of a logger."""
    one: Logger | None = speaker
    while one is not None:
        if any(not isinstance(handler, NullHandler) for handler in one.handlers):
            return True
        one = one.parent if one.propagate else None
    return False


def _read(text: str) -> Address:
    try:
        return read_address(text)
    except ValueError as wrong:
        raise ValueError(f"{ADDRESS} {wrong}") from None


attendance = Attendance()
