"""Real servers with several workers behind one port, in multi-process mode, until the block ends."""

import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic, sleep

from tests.ports import free_port
from tests.telemetry.prometheus.scene import series

ROOT = Path(__file__).parents[3]
HERE = "tests.telemetry.prometheus"
PATIENCE = 30
WORKERS = 2

GUNICORN = [
    *"-m gunicorn --log-level warning".split(),
    "-w",
    str(WORKERS),
    "-c",
    str(Path(__file__).parent / "gunicorn_conf.py"),
]
COMMANDS = {
    "gunicorn": [*GUNICORN, "-b", "127.0.0.1:{port}", f"{HERE}.served_wsgi:app"],
    "gunicorn --preload": [*GUNICORN, "--preload", "-b", "127.0.0.1:{port}", f"{HERE}.served_wsgi:app"],
    "gunicorn with uvicorn workers": [
        *GUNICORN,
        "-k",
        "uvicorn_worker.UvicornWorker",
        "-b",
        "127.0.0.1:{port}",
        f"{HERE}.served_asgi:app",
    ],
    "uvicorn --workers": [
        *"-m uvicorn --log-level warning --port {port} --workers".split(),
        str(WORKERS),
        f"{HERE}.served_asgi:app",
    ],
}


class Served:
    """A server and its workers, seen from outside."""

    def __init__(self, port):
        self.port = port

    def get(self, path):
        """Return what is answered, over a connection of its own: any worker may take it."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            assert 200 == answer.status, body
            return body
        finally:
            connection.close()

    def metrics(self):
        return series(self.get("/metrics").decode())

    def counted(self):
        """Return how many calls are shown; where all is settled, these are all."""
        return int(self.metrics().get(SERIES["allowed"], 0))

    def work(self, times):
        """Let *times* calls in, and return how many each worker took."""
        return Counter(int(self.get("/work")) for _ in range(times))

    def work_everywhere(self):
        """Go on until all workers have had something to do; return how many calls each took."""
        done = Counter()
        while len(done) < WORKERS:
            done += self.work(5)
        return done

    def settled(self, **expected):
        """Scrape until the *expected* numbers are shown. No call may be shown twice on the way there."""
        until = monotonic() + PATIENCE
        while True:
            metrics = self.metrics()
            found = {name: metrics.get(SERIES[name], 0) for name in expected}
            if expected == found:
                return
            assert found.get("allowed", 0) <= expected.get("allowed", 0), (expected, found)
            assert monotonic() < until, (expected, found)
            sleep(0.02)  # files are written once a second, and nothing tells of it


SERIES = {
    "allowed": "guardrail_decisions_total{outcome=allow,resource=work,rule=work}",
    "closed": "guardrail_breaker_state{breaker=behind,state=closed}",
    "succeeded": "guardrail_breaker_calls_total{breaker=behind,outcome=success}",
    "inside": "guardrail_bulkhead_in_use{bulkhead=places}",
    "places": "guardrail_bulkhead_capacity{bulkhead=places}",
}


@contextmanager
def serving(kind, folder):
    """Run a server of this kind; its workers keep their numbers in *folder*."""
    port = free_port()
    command = [sys.executable, *(word.format(port=port) for word in COMMANDS[kind])]
    paths = [str(ROOT / "src"), str(ROOT)]
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder), "PYTHONPATH": os.pathsep.join(paths)}
    process = subprocess.Popen(command, env=environment, cwd=folder, start_new_session=True)
    try:
        served = Served(port)
        until = monotonic() + PATIENCE
        while True:
            try:
                served.metrics()
                break
            except OSError:
                assert process.poll() is None, "the server does not start"
                assert monotonic() < until
                sleep(0.02)
        served.settled(closed=WORKERS)  # gunicorn forgets to end a worker that is not up yet
        yield served
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
