"""Real workers of real servers: what they count is added up, whichever of them is asked, and whatever becomes of them."""

import os
import signal
from contextlib import contextmanager, suppress
from threading import Thread
from time import monotonic, sleep

import pytest

from tests.telemetry.prometheus.served import COMMANDS, PATIENCE, WORKERS, serving

CALLS = 60


@pytest.fixture(scope="module", params=COMMANDS)
def served(request, tmp_path_factory):
    """A server of each kind, for all tests; each leaves it settled."""
    with serving(request.param, tmp_path_factory.mktemp("metrics")) as found:
        yield found


def until(happened):
    """Look until something has happened that nothing tells of."""
    end = monotonic() + PATIENCE
    while not happened():
        assert monotonic() < end
        sleep(0.01)


def ended(process, how):
    """End a worker, and return once it is no more."""
    os.kill(process, how)

    def is_gone():
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        return False

    until(is_gone)


@contextmanager
def held(served, flag):
    """Let one call stay inside of a bulkhead; give the process that it is in."""

    def stay():
        with suppress(OSError):  # its worker may be killed
            served.get(f"/hold?{flag}")

    caller = Thread(target=stay)
    caller.start()
    until(lambda: flag.exists() and flag.read_text())
    yield int(flag.read_text())
    flag.unlink()
    caller.join(PATIENCE)
    assert not caller.is_alive()


def test_workers_are_added_up_and_the_dead_stay_counted(served):
    total = served.counted()
    done = served.work(CALLS) + served.work_everywhere()
    total += done.total()
    assert WORKERS == len(done)
    served.settled(allowed=total, succeeded=total, closed=WORKERS, places=5 * WORKERS)

    killed = next(iter(done))
    ended(killed, signal.SIGKILL)
    again = served.work(CALLS) + served.work_everywhere()
    total += again.total()
    assert killed not in again
    served.settled(allowed=total, succeeded=total, closed=WORKERS, places=5 * WORKERS)

    total += served.work(CALLS).total()
    ended(next(iter(again)), signal.SIGTERM)  # nobody waits for it to write
    served.settled(allowed=total, succeeded=total, closed=WORKERS, places=5 * WORKERS)


def test_who_is_inside_is_seen_from_another_worker(served, tmp_path):
    with held(served, tmp_path / "inside"):
        served.settled(inside=1)
    served.settled(inside=0)


def test_who_was_inside_of_a_worker_that_died_is_not_counted(served, tmp_path):
    with held(served, tmp_path / "inside") as worker:
        served.settled(inside=1)
        ended(worker, signal.SIGKILL)
        served.settled(inside=0, closed=WORKERS)
