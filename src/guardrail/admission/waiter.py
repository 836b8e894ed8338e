"""Waiter: one caller in the queue of a bulkhead, a thread or a task.

Law: a place is handed over under the ledger's lock by setting `granted`; waking is only a hint that comes after it. A
waiter whose event loop is gone passes the place on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Waiter:
    """Wait in line until a place is handed over or time is up."""

    __slots__ = ("deadline_us", "granted", "pass_on", "wake")

    def __init__(self, deadline_us: int, pass_on: Callable[[], None]) -> None:
        self.deadline_us = deadline_us
        self.granted = False
        self.pass_on = pass_on
        self.wake: Callable[[], object] | None = None  # set by the driver, which then looks at `granted` once more

    def rouse(self) -> None:
        """Wake the caller. Called without the lock, any number of times."""
        if self.wake is not None:
            try:
                self.wake()
            except RuntimeError:  # the event loop is closed: its task will not run again
                self.pass_on()
