"""`guardrail doctor` as it is typed: forms, order, exit codes, and what is never shown."""

import json
import re
import sys

import pytest

from guardrail.cli.doctor.finding import Finding, Severity, fine, some
from guardrail.cli.doctor.report import lines, plain_values
from tests.cli.doctor.scene import SECRET, WORDS, seen
from tests.cli.shell import guardrail, process, python, terminal

NOWHERE = f"redis://:{SECRET}@127.0.0.1:1/0"


def test_the_exit_code_says_whether_anything_is_an_error():
    assert (0, 1) == (guardrail("doctor").code, guardrail("doctor", "--store", NOWHERE).code)


@pytest.mark.parametrize("words", [["--stor", "x"], ["redis://localhost"], ["--format", "yaml"], ["--store"]])
def test_what_cannot_be_typed_is_a_usage_error(words):
    assert (2, "") == guardrail("doctor", *words)[:2]


def test_findings_stand_in_the_order_of_their_severity_the_worst_last():
    done = guardrail("doctor", "--store", NOWHERE, "--rules", "nowhere.yaml")
    said = [line.split()[0] for line in done.out.splitlines() if re.match("(?:ok|note|warning|error) ", line)]
    assert sorted(said, key=WORDS.index) == said
    assert {"ok", "error"} <= set(said)
    assert "2 errors, " in done.out.splitlines()[-1]


def test_what_is_said_of_a_finding():
    found = [fine("a.b", "all is well"), Finding(Severity.ERROR, "a.bc", "it is broken", "nothing works", "mend it")]
    expected = [
        "ok       a.b   all is well",
        "error    a.bc  it is broken",
        "         means  nothing works",
        "           do  mend it",
        "",
        "1 error, 1 ok",
    ]
    assert expected == list(lines(found))


def test_the_same_for_programs():
    found = [fine("a.b", "all is well", {"n": 1}), Finding(Severity.NOTE, "a.c", "look", "well", "do")]
    said = plain_values(found)
    assert json.loads(json.dumps(said)) == said
    assert (True, {"ok": 1, "note": 1, "warning": 0, "error": 0}) == (said["ok"], said["counts"])
    expected = {
        "severity": "ok",
        "code": "a.b",
        "found": "all is well",
        "means": "",
        "advice": "",
        "measured": {"n": 1},
    }
    assert expected == said["findings"][0]


def test_json_is_one_of_two_forms_and_both_say_the_same():
    assert guardrail("doctor", "--json").out == guardrail("doctor", "--format", "json").out
    codes = [one["code"] for one in json.loads(guardrail("doctor", "--json").out)["findings"]]
    assert all(code in guardrail("doctor").out for code in codes)


def test_many_names_are_cut():
    assert "'a', 'b', 'c'" == some(["a", "b", "c"])
    assert "'a', 'b', 'c', ..." == some(["a", "b", "c", "d"])


def test_a_terminal_gets_colours(tmp_path):
    done = terminal("doctor", "--store", NOWHERE, cwd=tmp_path)
    assert 1 == done.code
    assert "\x1b[1;32mok\x1b[0m" in done.out
    assert "\x1b[1;31merror\x1b[0m" in done.out


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        f"redis://:{SECRET}@h:99999",
        f"redis://:{SECRET}@h/0?no_such_option=1",
        f"redis://:{SECRET}@[h",
        f"redis+cluster://:{SECRET}@h",
        f"http://:{SECRET}@h",
        f"redis://h:{SECRET}",
    ],
)
def test_a_url_that_cannot_be_used(url):
    report = seen("--store", url)  # which sees that no password is shown
    assert "error" == report.severity("store.url")


def test_no_password_is_shown_in_plain_lines_either():
    for url in (NOWHERE, NOWHERE.replace("redis:", "rediss:"), f"unix://:{SECRET}@/nowhere.sock"):
        done = guardrail("doctor", "--store", url)
        assert 1 == done.code
        assert SECRET not in done.out + done.err


def test_without_a_store_none_is_looked_at(monkeypatch):
    for url in ("", "memory://"):
        monkeypatch.setenv("GUARDRAIL_STORE", url)
        report = seen()
        assert {"store.url"} == {code for code in report.found if code.startswith("store.")}
        assert "ok" == report.severity("store.url")


def test_without_redis_py_that_is_a_finding(tmp_path):
    code = f"""
import sys
sys.modules["redis"] = None
sys.argv = ["guardrail", "doctor", "--json", "--store", {NOWHERE!r}]
from guardrail.cli import main
main()
"""
    done = python("-c", code, cwd=tmp_path)
    (error,) = [one for one in json.loads(done.out)["findings"] if one["severity"] == "error"]
    assert (1, "") == (done.code, done.err)
    assert ("store.client", 'pip install "guardrail-py[redis]"') == (error["code"], error["advice"])


def test_redis_py_is_loaded_only_for_a_store(tmp_path):
    code = """
import sys
sys.argv = ["guardrail", "doctor"]
from guardrail.cli import main
try:
    main()
finally:
    print(*sorted({"redis", "prometheus_client", "opentelemetry", "grpc", "watchfiles"} & set(sys.modules)), file=sys.stderr)
"""
    assert (0, "\n") == python("-c", code, cwd=tmp_path)[::2]


def test_it_runs_in_a_process_of_its_own(tmp_path):
    done = process("doctor", "--store", NOWHERE, cwd=tmp_path)
    assert (1, "") == (done.code, done.err)
    assert f"{sys.version_info.major}.{sys.version_info.minor}." in done.out


def test_the_help():
    done = guardrail("doctor", "--help")
    assert 0 == done.code
    assert "Examples:\n    guardrail doctor" in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    (line,) = [line for line in guardrail("--help").out.splitlines() if line.startswith("  doctor ")]
    assert line.endswith("deployment.")


def test_what_a_server_says_cannot_do_anything_to_a_terminal():
    found = [Finding(Severity.ERROR, "a.b", "it said \x1b[2Jgone", "\x1b[31mred", "\r\ndo")]
    assert not [line for line in lines(found) if not line.isprintable()]
