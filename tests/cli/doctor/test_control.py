"""What `guardrail doctor` says of the control endpoint that the environment asks for."""

import pytest

from tests.cli.doctor.scene import seen


@pytest.fixture
def environment(monkeypatch):
    return monkeypatch.setenv


TOKEN = "canary-token-0123456789"

#   GUARDRAIL_CONTROL        its token   worse than ok                                                    said
CONTROL = [
    ("", "", {}, "no control endpoint is asked for"),
    ("127.0.0.1:9911-9918", TOKEN, {"control.ports": "note"}, "8 ports, for as many processes"),
    ("127.0.0.1:9911", TOKEN, {"control.ports": "note"}, "1 port, for as many processes"),
    ("127.0.0.1:0", TOKEN, {"control.ports": "note"}, "takes any free port"),
    (
        "127.0.0.1:9911",
        "canary",
        {"control.ports": "note", "control.token": "warning"},
        "at least 16 characters, got 6",
    ),
    (
        "127.0.0.1:9911",
        "",
        {"control.ports": "note", "control.token": "warning"},
        "GUARDRAIL_CONTROL_TOKEN must be set",
    ),
    ("0.0.0.0:9911", TOKEN, {"control.address": "warning"}, "GUARDRAIL_CONTROL must be on loopback"),
]


@pytest.mark.parametrize(("address", "token", "worse", "said"), CONTROL)
def test_how_the_service_can_be_reached(environment, address, token, worse, said):
    environment("GUARDRAIL_CONTROL", address)
    environment("GUARDRAIL_CONTROL_TOKEN", token)
    report = seen()
    assert worse == {code: one for code, one in report.worse_than("ok").items() if code.startswith("control.")}
    assert said in report.text
    assert "canary" not in report.text


def test_how_many_ports_it_takes_is_said(environment):
    environment("GUARDRAIL_CONTROL", "127.0.0.1:9911-9912")
    assert "give each process a port, and one more where a parent preloads" in seen().sentence("control.ports")
