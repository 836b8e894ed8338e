"""Reach: how long it takes to a server and back, held against the store's timeout, and whose clock is right.

Law: a clock is called wrong only if it is, however long the answer was on its way.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, NamedTuple

from guardrail.cli.doctor.finding import Finding, Severity, fine
from guardrail.cli.words import lasting

if TYPE_CHECKING:
    from guardrail.cli.doctor.visit import Visit
    from guardrail.stores.resp import Answer

TIMES = 20
AT_MOST_US = 2_000_000
WRONG_US = 1_000_000
_ROOM = 4  # a timeout that is so many times the longest round trip seen


class Trip(NamedTuple):
    """Hold one question and its answer.

    Attributes:
        took_us: From asking to the answer.
        ahead_us: How far the server's clock was ahead of ours when half of that was over; None: it did not say.
    """

    took_us: int
    ahead_us: int | None


def trips(visit: Visit) -> list[Trip]:
    """Ask for the time again and again, but not for long: a command that every user of a store may run."""
    made: list[Trip] = []
    while len(made) < TIMES and sum(trip.took_us for trip in made) < AT_MOST_US:
        sent_us, began = time_ns() // 1000, perf_counter_ns()
        answer = visit.ask(b"TIME")
        took_us = max(1, (perf_counter_ns() - began) // 1000)
        server_us = _time_us(answer)
        made.append(Trip(took_us, None if server_us is None else server_us - sent_us - took_us // 2))
    return made


def connecting_finding(connecting_us: int, dial_us: int, timeout_us: int) -> Finding:
    """Judge how long connecting took.

    Args:
        dial_us: After this a store gives an attempt up.
        timeout_us: After this a call does not wait for it any more.
    """
    code, measured = "store.connection", {"connect_ms": connecting_us / 1000}
    found = f"connected in {milliseconds(connecting_us)}"
    if connecting_us > dial_us:
        means = f"a store gives up after {lasting(dial_us)}, and would hardly ever be connected"
        advice = "find out what is slow: looking up the name, the network, TLS or the server"
        return Finding(Severity.ERROR, code, found, means, advice, measured)
    if connecting_us > timeout_us:
        means = "the first calls of a process do not wait that long: they are decided by on_store_error"
        advice = f"let it be, or write timeout={_longer(connecting_us)} into the store's URL"
        return Finding(Severity.NOTE, code, f"{found}; the timeout is {lasting(timeout_us)}", means, advice, measured)
    return fine(code, found, measured)


def round_trip_finding(made: Sequence[Trip], timeout_us: int) -> Finding:
    """Hold round trips against the store's timeout."""
    best_us, worst_us = min(trip.took_us for trip in made), max(trip.took_us for trip in made)
    code = "store.round-trip"
    found = f"a round trip takes {milliseconds(best_us)} at best, {milliseconds(worst_us)} at worst of {len(made)}"
    measured = {
        "best_ms": best_us / 1000,
        "worst_ms": worst_us / 1000,
        "times": len(made),
        "timeout_ms": timeout_us / 1000,
    }
    if worst_us * 2 < timeout_us:
        return fine(code, f"{found}; the timeout is {lasting(timeout_us)}", measured)
    found = f"{found}, and a call waits for {lasting(timeout_us)} at most"
    advice = f"put the server nearer, or write timeout={_longer(worst_us)} into the store's URL"
    if best_us >= timeout_us:
        means = (
            "no call is ever answered in time: limits are decided by on_store_error, and the server counts for nothing"
        )
        return Finding(Severity.ERROR, code, found, means, advice, measured)
    if worst_us >= timeout_us:
        means = "some calls are not answered in time: they are decided by on_store_error"
        return Finding(Severity.WARNING, code, found, means, advice, measured)
    means = "a busy moment of the network or the server is enough for calls that are decided by on_store_error"
    return Finding(Severity.NOTE, code, found, means, advice, measured)


def clock_finding(made: Sequence[Trip]) -> Finding | None:
    """Hold the server's clock against ours; None: the server did not tell the time."""
    timed = [(trip.took_us, trip.ahead_us) for trip in made if trip.ahead_us is not None]
    if not timed:
        return None
    took_us, ahead_us = min(timed)
    unsure_us = (took_us + 1) // 2  # the answer was on its way for at least nothing and at most all of that
    code, measured = "store.clock", {"ahead_ms": ahead_us / 1000, "uncertainty_ms": unsure_us / 1000}
    which = "ahead of" if ahead_us > 0 else "behind"
    if abs(ahead_us) - unsure_us < WRONG_US:
        return fine(code, f"the server's clock agrees with this machine's, to {milliseconds(abs(ahead_us))}", measured)
    return Finding(
        Severity.WARNING,
        code,
        f"the server's clock is {lasting(abs(ahead_us) // 1000 * 1000)} {which} this machine's",
        "limits are right all the same, because the server's time counts; but windows begin at other times while it is away,"
        " times in the logs of both cannot be compared, and tokens and certificates may seem to have expired",
        "let NTP set both clocks: see timedatectl or chronyc tracking on each machine",
        measured,
    )


def milliseconds(time_us: int) -> str:
    """Say a measured time."""
    return f"{time_us / 1000:,.{2 if time_us < 10_000 else 0}f} ms"


def _longer(time_us: int) -> str:
    """Return a timeout with room above a measured time: a round number of milliseconds."""
    return f"{min(60_000, -(-time_us * _ROOM // 50_000) * 50)}ms"


def _time_us(answer: Answer) -> int | None:
    match answer:
        case [bytes() as seconds, bytes() as rest] if seconds.isdigit() and rest.isdigit() and len(seconds + rest) < 30:
            return int(seconds) * 1_000_000 + int(rest)
        case _:
            return None
