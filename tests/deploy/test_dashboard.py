"""The dashboard is what its script makes of its tables, and asks for metrics that there are."""

import json
import subprocess
import sys

import pytest
import yaml

from tests.deploy.prometheus import DASHBOARD, metrics_in, needs_prometheus, queries_of_the_dashboard
from tests.deploy.test_rules import SHOWN

MADE = json.loads(DASHBOARD.read_text())
PANELS = MADE["panels"]
QUERIES = list(queries_of_the_dashboard())


def test_the_file_is_what_the_script_makes():
    run = subprocess.run([sys.executable, "-B", "make.py"], cwd=DASHBOARD.parent, capture_output=True, text=True)
    assert DASHBOARD.read_text() == run.stdout, (
        run.stderr or "python deploy/grafana/make.py > deploy/grafana/guardrail.json"
    )


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_a_panel_asks_for_metrics_that_there_are(title, query):
    assert metrics_in(query) <= SHOWN
    assert metrics_in(query)


@needs_prometheus
def test_prometheus_understands_every_query(tmp_path):
    rules = [{"record": f"panel:{number}", "expr": query} for number, (_, query) in enumerate(QUERIES)]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    run = subprocess.run(["promtool", "check", "rules", "--lint=none", path], capture_output=True, text=True)
    assert 0 == run.returncode, run.stdout + run.stderr


def test_no_panel_lies_on_another_one():
    taken = set()
    for panel in PANELS:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        fields = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & fields
        taken |= fields


def test_panels_have_numbers_and_titles_of_their_own():
    assert len(PANELS) == len({panel["id"] for panel in PANELS}) == len({panel["title"] for panel in PANELS})


def test_what_a_query_leaves_open_can_be_chosen():
    names = {variable["name"] for variable in MADE["templating"]["list"]}
    assert {"source", "job", "instance"} == names
