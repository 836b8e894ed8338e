"""`guardrail top` without a terminal: once, in words or for programs."""

import json
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.cli.remote.scene import service, typed
from tests.cli.shell import ROOT
from tests.control.scene import CANARY, TOKEN, guard_of, served
from tests.ports import free_ports

QUICK = ["--once", "--interval", "0.1"]
RULES = [
    {"name": "per-user", "resource": "orders", "kind": "limit", "rate": "5/min", "key": "user"},
    {"name": "watched", "resource": "orders", "kind": "limit", "rate": "2/min", "key": "user", "mode": "shadow"},
    {"name": "payments", "resource": "pay", "kind": "breaker", "key": []},
    {"name": "places", "resource": "render", "kind": "bulkhead", "max_concurrent": 4},
]


def busy():
    guard = guard_of(*RULES)
    for _ in range(20):
        guard.try_enter("orders", {"user": CANARY}).exit()
    guard.try_enter("pay").exit()
    guard.breakers["payments"].force_open()
    return guard


def test_once_shows_everything_there_is():
    guard = busy()
    permits = [guard.try_enter("render") for _ in range(3)]
    with served(guard) as control:
        done = typed("top", *QUICK, url=control.url)
    for permit in permits:
        permit.exit()
    assert 0 == done.code
    lines = done.out.splitlines()
    assert lines[0].startswith(f"guardrail top   {control.url.removeprefix('http://')} (pid ")
    assert "from code, in force for" in lines[1]
    assert ["per-user", "enforce", "0", "0", "0%", "0", "0"] in [line.split() for line in lines]
    assert any(line.startswith("watched") and "3 of 5 calls (60%); all by key " in line for line in lines)
    assert any(line.split()[:3] == ["payments", "forced", "open"] and "opened by hand" in line for line in lines)
    assert any(line.startswith("places") and "3 of 4" in line for line in lines)
    assert CANARY not in done.out


def test_keys_are_shown_where_they_are_asked_for():
    with served(busy()) as control:
        assert CANARY in typed("top", "--show-keys", *QUICK, url=control.url).out
        assert CANARY in typed("top", "--show-keys", "--json", *QUICK, url=control.url).out
        assert CANARY not in typed("top", "--json", *QUICK, url=control.url).out


def test_a_real_process_is_looked_at_and_rates_are_between_two_looks():
    with service() as running:
        running.call(20)
        done = typed("top", *QUICK, "--json", url=running.url)
        assert 0 == done.code
        shown = json.loads(done.out)
        [source] = shown["sources"]
        assert (running.pid, None) == (source["pid"], source["trouble"])
        rules = {one["name"]: one for one in shown["rules"]}
        assert (20, 15, 0.0) == tuple(rules["per-user"][name] for name in ("asked", "refused", "calls_per_s"))
        assert [("watched", 3)] == [(one["rule"], one["would_refuse"]) for one in shown["on_trial"]]


def test_several_processes_are_summed_or_shown_apart():
    first = free_ports(3)
    address = f"127.0.0.1:{first}-{first + 2}"
    with served(busy(), address=address) as one, served(busy(), address=address) as other:
        summed = json.loads(typed("top", "--json", *QUICK, url=address).out)
        assert 40 == summed["rules"][0]["asked"]
        assert {"forced_open": 2} == summed["breakers"][0]["states"]
        assert [one.url, other.url] == [f"http://{source['place']}" for source in summed["sources"]]
        named = typed("top", *QUICK, "--url", one.url, url=other.url)
        assert "2 processes: " in named.out
        apart = typed("top", "--apart", *QUICK, url=address).out
        assert 2 == apart.count("guardrail top   127.0.0.1:")
        assert 2 == apart.count("\nper-user")


def test_one_that_does_not_answer_is_named_and_the_others_are_shown():
    with served(busy()) as control:
        with served(busy(), address=f"127.0.0.1:{free_ports(1)}") as gone:
            pass
        done = typed("top", *QUICK, "--url", gone.url, url=control.url)
    assert 0 == done.code
    assert re.search(rf"nobody listens at {gone.url.removeprefix('http://')}, for (< )?\d+ s; looking on", done.out)
    assert "per-user" in done.out


def test_a_stream_for_programs_is_a_line_for_each_look_until_it_is_ended():
    with service() as running:
        command = [sys.executable, "-m", "guardrail", "top", "--json", "--interval", "0.1", "--url", running.url]
        env = {"PYTHONPATH": str(ROOT / "src"), "GUARDRAIL_CONTROL_TOKEN": TOKEN}
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as top:
            looks = [json.loads(top.stdout.readline()) for _ in range(2)]
            running.call(20)
            until = time.monotonic() + 20
            while looks[-1]["rules"][0]["asked"] < 20 and time.monotonic() < until:
                looks.append(json.loads(top.stdout.readline()))
            top.send_signal(signal.SIGINT)
            assert "" == top.communicate(timeout=20)[1]
    assert 20 == looks[-1]["rules"][0]["asked"]
    assert looks[-1]["rules"][0]["calls_per_s"] > 0
    assert 130 == top.returncode


@pytest.mark.parametrize("words", [["--interval", "0"], ["--interval", "often"]])
def test_an_interval_that_makes_no_sense_is_refused(words):
    assert 2 == typed("top", *words, url="127.0.0.1:9911").code
