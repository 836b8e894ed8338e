"""Dialling: connecting to a store's server as a store does, with more patience.

Law: it ends in time. What cannot be cut off, looking up a name, is left to a thread that ends with the process.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING

from guardrail.stores.contact import GARBLED, NO_CONNECTION, Fault, rights_of
from guardrail.stores.wires import Wire, fault_of_error, thread_wire

if TYPE_CHECKING:
    from guardrail.stores.url import StoreUrl

CONNECTING_S = 3.0


class VisitError(Exception):
    """Say why a server cannot be asked, or not any more."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def dialled(url: StoreUrl) -> Wire:
    """Return a connection.

    Raises:
        VisitError: There is none.
    """
    dial = _Dial(url)
    dial.start()
    dial.join(CONNECTING_S)
    if dial.wire is not None and not dial.is_alive():
        return dial.wire
    hint = ", and that the server speaks TLS there" if url.scheme == "rediss" else ", and firewalls on the way"
    late = Fault("timeout", f"no connection within {CONNECTING_S:g} s; check host and port{hint}")
    if dial.is_connected:
        silent = f"connected, but what listens there did not answer within {CONNECTING_S:g} s"
        late = Fault("timeout", f"{silent}; see whether it is overloaded or stopped{_speaks(url)}")
    if dial.error is None:
        dial.give_up()
        raise VisitError(late)
    if _is_nested(dial.error):
        raise VisitError(GARBLED) from dial.error
    fault = fault_of_error(dial.error, rights_of(url.prefix, url.settings))
    raise VisitError(late if fault is NO_CONNECTION else fault) from dial.error


def _speaks(url: StoreUrl) -> str:
    return ", and whether it speaks TLS there" if url.scheme == "rediss" else ", or speaks TLS only (rediss://)"


def _is_nested(error: BaseException | None) -> bool:
    """Tell whether an answer had so many lists within lists that redis-py gave up."""
    while error is not None:
        if isinstance(error, RecursionError) or "recursion" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


class _Dial(Thread):
    """Connect, on a thread of its own.

    Attributes:
        wire: What was connected.
        error: Why nothing was.
    """

    def __init__(self, url: StoreUrl) -> None:
        super().__init__(name="guardrail-doctor", daemon=True)
        self.wire: Wire | None = None
        self.error: Exception | None = None
        self._url = url
        self._dialled: Wire | None = None
        self._is_over = False

    def run(self) -> None:
        wire: Wire | None = None
        try:
            wire = self._dialled = thread_wire(self._url, CONNECTING_S)
            wire.dial()
            self.wire = wire
        except Exception as error:  # noqa: BLE001  # whatever redis-py, TLS and the system raise
            self.error = error
        finally:
            if wire is not None and wire.lifeline is not None:
                wire.lifeline.close()
            if wire is not None and (self._is_over or self.wire is None):
                wire.hang_up()

    @property
    def is_connected(self) -> bool:
        """Whether there has been a socket on which to wait for answers."""
        return self._dialled is not None and self._dialled.lifeline is not None

    def give_up(self) -> None:
        """End it, as far as that is possible: a server that drips would keep it busy for ever."""
        self._is_over = True
        lifeline = self._dialled and self._dialled.lifeline
        if lifeline:
            with suppress(OSError):
                lifeline.shutdown(socket.SHUT_RDWR)
            self.join(CONNECTING_S)
