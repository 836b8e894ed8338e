"""Scripting: whether our own scripts run there and answer what they should, tried on keys that are removed again.

Law: what is tried has nothing to do with anybody's limit, and expires within some seconds even if it cannot be removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_hex
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from guardrail.cli.doctor.finding import Finding, Severity, fine
from guardrail.cli.doctor.reach import milliseconds
from guardrail.core.fixed_window import FixedWindow
from guardrail.core.leaky_bucket import LeakyBucket
from guardrail.core.sliding_log import SlidingLog
from guardrail.core.sliding_window import SlidingWindow
from guardrail.core.token_bucket import TokenBucket
from guardrail.stores import scripts
from guardrail.stores.contact import Fault, fault_of_reply, rights_of
from guardrail.stores.frames import Frames
from guardrail.stores.protocol import Check
from guardrail.stores.resp import ErrorReply, command

if TYPE_CHECKING:
    from guardrail.cli.doctor.visit import Visit
    from guardrail.core.limit import Limit
    from guardrail.stores.url import StoreUrl

_S = 1_000_000
LIMITS: dict[str, Limit[Any]] = {
    "token_bucket": TokenBucket(1, _S, 1),
    "leaky_bucket": LeakyBucket(1, _S, _S),
    "sliding_window": SlidingWindow(1, _S),
    "fixed_window": FixedWindow(1, _S),
    "sliding_log": SlidingLog(1, _S),
}
_LIFETIME_MS = b"1000"
_ODD = Fault("script", "they answer what they never say")


def scripting_finding(visit: Visit, url: StoreUrl) -> Finding:
    """Let one call be decided by every algorithm at once, and a process be counted."""
    frames = Frames(url.prefix)
    tag = f"{{doctor-{token_hex(8)}}}"
    checks = [Check(f"{tag}:{name}", limit, 1) for name, limit in LIMITS.items()]
    began = perf_counter_ns()
    wrong = _decide(visit, url, frames, checks)
    took_us = (perf_counter_ns() - began) // 1000
    if wrong is None:
        wrong = _count_processes(visit, url, f"{tag}:processes")
        keys = [*(check.key for check in checks), f"{tag}:processes"]
        visit.send(frames.frame([frames.forget_order(keys)], None), "EVALSHA")
    code = "store.scripts"
    if wrong is None:
        found = f"guardrail's scripts run there; a decision took {milliseconds(took_us)}"
        return fine(code, found, {"decision_ms": took_us / 1000})
    found, _, advice = wrong.message.rpartition("; ")
    return Finding(
        Severity.ERROR,
        code,
        f"guardrail's scripts do not run there: {(found or advice).rstrip('.')}",
        "nothing can be counted there: each limit is decided by its on_store_error",
        advice if found else "see that it is a Redis or Valkey server, and what its log says",
        {"fault": wrong.word},
    )


def _decide(visit: Visit, url: StoreUrl, frames: Frames, checks: Sequence[Check]) -> Fault | None:
    """Say what is wrong with the answer to a call that all limits allow."""
    order = frames.admit_order(checks, peek=False)
    answer = visit.run(scripts.admit(), frames.frame([order], None))
    if isinstance(answer, ErrorReply):
        return fault_of_reply(answer.text, rights_of(url.prefix, url.settings))
    try:
        (reply,) = frames.replies(answer if isinstance(answer, bytes) else b"", [order])
    except ValueError:
        return _ODD
    return None if reply is not None and reply.allowed else _ODD


def _count_processes(visit: Visit, url: StoreUrl, key: str) -> Fault | None:
    """Say what is wrong with the answer to the first beat of a process."""
    heartbeat = scripts.heartbeat()
    full_key = f"{url.prefix}:{key}".encode()
    words = command(b"EVALSHA", heartbeat.sha.encode(), b"1", full_key, b"doctor", _LIFETIME_MS)
    answer = visit.run(heartbeat, words)
    if isinstance(answer, ErrorReply):
        fault = fault_of_reply(answer.text, rights_of(url.prefix, url.settings))
        return None if fault.word == "rights" else fault  # which has been said by then
    return None if answer == 1 else _ODD
