"""Outgoing HTTP calls: let in by the rules, held back where the other side asked for it, and ended exactly once.

Law: a refused call never touches the network. A permit lives from the request until its answer is read, closed or
dropped. An exception or a status of 500 and above is a failure, anything below a success; a cancellation is neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardrail.adapters.clients.advice import Header, advice
from guardrail.adapters.clients.holds import held_back, hold_back
from guardrail.adapters.clients.resources import Outgoing
from guardrail.adapters.escapes import as_outgoing
from guardrail.default import default_guard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardrail.adapters.clients.options import Options
    from guardrail.admission.permit import Permit
    from guardrail.guard import Guard

FAILURE = 500


class ClientCall:
    """Follow one call that was let in, to its end. Safe from any thread or task.

    One that is dropped without an end goes by the answer it got, or counts for nothing without one.
    """

    __slots__ = ("_egress", "_guard", "_permit", "_resource", "_status")

    def __init__(self, egress: Egress, guard: Guard, resource: str, permit: Permit) -> None:
        self._egress = egress
        self._guard = guard
        self._resource = resource
        self._permit = permit
        self._status: int | None = None
        permit.is_held = True

    def answered(self, status: int, header: Header) -> None:
        """Take note that the answer has begun: its status, and what it says of when to come back."""
        self._permit.begin()
        self._status = status
        self._egress.heed(self._guard, self._resource, status, header)

    def finish(self, error: BaseException | None = None) -> None:
        """End the call; only the first time counts. Never raises.

        Args:
            error: What ended it before its time.
        """
        if error is not None or self._status is None:
            self._permit.exit(error)
        else:
            self._permit.exit(failed=self._status >= FAILURE, code=f"http.{self._status}")

    def __del__(self) -> None:
        if self._status is not None:
            self.finish()


class Egress:
    """Let outgoing calls in by the rules of a guard.

    Args:
        guard: None: the default one, at the time of each call.
        options: What `options_of` has checked.
    """

    def __init__(self, guard: Guard | None, options: Options) -> None:
        self._guard = guard
        self._options = options

    def enter(self, request: Any, method: str, url: str, headers: Mapping[str, object]) -> ClientCall:
        """Admit one request, waiting in this thread as long as the rules' `max_wait` allows.

        Raises:
            Refused: A rule said no, or the other side has asked to be left alone.
        """
        guard, resource, outgoing = self._prepared(request, method, url, headers)
        return self._admitted(guard, resource, guard.try_enter(resource, outgoing))

    async def aenter(self, request: Any, method: str, url: str, headers: Mapping[str, object]) -> ClientCall:
        """Admit one request, waiting in this task; the twin of `enter`."""
        guard, resource, outgoing = self._prepared(request, method, url, headers)
        return self._admitted(guard, resource, await guard.atry_enter(resource, outgoing))

    def heed(self, guard: Guard, resource: str, status: int, header: Header) -> None:
        """Hold a resource back if an answer asks for it."""
        options = self._options
        if options.hold == "off":
            return
        advised = advice(status, header, guard.ledger.clock.now_us(), rate_fields=options.hold == "all")
        if advised is not None and advised.wait_us > 0:
            hold_back(guard, resource, min(advised.wait_us, options.max_hold_us), advised.field)

    def _prepared(
        self, request: Any, method: str, url: str, headers: Mapping[str, object]
    ) -> tuple[Guard, str, Outgoing]:
        guard = default_guard() if self._guard is None else self._guard
        outgoing = Outgoing(request, method, url, headers, self._options.user)
        resource = self._options.naming.name_of(outgoing, guard)
        refusal = held_back(guard, resource)
        if refusal is not None:
            raise as_outgoing(refusal)
        return guard, resource, outgoing

    def _admitted(self, guard: Guard, resource: str, permit: Permit) -> ClientCall:
        if not permit:
            raise as_outgoing(permit.refusal())
        # An answer may have come while this call waited.
        refusal = held_back(guard, resource) if guard.mode == "enforce" else None
        if refusal is not None:
            permit.exit(refusal)
            raise as_outgoing(refusal)
        return ClientCall(self, guard, resource, permit)
