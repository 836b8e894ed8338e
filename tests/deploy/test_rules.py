"""Alerts and recording rules: each fires when it should, and names metrics that there are."""

import re
import subprocess

import pytest
import yaml

from guardrail.telemetry.prometheus.metrics import METRICS
from tests.deploy.prometheus import RULES, metrics_in, needs_prometheus, queries_of_the_dashboard
from tests.telemetry.prometheus.scene import Seen, of, scraped
from tests.telemetry.prometheus.test_metrics import EVERYTHING

GROUPS = yaml.safe_load(RULES.read_text())["groups"]
EVERY = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = [rule for rule in EVERY if "alert" in rule]
RECORDED = {rule["record"] for rule in EVERY if "record" in rule}
SHOWN = {place.partition("{")[0] for place in scraped(Seen(EVERYTHING))}


@needs_prometheus
@pytest.mark.parametrize("words", ["check rules rules.yml", "test rules rules_test.yml"])
def test_promtool_is_content(words):
    run = subprocess.run(["promtool", *words.split()], cwd=RULES.parent, capture_output=True, text=True)
    assert "SUCCESS" in run.stdout + run.stderr
    assert 0 == run.returncode, run.stdout + run.stderr


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_names_metrics_that_there_are(rule):
    expression = rule["expr"]
    assert metrics_in(expression) <= SHOWN
    assert set(re.findall(r"\w+:\w+:\w+", expression)) <= RECORDED


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_asks_for_labels_and_words_that_there_are(rule):
    for name, matchers in re.findall(r"(guardrail_\w+)\{([^}]*)\}", rule["expr"]):
        for label, word in re.findall(r'(\w+)(?:!=|=~|!~|=)"([^"]*)"', matchers):
            values = {re.search(rf"[{{,]{label}=([^,}}]*)", place)[1] for place in of(scraped(Seen(EVERYTHING)), name)}
            assert any(re.fullmatch(word, value) for value in values) or word == "__other__"


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_how_urgent_it_is(rule):
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert re.match(r"\{\{ \$labels\.(job|instance) \}\}: ", rule["annotations"]["summary"])
    assert rule["annotations"]["description"].endswith(".")


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_is_tested(rule):
    assert f"alertname: {rule['alert']}\n" in RULES.with_name("rules_test.yml").read_text()


def test_metrics_are_found_in_queries():
    expression = 'sum(rate(guardrail_a_total{x="guardrail"}[5m])) / job:guardrail_b:sum > guardrail_c'
    assert {"guardrail_a_total", "guardrail_c"} == metrics_in(expression)


def test_every_metric_is_of_use_to_somebody():
    named = set().union(*(metrics_in(query) for _, query in queries_of_the_dashboard()))
    assert [] == [metric.name for metric in METRICS if not any(name.startswith(metric.name) for name in named)]
