"""Entry: one call on its way in, as `with` or `async with`.

Law: the call is decided when the block is entered, and ends when it is left, with the error it was left by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from guardrail.admission.call import Get
    from guardrail.admission.permit import Permit
    from guardrail.admission.plan import Plan


class Entry:
    """Admit one call: `with guard.enter(...) as permit:`. Raises Refused where a rule says no."""

    __slots__ = ("_cost", "_get", "_max_wait_us", "_permit", "_plan")

    def __init__(self, plan: Plan, get: Get, cost: int, max_wait_us: int | None) -> None:
        self._plan = plan
        self._get = get
        self._cost = cost
        self._max_wait_us = max_wait_us
        self._permit: Permit | None = None

    def __bool__(self) -> bool:
        raise TypeError(
            "an entry decides when it is entered: write `with guard.enter(...)`, or `if guard.try_enter(...)`"
        )

    def __enter__(self) -> Permit:
        self._check_unused()
        return self._hold(self._plan.enter(self._get, self._cost, self._max_wait_us))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._permit is not None:
            self._permit.exit(error)

    async def __aenter__(self) -> Permit:
        self._check_unused()
        return self._hold(await self._plan.aenter(self._get, self._cost, self._max_wait_us))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._permit is not None:
            await self._permit.aexit(error)

    def _hold(self, permit: Permit) -> Permit:
        if not permit:
            raise permit.refusal()
        permit.is_held = True
        self._permit = permit
        return permit

    def _check_unused(self) -> None:
        if self._permit is not None:
            raise RuntimeError("this entry has been used: call guard.enter() for each call")
