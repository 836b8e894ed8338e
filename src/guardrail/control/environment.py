"""The endpoint that the environment asks for: GUARDRAIL_CONTROL and GUARDRAIL_CONTROL_TOKEN.

Law: whatever is wrong with it is logged, and the service goes on without. A process has one, at the first free port; it
answers for the oldest of its guards that is not closed. A forked child has one of its own where there are several ports.
"""

from __future__ import annotations

import os
from logging import ERROR, INFO, WARNING, getLogger
from threading import RLock
from typing import TYPE_CHECKING
from weakref import ref

from guardrail.admission.forks import follow_forks
from guardrail.control.address import Address, read_address
from guardrail.control.endpoint import Control
from guardrail.control.tokens import checked_token

if TYPE_CHECKING:
    from guardrail.control.routes import Served

ADDRESS, TOKEN = "GUARDRAIL_CONTROL", "GUARDRAIL_CONTROL_TOKEN"

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
        follow_forks(self)

    def attend(self, guard: Served) -> None:
        """Answer for *guard* too. Opens the endpoint unless this process has it already."""
        with self._lock:
            self._guards = [one for one in self._guards if one() is not None]
            self._guards.append(ref(guard))
            if self.control is None:
                self._open(WARNING)

    def step_back(self, guard: Served) -> None:
        """Let all others go before *guard*, which has been closed; it still decides, if it is the only one. Never waits."""
        with self._lock:
            self._closed = [one for one in self._closed if one() not in {None, guard}]
            self._closed += [one for one in self._guards if one() is guard]
            self._guards = [one for one in self._guards if one() not in {None, guard}]

    def first(self) -> Served | None:
        """Return the guard to answer for."""
        return next((guard for one in [*self._guards, *self._closed] if (guard := one()) is not None), None)

    def close(self) -> None:
        """Close the endpoint, and forget all guards."""
        with self._lock:
            control, self.control = self.control, None
            self._guards, self._closed = [], []
        if control is not None:
            control.close()

    def after_fork(self) -> None:
        """Open an endpoint of its own in a forked child, if the parent has one and there are more ports."""
        self._lock = RLock()
        before, self.control = self.control, None
        if before is not None and self.first() is not None:
            self._open(INFO, at_least=2)

    def _open(self, level: int, at_least: int = 1) -> None:
        wanted = os.environ.get(ADDRESS, "")
        try:
            address = _read(wanted)
            token = checked_token(os.environ.get(TOKEN), TOKEN)
        except ValueError as wrong:
            logger.log(ERROR, "no control endpoint: %s", wrong)
            return
        if len(address.ports) < at_least:
            return
        try:
            self.control = Control(self.first, address, token)
        except OSError as busy:
            hint = "; where several processes run, give each a port: 127.0.0.1:9911-9918"
            logger.log(level, "no control endpoint in process %d: %s%s", os.getpid(), busy, hint)


def _read(text: str) -> Address:
    try:
        return read_address(text)
    except ValueError as wrong:
        raise ValueError(f"{ADDRESS} {wrong}") from None


attendance = Attendance()
