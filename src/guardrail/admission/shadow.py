"""Shadow: rules that only watch. They decide and charge by themselves once the call is admitted, and refuse nothing.

Law: a call goes the same way with them and without.
"""

from __future__ import annotations

from typing import assert_never

from guardrail.admission.breaker_gate import AskedBreaker
from guardrail.admission.bulkhead_gate import AskedBulkhead
from guardrail.admission.limit_gate import AskedLimit

Asked = AskedBreaker | AskedBulkhead | AskedLimit


def watch(asked: Asked, now_us: int) -> None:
    """Let a rule that never refuses decide and charge by itself."""
    match asked:
        case AskedBreaker():
            if asked.ask(now_us):
                asked.admit(now_us)
        case AskedBulkhead():
            asked.take(now_us)
        case AskedLimit():
            if asked.ask(now_us, 0).allowed:
                asked.spend(now_us)
            asked.conclude(now_us)
        case _:
            assert_never(asked)


def look_on(asked: Asked, now_us: int) -> None:
    """Show what a rule that never refuses would decide."""
    match asked:
        case AskedBreaker():
            asked.peek(now_us)
        case AskedBulkhead():
            asked.ask(now_us)
        case AskedLimit():
            if asked.ask(now_us, 0, peek=True).allowed:
                asked.foresee(now_us)
            asked.conclude(now_us)
        case _:
            assert_never(asked)
