"""Replies: what a store has to answer, and what becomes of a store that does not.

Law: no call fails for its store. One that raises, or answers what makes no sense, counts as unavailable, and the log says so.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, TypeGuard

from guardrail.stores.protocol import Reply, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardrail.stores.protocol import Check, Store

LOOK_AGAIN_US = 1_000_000
STORES = 256  # that are remembered, so that each is complained of once
RAISED = "the store raised instead of answering; on_store_error decides"
SENSELESS = "the store, a %s, does not answer what it is asked: it counts as unavailable, and on_store_error decides"


def checked(answer: Reply | Unavailable, checks: Sequence[Check], store: Store) -> Reply | Unavailable:
    """Return what *store* answered to *checks*, if it is an answer."""
    if type(answer) is Unavailable or _answers(answer, checks):
        return answer
    complain(store)
    return Unavailable(LOOK_AGAIN_US)


def raised(error: Exception) -> Unavailable:
    """Return the answer of a store that raises *error*."""
    from logging import getLogger  # only a store that breaks its law needs it

    getLogger("guardrail.store").error(RAISED, exc_info=error)
    return Unavailable(LOOK_AGAIN_US)


def processes_of(store: Store) -> int | None:
    """Return how many processes share *store*; None: it cannot say, which is still to be logged."""
    try:
        count = store.live_processes()
    except Exception:  # noqa: BLE001  whatever it is, the call is decided
        return None
    return count if type(count) is int and count > 0 else None


def complain(store: Store) -> None:
    """Log, once, that *store* breaks its law."""
    _complain(id(store), type(store).__qualname__)


def _answers(answer: object, checks: Sequence[Check]) -> TypeGuard[Reply]:
    """Tell whether there is a state for each check, and a reason for a no in one of them."""
    if not isinstance(answer, Reply) or not len(checks) == len(answer.states) == len(answer.eras):
        return False
    return answer.allowed or any(
        not (check.watches or check.limit.ask(state, answer.now_us, check.cost, check.max_wait_us).allowed)
        for check, state in zip(checks, answer.states, strict=True)
    )


@lru_cache(STORES)
def _complain(_store: int, kind: str) -> None:
    from logging import getLogger  # only a store that breaks its law needs it

    getLogger("guardrail.store").error(SENSELESS, kind)
