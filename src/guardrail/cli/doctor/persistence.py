"""Persistence: what a server that is started again still knows of limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from guardrail.cli.doctor.finding import Finding, Severity, fine
from guardrail.cli.words import lasting

if TYPE_CHECKING:
    from guardrail.cli.doctor.facts import Facts
    from guardrail.rules.model import LimitRule

LONG_US = 3_600_000_000  # a shorter period is over before most would notice


def persistence_findings(facts: Facts, limits: Sequence[LimitRule]) -> Iterator[Finding]:
    """Look at what is written to disk, and whether that goes well.

    Args:
        limits: The shared limits in files.
    """
    if facts.number("loading"):
        yield Finding(
            Severity.ERROR,
            "store.loading",
            "it has just started, and still reads its data",
            "nothing can be counted until it has: each limit is decided by its on_store_error",
            "wait, and look again",
        )
    if "err" in {facts.text("rdb_last_bgsave_status"), facts.text("aof_last_write_status")}:
        yield Finding(
            Severity.WARNING,
            "store.saving",
            "it could not write its data to disk the last time",
            "unless it is told otherwise (stop-writes-on-bgsave-error no), it refuses every write until it can",
            "see the server's log: is the disk full?",
        )
    appended = facts.number("aof_enabled")
    if appended is None:
        return
    code, measured = "store.persistence", {"appendonly": bool(appended)}
    long_us = max([rule.rate.period_us for rule in limits], default=0)
    if appended:
        yield fine(code, "appendonly is on: a restart forgets next to nothing", measured)
    elif long_us < LONG_US:
        yield fine(
            code, "appendonly is off: after a restart limits may be full again, until their next period", measured
        )
    else:
        yield Finding(
            Severity.NOTE,
            code,
            f"appendonly is off, and there are limits over {lasting(long_us)}",
            "a restart forgets what was used since the last snapshot, and with none everything: limits are full again",
            "set appendonly to yes, if such limits are quotas that somebody pays for",
            measured,
        )
