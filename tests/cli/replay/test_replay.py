"""`guardrail replay` as it is typed: tables, JSON, charts, and what it says below them."""

import gzip
import json
import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest

from tests.cli.replay.scene import START_US
from tests.cli.shell import guardrail, process, python, terminal

RULES = """\
version: 1
rules:
  - {name: per-address, resource: "* /v1/**", kind: limit, rate: 1/min, burst: 2, key: client.ip}
  - {name: tried, resource: "GET /v1/**", kind: limit, rate: 1/min, burst: 1, mode: shadow}
  - {name: never-met, resource: "* /v2/**", kind: limit, rate: 1/s}
"""
OLD = """\
version: 1
rules:
  - {name: per-address, resource: "* /v1/**", kind: limit, rate: 1/min, burst: 3, key: client.ip}
  - {name: gone, resource: "GET /v1/**", kind: limit, rate: 1/min, burst: 1}
"""


def line(second, client="10.0.0.1", request="GET /v1/a", status=200):
    time = datetime.fromtimestamp(START_US // 1_000_000 + second, UTC)
    return f'{client} - - [{time:%d/%b/%Y:%H:%M:%S +0000}] "{request} HTTP/1.1" {status} 10 "-" "curl"\n'


LOG = (
    "".join(line(second) for second in range(4))
    + line(4, "10.0.0.2", "POST /v1/b")
    + line(5, "10.0.0.2", "GET /", status=429)
    + line(6, "10.0.0.2", "GET /healthz")
    + "\n???\n"
)


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "old.yaml").write_text(OLD)
    (tmp_path / "access.log").write_text(LOG)
    return tmp_path


def replayed(*words):
    done = guardrail("replay", *words, "--rules", "rules.yaml", "--json")
    assert (0, "") == (done.code, done.err)
    return json.loads(done.out)


def test_allowed_and_refused_are_counted_by_rule():
    found = replayed("access.log")
    assert (9, 7, 5, 2) == tuple(found[name] for name in ("lines", "calls", "allowed", "refused"))
    by_rule = {one["rule"]: one for one in found["by_rule"]}
    assert (5, 3, 2, 0) == tuple(
        by_rule["per-address"][name] for name in ("asked", "allowed", "refused", "would_refuse")
    )
    assert (2, 1, 0, 1) == tuple(by_rule["tried"][name] for name in ("asked", "allowed", "refused", "would_refuse"))
    assert [{"key": "10.0.0.1", "count": 2, "error": 0}] == by_rule["per-address"]["top_refused_keys"]
    assert by_rule["tried"]["top_keys"] is None
    assert 7 == sum(slot["allowed"] + slot["refused"] for slot in found["timeline"]["slots"])


def test_the_text_says_the_same(files):
    done = guardrail("replay", "access.log", "--rules", "rules.yaml")
    assert 0 == done.code
    assert "Result:  5 allowed, 2 refused (28.57%)\n" in done.out
    assert "Time:    2023-11-14 22:13:20 UTC to 2023-11-14 22:13:27 UTC\n" in done.out
    assert "   per-address  limit      5        3        2  40.00%             0\n" in done.out
    assert "Top keys of 'per-address'\n   client.ip  refused\n   10.0.0.1         2\n" in done.out
    for note in (
        (
            "1 line could not be read and counted for nothing, such as:\n"
            "  line 9: it is neither the common nor the combined log format, nor JSON: ???\n"
        ),
        "No rule is about 1 call: it was let in.\n",
        "1 call to /healthz, /livez, /readyz or /metrics was let in, as adapters do unless told otherwise.\n",
        "1 call got 429 or 503 then, for reasons that are not in the log.\n",
        "No call was about 1 rule: 'never-met'.\n",
        "--spread lays them out evenly",
    ):
        assert note in done.out


def test_against_other_rules_every_call_is_compared():
    found = replayed("access.log", "--against", "old.yaml")
    changes = found["changes"]
    assert (4, 2, 0, 1) == tuple(
        changes[name] for name in ("allowed_by_both", "refused_by_both", "newly_refused", "newly_allowed")
    )
    assert (4, 3) == (found["against"]["allowed"], found["against"]["refused"])
    text = guardrail("replay", "access.log", "--rules", "rules.yaml", "--against", "old.yaml").out
    assert "   newly allowed           1\n" in text
    assert "gone         limit   gone" in text
    assert "tried        limit      2" in text


def test_whom_new_rules_hit_is_listed():
    found = guardrail("replay", "access.log", "--rules", "old.yaml", "--against", "rules.yaml").out
    assert "Newly refused, by resource\n               calls\n   GET /v1/**      1\n" in found
    assert "Newly refused, by client\n             calls\n   10.0.0.1      1\n" in found


