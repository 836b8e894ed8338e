"""Write JSON lines with structlog: the service's own, and those of guardrail with their fields for machines.

The loggers `guardrail.*` are the standard library's, so one handler serves both. A service adds its time stamp to `common`,
and inside of an OpenTelemetry span the lines have `trace_id` and `span_id` by themselves.

Prints:
    {"event": "started", "level": "info", "logger": "shop", "workers": 2}
    {"event": "refused orders.create: 2/min exceeded by rule 'per-user'; retry after 30 s", "guardrail_event": "call_refused", "guardrail_kind": "limit", "guardrail_outcome": "refuse", "guardrail_reason": "rate", "guardrail_resource": "orders.create", "guardrail_retry_after": 30.0, "guardrail_rule": "per-user", "guardrail_suppressed": 0, "level": "info", "logger": "guardrail.refusals"}
    {"event": "breaker 'bank' went from closed to open: 2 failed in a row", "guardrail_breaker": "bank", "guardrail_event": "breaker_moved", "guardrail_from_state": "closed", "guardrail_reason": "2 failed in a row", "guardrail_rule": "bank", "guardrail_suppressed": 0, "guardrail_to_state": "open", "level": "warning", "logger": "guardrail.breakers"}
"""

import logging
import sys

import structlog
from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level, add_logger_name

from guardrail import Guard
from guardrail.testing import FakeClock

common = [add_log_level, add_logger_name]  # and structlog.processors.TimeStamper(fmt="iso")

handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(
    ProcessorFormatter(
        processors=[ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer(sort_keys=True)],
        foreign_pre_chain=[*common, ExtraAdder()],  # what libraries give their records becomes fields
    )
)
logging.basicConfig(handlers=[handler], level=logging.INFO)
structlog.configure(
    processors=[*common, ProcessorFormatter.wrap_for_formatter], logger_factory=structlog.stdlib.LoggerFactory()
)

structlog.get_logger("shop").info("started", workers=2)

guard = Guard(
    [
        {"name": "per-user", "resource": "orders.create", "kind": "limit", "rate": "2/min", "key": "user"},
        {"name": "bank", "resource": "bank.pay", "kind": "breaker", "consecutive_failures": 2},
    ],
    clock=FakeClock(),
)
for _ in range(
    3
):  # of a thousand refusals there is one line a second for each rule, and it says how many were left out
    guard.try_enter("orders.create", {"user": "u1"}).exit()
for _ in range(2):
    guard.try_enter("bank.pay").exit(failed=True)
