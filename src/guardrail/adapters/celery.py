"""Celery: tasks that are refused come back when `retry_after` is over, instead of failing.

    @app.task(base=RetryRefused)                  or     @app.task
    @limit("100/min", key="account")                     @retry_refused(max_refusals=50)
    def sync(account): ...                               @limit("100/min", key="account")
                                                         def sync(account): ...

Law: a refusal is no try: the task's own `max_retries` and `retries` stay as they are. It comes back with its identity, its
queue and its place in chains and chords, no earlier than `retry_after` unless that is longer than brokers keep a message.
What can never succeed (`cost_too_large`), and what runs in the caller's process, raises the Refused. A group of them, as of
tasks of asyncio, and the error of a guarded client of gRPC are refusals too.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial, wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from celery import Task, current_task
from celery.exceptions import Reject, Retry
from kombu.utils.json import register_type

from guardrail.adapters.clients.holds import Asked
from guardrail.adapters.escapes import refusal_of
from guardrail.core.verdict import Decision, Verdict

if TYPE_CHECKING:
    from celery.app.task import Context

    from guardrail.errors import Refused

    AnyTask = Task[..., Any]
else:
    AnyTask = Task  # takes no parameters when it runs

__all__ = ["RetryRefused", "retry_refused"]

P = ParamSpec("P")
R = TypeVar("R")

HEADER = "guardrail-refusals"
LONGEST = 1800  # seconds: Redis and SQS hand a message out again that is held for longer than their visibility timeout
WIDEST = 32  # times `retry_after`, over which the tasks of a long queue are spread


class RetryRefused(AnyTask):
    """Be the base of tasks that come back when they are refused: `@app.task(base=RetryRefused)`.

    Attributes:
        max_refusals: How often a task comes back before the Refused is its result; None: as often as it takes. An option
            of `@app.task` as well.
    """

    abstract = True
    max_refusals: int | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        checked_most(cls.max_refusals)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.run(*args, **kwargs)
        except Exception as error:
            refused = refusal_of(error)
            if refused is None:
                raise
            raise postponed(self, refused, self.max_refusals) from error


@overload
def retry_refused(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def retry_refused(*, max_refusals: int | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def retry_refused(function: Callable[..., Any] | None = None, /, *, max_refusals: int | None = None) -> Any:
    """Let a task come back when it is refused. Stands directly under `@app.task`, above the decorators of guardrail.

    Args:
        max_refusals: How often a task comes back before the Refused is its result; None: as often as it takes.

    Raises:
        TypeError: `max_refusals` is no whole number; so ValueError where it is below 0.
    """
    most = checked_most(max_refusals)

    def decorate(body: Callable[P, R]) -> Callable[P, R]:
        @wraps(body)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return body(*args, **kwargs)
            except Exception as error:
                refused = refusal_of(error)
                if refused is None:
                    raise
                raise postponed(current_task, refused, most) from error

        vars(run)["__signature__"] = signature(body)  # Celery checks the arguments of a task when it is sent
        return run

    return decorate if function is None else decorate(function)


def postponed(task: Any, refused: Refused, max_refusals: int | None) -> BaseException:
    """Send a refused task again for later, and return what its present run has to raise."""
    if not task or task.request.called_directly or task.request.is_eager or refused.reason == "cost_too_large":
        return refused
    request: Context = task.request
    refusals = refusals_of(request) + 1
    if max_refusals is not None and refusals > max_refusals:
        return refused
    seconds = countdown(task.default_retry_delay if refused.retry_after is None else refused.retry_after, refusals)
    again = task.signature_from_request(
        request, countdown=seconds, headers={**(request.headers or {}), HEADER: refusals}
    )
    try:
        again.apply_async()
    except task.OperationalError as error:  # the broker is away: what Celery's own retry makes of it
        return Reject(error, requeue=False)
    when: Any = seconds  # declared as a `numbers.Real`, which no type checker takes a float for
    return Retry(exc=refused, when=when, sig=again)


def decision_of(kind: type[Decision], values: dict[str, Any]) -> Decision:
    """Return the decision that `Decision.to_dict` has written."""
    return kind(**{**values, "verdicts": tuple(Verdict(**verdict) for verdict in values["verdicts"])})


# A Refused that is the result of a task travels as JSON, and what it carries comes back as it was.
for kind in (Asked, Decision):  # what is both is the first
    register_type(kind, f"guardrail.{kind.__name__}", Decision.to_dict, partial(decision_of, kind))


def checked_most(max_refusals: object) -> int | None:
    """Return *max_refusals*.

    Raises:
        TypeError: It is no whole number.
        ValueError: It is below 0.
    """
    if max_refusals is None:
        return None
    if not isinstance(max_refusals, int) or isinstance(max_refusals, bool):
        raise TypeError(f"max_refusals must be a whole number, or None for no end, got {max_refusals!r}")
    if max_refusals < 0:
        raise ValueError(f"max_refusals must be at least 0, got {max_refusals}")
    return max_refusals


def refusals_of(request: Context) -> int:
    """Return how often a task was refused before."""
    counted = (request.headers or {}).get(HEADER, 0)
    return counted if isinstance(counted, int) else 0


def countdown(retry_after: float, refusals: int) -> float:
    """Return when to come back: at `retry_after` the first time, then spread ever wider behind it.

    All that are refused at one instant are told the same time, at which only the first of them gets in.
    """
    spread = retry_after * min(2 ** min(refusals - 1, 16) - 1, WIDEST)
    return min(retry_after + random.uniform(0, spread), LONGEST)  # noqa: S311  # nothing secret is drawn
