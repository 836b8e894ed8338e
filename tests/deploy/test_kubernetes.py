"""The manifests: rules that guardrail takes, and what it is told by environment and folders."""

import pytest
import yaml

from guardrail import Guard
from guardrail.telemetry.prometheus.files import ENVIRONMENT
from tests.deploy.prometheus import DEPLOY

FOLDER = DEPLOY / "kubernetes"


def manifest(name):
    return yaml.safe_load((FOLDER / name).read_text())


@pytest.fixture
def pod():
    return manifest("deployment.yaml")["spec"]["template"]


def test_the_rules_are_taken_as_they_are_mounted(tmp_path):
    for name, text in manifest("rules.yaml")["data"].items():
        (tmp_path / name).write_text(text)
    with Guard(tmp_path) as guard:
        assert {"per-client", "payments"} == {rule.name for rule in guard.rules}
        assert ["per-client"] == [one.rule for one in guard.peek("GET /v1/orders", {"client.ip": "192.0.2.1"}).verdicts]
        assert ["payments"] == [one.rule for one in guard.peek("client GET payments.example.com").verdicts]


def test_folders_are_mounted_where_the_environment_says(pod):
    (container,) = pod["spec"]["containers"]
    environment = {one["name"]: one["value"] for one in container["env"]}
    mounts = {one["name"]: one for one in container["volumeMounts"]}
    volumes = {one["name"]: one for one in pod["spec"]["volumes"]}
    assert {"GUARDRAIL_RULES": mounts["rules"]["mountPath"], ENVIRONMENT: mounts["metrics"]["mountPath"]} == environment
    assert not any("subPath" in mount for mount in mounts.values())
    assert manifest("rules.yaml")["metadata"]["name"] == volumes["rules"]["configMap"]["name"]
    assert "emptyDir" in volumes["metrics"]


def test_whoever_scrapes_finds_the_port(pod):
    (container,) = pod["spec"]["containers"]
    (port,) = container["ports"]
    (endpoint,) = manifest("podmonitor.yaml")["spec"]["podMetricsEndpoints"]
    annotations = pod["metadata"]["annotations"]
    assert port["name"] == endpoint["port"]
    assert str(port["containerPort"]) == annotations["prometheus.io/port"]
    assert endpoint["path"] == annotations["prometheus.io/path"] == "/metrics"
    assert pod["metadata"]["labels"] == manifest("podmonitor.yaml")["spec"]["selector"]["matchLabels"]
