"""A service that knows nothing of the endpoint has one where its environment asks for it."""

import os
import subprocess
import sys

import pytest

from tests.cli.shell import ROOT, python
from tests.control.scene import TOKEN, ask
from tests.ports import free_ports

SERVICE = """
import sys
import guardrail

first = guardrail.Guard([{"name": "first", "resource": "r", "kind": "limit", "rate": "1/s"}])
guardrail.configure([{"name": "second", "resource": "r", "kind": "limit", "rate": "1/s"}])
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""


class Service:
    """A service whose code is told what to do, line by line."""

    def __init__(self, running, port):
        self._running = running
        self.url = f"http://127.0.0.1:{port}"

    def go_on(self, line="pass"):
        print(line, file=self._running.stdin, flush=True)
        assert "done\n" == self._running.stdout.readline()

    def rules(self):
        return [one["name"] for one in ask(self, path="/v1/snapshot").content["rules"]]


@pytest.fixture
def service():
    port = free_ports(1)
    env = os.environ | {"PYTHONPATH": str(ROOT / "src"), "GUARDRAIL_CONTROL_TOKEN": TOKEN}
    env["GUARDRAIL_CONTROL"] = f"127.0.0.1:{port}"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", SERVICE], env=env, **pipes) as running:
        yield Service(running, port)
        running.stdin.close()


def test_the_first_guard_is_served_until_it_is_closed(service):
    service.go_on()
    assert ["first"] == service.rules()
    service.go_on("first.close()")
    assert ["second"] == service.rules()


def test_another_configuration_is_served_at_the_same_port(service):
    service.go_on("first.close()")
    service.go_on("guardrail.configure([{'name': 'third', 'resource': 'r', 'kind': 'limit', 'rate': '1/s'}])")
    assert ["third"] == service.rules()


def test_where_nobody_listens_to_the_log_it_is_said_once_on_stderr():
    code = "import guardrail; print([guardrail.Guard(), guardrail.Guard()])"
    env = {"GUARDRAIL_CONTROL": "127.0.0.1:0", "GUARDRAIL_CONTROL_TOKEN": "canary"}
    done = python("-W", "error", "-c", code, cwd=ROOT, env=env)
    assert 0 == done.code
    [line] = done.err.splitlines()
    assert line.startswith("guardrail: no control endpoint: GUARDRAIL_CONTROL_TOKEN must have at least 16 characters")
    assert "canary" not in line
    quiet = f"import logging; logging.getLogger('guardrail').setLevel(logging.CRITICAL); {code}"
    assert "" == python("-c", quiet, cwd=ROOT, env=env).err


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"GUARDRAIL_CONTROL": "0.0.0.0:9911", "GUARDRAIL_CONTROL_TOKEN": TOKEN}, "must be on loopback"),
        ({"GUARDRAIL_CONTROL": "127.0.0.1:0"}, "GUARDRAIL_CONTROL_TOKEN must be set; make one with"),
        ({"GUARDRAIL_CONTROL": ""}, ""),
        ({"GUARDRAIL_CONTROL_TOKEN": TOKEN}, ""),
    ],
)
def test_what_is_wrong_with_it_is_said_and_nothing_more(env, said):
    code = "import guardrail, logging; logging.basicConfig(); print(guardrail.Guard())"
    done = python("-c", code, cwd=ROOT, env=env)
    assert (0, True) == (done.code, done.out.startswith("<"))
    assert said in done.err
    assert bool(said) == bool(done.err)
    assert TOKEN not in done.err
