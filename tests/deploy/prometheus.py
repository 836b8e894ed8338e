"""A real Prometheus on the loopback, until the block ends, and the metrics that it could ask for."""

import json
import re
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from tests.ports import free_port

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yml"
DASHBOARD = DEPLOY / "grafana" / "guardrail.json"
PATIENCE = 30
MISSING = "no prometheus and promtool: `apt-get install prometheus` brings them"

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None, reason=MISSING
)

CONFIGURATION = """
global: {{scrape_interval: 200ms, evaluation_interval: 200ms}}
rule_files: [{rules}]
scrape_configs:
{jobs}
"""
JOB = """
  - job_name: {name}
    static_configs: [{{targets: ["{address}"]}}]
"""


def metrics_in(expression):
    """Return the metrics of ours that a query names; what recording rules make of them has a colon before it."""
    return set(re.findall(r"(?<![:\w])guardrail_\w+", expression))


def queries_of_the_dashboard():
    """Return every query, with its panel's title, for a job named `full`."""
    chosen = {"$job": "full", "$instance": ".*", "$__rate_interval": "5s", "$__range": "1m"}
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"]
            for name, value in chosen.items():
                query = query.replace(name, value)
            yield panel["title"], query


class Prometheus:
    """One that runs, asked over its HTTP API."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"

    def api(self, what, **arguments):
        with urlopen(f"{self.url}/api/v1/{what}?{urlencode(arguments)}", timeout=PATIENCE) as answer:
            return json.load(answer)["data"]

    def query(self, expression):
        """Return the values of an instant query, by their labels."""
        found = self.api("query", query=expression)["result"]
        return {tuple(sorted(one["metric"].items())): float(one["value"][1]) for one in found}

    def until(self, looked, expected):
        """Look until what is expected is seen."""
        until = monotonic() + PATIENCE
        while (found := looked()) != expected:
            assert monotonic() < until, found
            sleep(0.05)  # it scrapes by its own clock


@contextmanager
def running(folder, **jobs):
    """Run a Prometheus with our rules that scrapes the addresses of these jobs."""
    port = free_port()
    lines = "".join(JOB.format(name=name, address=address) for name, address in jobs.items())
    configuration = folder / "prometheus.yml"
    configuration.write_text(CONFIGURATION.format(rules=RULES, jobs=lines))
    command = [
        "prometheus",
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        try:
            found = Prometheus(port)
            until = monotonic() + PATIENCE
            while not _answers(found):
                assert process.poll() is None, (folder / "log").read_text()
                assert monotonic() < until, (folder / "log").read_text()
                sleep(0.05)
            yield found
        finally:
            process.kill()
            process.wait(PATIENCE)


def _answers(prometheus):
    try:
        with urlopen(f"{prometheus.url}/-/ready", timeout=PATIENCE) as answer:
            return answer.status == 200
    except (URLError, OSError):
        return False
