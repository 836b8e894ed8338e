"""The default guard, behind the module-level decorators.

Law: it is made at the first call that needs it, from the environment, unless `configure` has made it before. Functions
decorated earlier follow whichever guard is the default one at the time of the call.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from guardrail.admission.host import Host
from guardrail.decorators.face import Decorators
from guardrail.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardrail.rulebook import RuleSource


def configure(rules: RuleSource | None = None, **options: Any) -> Guard:
    """Make the guard behind the module-level decorators, and return it.

    Args:
        options: Those of Guard.

    Raises:
        RuleError: The rules cannot be used; the default guard stays as it was.
    """
    before = _host.desk
    guard = Guard(rules, _host=_host, **options)
    if isinstance(before, Guard):
        before.close()
    return guard


def default_guard() -> Guard:
    """Return the guard behind the module-level decorators, making it from the environment if there is none yet."""
    guard = _host.current()
    assert isinstance(guard, Guard)
    return guard


@contextmanager
def substituted(**options: Any) -> Iterator[Guard]:
    """Put a fresh default guard in place inside the block, for tests; then the one that was there, if any."""
    before = _host.desk
    with Guard(_host=_host, **options) as guard:
        try:
            yield guard
        finally:
            if isinstance(before, Guard):
                before.take_seat()
            else:
                with _host.seating:
                    _host.desk = _host.epoch = None


_host = Host(configure)
_decorators = Decorators(_host)

limit = _decorators.limit
breaker = _decorators.breaker
bulkhead = _decorators.bulkhead
guarded = _decorators.guarded