def test_gzip_several_logs_and_a_pipe_are_read_alike(files):
    first, second = (
        LOG[: len(LOG) // 2].rpartition("\n")[0] + "\n",
        LOG[len(LOG[: len(LOG) // 2].rpartition("\n")[0]) + 1 :],
    )
    (files / "1.log").write_bytes(gzip.compress(first.encode()))
    (files / "2.log").write_text(second)
    expected = replayed("access.log") | {"logs": None}
    assert expected == replayed("1.log", "2.log") | {"logs": None}
    piped = guardrail("replay", "-", "--rules", "rules.yaml", "--json", stdin=LOG)
    assert expected == json.loads(piped.out) | {"logs": None}


def test_json_lines_with_names_of_their_own(files):
    rows = [{"when": 1_700_000_000 + second, "verb": "get", "where": "/v1/a", "who": "ann"} for second in range(4)]
    (files / "calls.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (files / "rules.yaml").write_text(RULES.replace("client.ip", "user"))
    fields = [word for text in ("time=when", "path=where", "user=who") for word in ("--field", text)]
    found = replayed("calls.jsonl", *fields)
    assert 2 == found["refused"]
    assert "ann" == found["by_rule"][0]["top_refused_keys"][0]["key"]
    assert 4 == found["without_duration"]


def test_what_a_log_cannot_tell_is_said(files):
    (files / "rules.yaml").write_text("""\
version: 1
rules:
  - {name: tenants, resource: "* /v1/**", kind: limit, rate: 1/s, key: header.x-tenant}
  - {name: plans, resource: "* /v1/**", kind: limit, rate: 1/s, when: {header.x-plan: "!free"}}
  - {name: tokens, resource: "* /v1/**", kind: limit, rate: 1/s, cost: header.x-tokens}
  - {name: places, resource: "* /v1/**", kind: bulkhead, max_concurrent: 1}
  - {name: well, resource: "* /v1/**", kind: breaker, slow_call: 1s}
""")
    said = " ".join(replayed("access.log")["notes"])
    for note in (
        "nothing of header.x-tenant, at which rule 'tenants' looks: all calls without it share one state.",
        "nothing of header.x-plan, at which rule 'plans' looks: it is taken as missing.",
        "nothing of header.x-tokens, at which rule 'tokens' looks: each call costs its own cost.",
        "The log does not say how long calls took: bulkheads leave them out, and to breakers they are not slow.",
    ):
        assert note in said


def test_lines_out_of_order_are_sorted_and_said(files):
    (files / "access.log").write_text("".join(line(second) for second in (0, 3, 2, 1)))
    found = replayed("access.log")
    assert {"lines": 2, "seconds": 2.0, "late": 0} == found["out_of_order"]
    assert any(note.startswith("2 lines were earlier than one before, by 2 s at most") for note in found["notes"])


def test_the_switch_of_this_machine_is_not_that_of_the_replay(monkeypatch):
    monkeypatch.setenv("GUARDRAIL_MODE", "off")
    monkeypatch.setenv("GUARDRAIL_STORE", "redis://nowhere.invalid")
    assert 2 == replayed("access.log")["refused"]


@pytest.mark.parametrize("name", ["out.svg", "out.html"])
def test_a_chart_is_whole_and_needs_nothing_else(files, name):
    (files / "rules.yaml").write_text(RULES.replace("per-address", "<script>&"))
    done = guardrail("replay", "access.log", "--rules", "rules.yaml", "--against", "old.yaml", "--chart", name)
    assert (0, f"Chart: {name}") == (done.code, done.out.splitlines()[-1])
    text = (files / name).read_text()
    for other in ("<script", "http://", "https://", "url(", "@import"):
        assert other not in text.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "5 allowed, 2 refused" in text
    svg = ET.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    titles = [one.text for one in svg.iter("{http://www.w3.org/2000/svg}title")]
    assert "2023-11-14 22:13:22 UTC: 0 allowed, 1 refused" in titles
    assert 7 == len(titles)


def test_a_long_time_is_drawn_in_few_enough_bars(files):
    (files / "access.log").write_text("".join(line(second * 3_600, request="GET /v2/a") for second in range(2_000)))
    assert 0 == guardrail("replay", "access.log", "--rules", "rules.yaml", "--chart", "out.svg").code
    text = (files / "out.svg").read_text()
    assert 60 < text.count('class="allowed"') <= 161
    assert ">11-" in text


#   typed                                                                  code  what is said
MISTAKES = [
    (["missing.log", "--rules", "rules.yaml"], 1, "missing.log: cannot be read: No such file or directory"),
    ([".", "--rules", "rules.yaml"], 1, "is a folder; name the log files in it, oldest first"),
    (["empty.log", "--rules", "rules.yaml"], 1, "there are no calls in the log"),
    (["noise.log", "--rules", "rules.yaml"], 1, "no line of the log could be read:\n  line 1: it is neither"),
    (["broken.gz", "--rules", "rules.yaml"], 1, "broken.gz: cannot be read: "),
    (["access.log", "--rules", "missing.yaml"], 1, "missing.yaml: cannot be read"),
    (["access.log", "--rules", "rules.yaml", "--chart", "a.png"], 2, "must end in .svg or .html"),
    (["access.log", "--rules", "rules.yaml", "--chart", "no/where.svg"], 1, "no/where.svg: cannot be written"),
    (["access.log", "--rules", "rules.yaml", "--field", "user"], 2, "must be name=field"),
    (["access.log", "--rules", "rules.yaml", "--field", "a b=c"], 2, "--field"),
    (["-", "--rules", "-"], 2, "only one thing can be piped in"),
    (["access.log"], 2, "--rules"),
]


@pytest.mark.parametrize(("words", "code", "said"), MISTAKES, ids=[" ".join(row[0]) for row in MISTAKES])
def test_a_mistake_ends_in_a_sentence(files, words, code, said):
    (files / "empty.log").write_text("\n")
    (files / "noise.log").write_bytes(bytes(range(256)) * 10)
    (files / "broken.gz").write_bytes(gzip.compress(LOG.encode() * 100)[:80])
    done = guardrail("replay", *words)
    assert code == done.code
    assert said in done.out + done.err


def test_wrong_rules_are_json_too_where_that_is_asked_for():
    done = guardrail("replay", "access.log", "--rules", "missing.yaml", "--json")
    assert (1, False) == (done.code, json.loads(done.out)["ok"])


def test_a_terminal_gets_tables(files):
    done = terminal("replay", "access.log", "--rules", "rules.yaml", cwd=files)
    assert 0 == done.code
    assert "│ per-address │ limit │" in done.out


def test_a_terminal_sees_how_far_it_is(files):
    """How many lines there were so far, and a bar, until there is something better to see."""
    done = terminal("replay", "access.log", "--rules", "rules.yaml", cwd=files)
    before, _, _ = done.out.partition("Log:")
    assert "━━━" in before
    assert re.search(r"\b9 lines", before)
    assert before.endswith("\x1b[2K")  # and then it is gone


def test_progress_is_not_in_the_output(files):
    done = process("replay", "access.log", "--rules", "rules.yaml", cwd=files)
    assert (0, "") == (done.code, done.err)
    assert "lines" not in done.out.splitlines()[-1]


def test_composite_and_hostile_keys_are_shown_harmlessly(files):
    (files / "rules.yaml").write_text(RULES.replace("client.ip", "[client.ip, header.user-agent]"))
    (files / "access.log").write_text(
        (LOG * 3).replace('"curl"', '"\x1b[31m' + "x" * 60 + '"', 12).replace('"curl"', '"' + "y" * 300 + '"')
    )
    found = replayed("access.log")["by_rule"][0]["top_keys"]
    assert all("\x1b" not in one["key"] and len(one["key"]) < 200 for one in found)
    assert any(one["key"].startswith("10.0.0.1 + ") for one in found)
    assert any(one["key"].startswith("(a long one, ") for one in found)


def test_a_log_of_resources_and_costs_of_its_own(files):
    (files / "rules.yaml").write_text(
        "version: 1\nrules:\n  - {name: tokens, resource: llm.*, kind: limit, rate: 100/min, key: user}\n"
    )
    rows = [{"ts": 1_700_000_000 + place, "resource": "llm.answer", "user": "ann", "n": 40} for place in range(4)]
    (files / "calls.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert (2, 2) == tuple(replayed("calls.jsonl", "--field", "cost=n")[name] for name in ("allowed", "refused"))
    assert 0 == replayed("calls.jsonl")["refused"]


def test_waits_are_said(files):
    (files / "rules.yaml").write_text(
        'version: 1\nrules:\n  - {name: slow, resource: "* /v1/**", kind: limit, rate: 2/s, burst: 1, max_wait: 5s}\n'
    )
    (files / "access.log").write_text(line(0) * 4)
    assert {"calls": 3, "seconds": 3.0} == replayed("access.log")["waited"]
    done = guardrail("replay", "access.log", "--rules", "rules.yaml")
    assert "3 calls let in after a wait of 1 s in the mean\n" in done.out


def test_a_line_much_too_late_is_said(files, monkeypatch):
    monkeypatch.setattr("guardrail.cli.replay.lines.BLOCK", 10_000)
    (files / "access.log").write_text("".join(line(second) for second in range(900)) + line(0))
    found = replayed("access.log")
    assert 1 == found["out_of_order"]["late"]
    assert any(note.startswith("1 call was more than 1 min or 100,000 lines late") for note in found["notes"])


def test_lines_longer_than_a_block_and_without_an_end_are_passed_over(files, monkeypatch):
    monkeypatch.setattr("guardrail.cli.replay.lines.BLOCK", 1_000)
    (files / "access.log").write_text(LOG.replace("???", "?" * 200_000) + line(9).rstrip("\n"))
    found = replayed("access.log")
    assert (8, 1) == (found["calls"], found["unreadable"]["lines"])
    assert {"it is longer than 64 KiB": 1} == found["unreadable"]["reasons"]


def test_without_an_input_nothing_is_piped_in(files):
    closed = "import os, sys; os.close(0); os.execv(sys.executable, [sys.executable, '-m', 'guardrail', *sys.argv[1:]])"
    done = python("-c", closed, "replay", "-", "--rules", "rules.yaml", cwd=files)
    assert (1, "guardrail: nothing is piped in\n") == (done.code, done.err)


def test_more_paths_than_are_remembered_are_counted_alike(files, monkeypatch):
    expected = replayed("access.log")
    monkeypatch.setattr("guardrail.cli.replay.routes._MOST", 1)
    assert expected == replayed("access.log")
