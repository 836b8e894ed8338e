"""`guardrail lint` says where a rule can do nothing or less than it seems to, and is silent about all others."""

import json

import pytest

from guardrail import RuleSet
from guardrail.cli.lint.command import judge
from tests.cli.lint.scene import LIMIT, found
from tests.cli.shell import ROOT, guardrail, terminal

#   the one rule                                                                                       its finding
ALONE = [
    (LIMIT | {"resource": "a.*", "except": "a.**"}, "never-asked"),
    (LIMIT | {"resource": ["a.*", "b"], "except": ["a.{x}"]}, "dead-pattern"),
    (LIMIT | {"resource": "GET /a/*", "except": ["POST /a/b"]}, "idle-except"),
    (LIMIT | {"resource": "a.*", "except": ["a.b", "b.c"]}, "idle-except"),
    (LIMIT | {"key": "user", "enforce": "0%"}, "refuses-nobody"),
    (LIMIT | {"enforce": "50%"}, "all-or-nothing"),
    (LIMIT | {"key": "user", "enforce": "50%", "mode": "shadow"}, "idle-option"),
    (LIMIT | {"cost": 11}, "always-refuses"),
    (LIMIT | {"cost": 2, "burst": 1}, "always-refuses"),
    (LIMIT | {"cost": 5, "key": "user", "overrides": {"ann": "4/s"}}, "always-refuses"),
    (LIMIT | {"key": "user", "overrides": {"ann": "10/s"}}, "idle-override"),
    (LIMIT | {"key": "user|client.ip", "overrides": {"ann": "20/s"}}, "dead-override"),
    (LIMIT | {"key": "header.x-key"}, "unbounded-key"),
    (LIMIT | {"key": ["client.ip", "query.q"]}, "unbounded-key"),
    (LIMIT | {"key": "user|cookie.id"}, "unbounded-key"),
    (LIMIT | {"key": "header.x-plan", "when": {"header.x-plan": "!free"}}, "unbounded-key"),
    ({"kind": "bulkhead", "max_concurrent": 2, "key": "path.id"}, "unbounded-key"),
    ({"kind": "breaker", "failures": []}, "never-opens"),
    ({"kind": "breaker", "failures": ["http.503"], "ignore": ["http.5xx"]}, "never-opens"),
    ({"kind": "breaker", "failures": ["httpx.ReadTimeout"], "ignore": ["ReadTimeout"]}, "never-opens"),
    ({"kind": "breaker", "slow_call": "30s"}, "never-slow"),
    ({"kind": "breaker", "consecutive_failures": 3, "window_calls": 50}, "idle-option"),
    (LIMIT | {"resource": "GET /a", "when": {"method": "POST"}}, "never-asked"),
    (LIMIT | {"resource": ["GET /a", "DELETE /a/{id}"], "when": {"method": ["POST", "get"]}}, "never-asked"),
    (LIMIT | {"resource": "GET /a", "except": "GET /a", "key": "header.x", "cost": 99}, "never-asked"),
    (LIMIT | {"resource": "get /v1/**", "key": "header.x"}, "no-such-request"),
    (LIMIT | {"resource": ["GET /a", "HEAD /a"]}, "no-such-request"),
    (LIMIT | {"resource": "GET /a/*", "except": "get /a/b"}, "no-such-request"),
]


@pytest.mark.parametrize(("rule", "code"), ALONE, ids=[f"{row[1]}-{number}" for number, row in enumerate(ALONE)])
def test_what_is_wrong_with_one_rule(tmp_path, rule, code):
    assert [("rule 0", code)] == found(tmp_path, rule)


#   rules that look alike and are as they should be
SOUND = [
    [LIMIT | {"resource": "a.*", "except": "a.b"}],
    [LIMIT | {"resource": "a.**", "except": "a.*"}],
    [LIMIT | {"resource": "orders/**", "except": "orders"}],
    [LIMIT | {"resource": "**", "except": ["GET /a", "b.*"]}],
    [LIMIT | {"key": "user", "enforce": "50%"}],
    [LIMIT | {"mode": "shadow"}],
    [LIMIT | {"mode": "off", "enforce": "0%"}],
    [LIMIT | {"cost": 10}],
    [LIMIT | {"cost": "header.x-tokens"}],
    [LIMIT | {"key": "user", "overrides": {"user=ann": "20/s"}}],
    [LIMIT | {"key": "user|client.ip", "overrides": {"user=ann": "20/s", "client.ip=10.0.0.1": "5/s"}}],
    [LIMIT | {"key": "user|client.ip"}],
    [LIMIT | {"key": "header.x-plan", "when": {"header.x-plan": ["free", "trial"]}}],
    [LIMIT | {"key": "header.x-key"}, LIMIT | {"resource": "a.*", "rate": "50/s", "key": "client.ip"}],
    [LIMIT | {"key": ["client.ip", "query.q"]}, LIMIT | {"rate": "50/s", "key": "client.ip"}],
    [{"kind": "bulkhead", "max_concurrent": 2, "key": "path.id"}, {"kind": "bulkhead", "max_concurrent": 9}],
    [{"kind": "breaker", "key": "header.host"}],
    [{"kind": "breaker", "failures": ["http.503"], "ignore": ["http.5xx"], "slow_call": "1s"}],
    [{"kind": "breaker", "failures": ["http.503", "OSError"], "ignore": ["http.5xx"]}],
    [{"kind": "breaker", "slow_call": "29s"}],
    [
        LIMIT | {"resource": text}
        for text in ("GET /a", "* /b/**", "OTHER /c", "GET /d/{id}", "G* /e", "GET /f/g:batch")
    ],
    [LIMIT | {"resource": text} for text in ("client GET h.example", "client * h.test", "client /pkg.S/M")],
    [
        LIMIT | {"resource": text}
        for text in ("worker /queue", "JOB nightly.run", "get orders", "Report /x/y", "a b c/d")
    ],
    [LIMIT | {"resource": "GET /a", "when": {"method": "HEAD"}}],
    [LIMIT | {"resource": ["GET /a", "* /b"], "when": {"method": "POST"}}],
    [LIMIT | {"resource": "GET /a", "when": {"method": "!POST"}}],
    [LIMIT | {"resource": "a.b", "when": {"method": "POST"}}],
    [LIMIT | {"rate": "99/s"}, LIMIT | {"key": "user", "overrides": {"ann": "98/s", "bob": "5/s"}}],
    [{"kind": "breaker"}, {"kind": "breaker", "open_for": "6s"}],
    [{"kind": "breaker"}, {"kind": "breaker", "mode": "shadow"}],
    [LIMIT | {"burst": 100}, LIMIT | {"rate": "20/min", "burst": 150}],
    [LIMIT, LIMIT | {"rate": "100/h", "key": "user"}],
    [LIMIT | {"key": "user"}, LIMIT | {"rate": "20/s"}],
]


@pytest.mark.parametrize("rules", SOUND)
def test_what_is_as_it_should_be_is_not_mentioned(tmp_path, rules):
    assert [] == found(tmp_path, *rules)


#   the rule that never refuses comes first here, the one that is always as tight second
IDLE = [
    (LIMIT | {"rate": "20/s"}, LIMIT),
    (LIMIT | {"rate": "20/s", "key": "user"}, LIMIT),
    (LIMIT | {"rate": "20/s", "key": ["user", "client.ip"]}, LIMIT | {"key": "client.ip"}),
    (LIMIT | {"rate": "20/s", "resource": "GET /v1/orders/{id}"}, LIMIT | {"resource": "* /v1/**"}),
    (LIMIT | {"rate": "20/s", "when": {"plan": "free"}}, LIMIT | {"when": {"plan": ["free", "trial"]}}),
    (LIMIT | {"rate": "20/s", "when": {"plan": "free"}}, LIMIT | {"when": {"plan": "!paid"}}),
    (LIMIT | {"rate": "20/s", "resource": "a.*", "except": "a.b"}, LIMIT | {"resource": "a.*", "except": "a.b"}),
    (LIMIT | {"rate": "20/s", "resource": "a.*"}, LIMIT | {"resource": "**", "except": "b.*"}),
    (LIMIT | {"rate": "20/s", "max_wait": "1s"}, LIMIT),
    (LIMIT | {"rate": "20/s", "mode": "shadow"}, LIMIT),
    (LIMIT | {"rate": "20/s", "burst": 20}, LIMIT | {"algorithm": "fixed_window"}),
    (LIMIT | {"rate": "10/s"}, LIMIT | {"algorithm": "sliding_window"}),
    (LIMIT | {"rate": "20/s", "algorithm": "sliding_log"}, LIMIT | {"burst": 10}),
    (LIMIT | {"rate": "21/s", "algorithm": "sliding_window"}, LIMIT | {"burst": 10}),
    (LIMIT | {"rate": "60/min", "algorithm": "fixed_window"}, LIMIT | {"rate": "1/s", "algorithm": "fixed_window"}),
    (LIMIT | {"rate": "20/s", "cost": 2}, LIMIT | {"cost": 3}),
    (LIMIT | {"rate": "20/s", "charge": "failure"}, LIMIT),
    ({"kind": "bulkhead", "max_concurrent": 5, "key": "user"}, {"kind": "bulkhead", "max_concurrent": 5}),
    (LIMIT | {"rate": "20/s", "key": "user", "overrides": {"ann": "30/s"}}, LIMIT),
]


@pytest.mark.parametrize("pair", IDLE)
def test_a_rule_that_never_refuses_beside_another_is_found_in_any_order(tmp_path, pair):
    loose, tight = pair
    assert [("rule 0", "never-binds")] == found(tmp_path, loose, tight)
    assert [("rule 1", "never-binds")] == found(tmp_path, tight, loose)


#   each differs from a pair above in what keeps the first one alive
BINDING = [
    (LIMIT | {"rate": "20/s"}, LIMIT | {"mode": "shadow"}),
    (LIMIT | {"rate": "20/s"}, LIMIT | {"key": "user", "enforce": "50%"}),
    (LIMIT | {"rate": "20/s"}, LIMIT | {"key": "user"}),
    (LIMIT | {"rate": "20/s"}, LIMIT | {"max_wait": "1s"}),
    (LIMIT | {"rate": "20/s"}, LIMIT | {"charge": "failure"}),
    (LIMIT | {"rate": "20/s"}, LIMIT | {"scope": "local"}),
    (LIMIT | {"rate": "20/s"}, LIMIT | {"on_store_error": "allow"}),
    (LIMIT | {"rate": "20/s", "scope": "local"}, LIMIT | {"on_store_error": "local"}),
    (LIMIT | {"rate": "20/s", "cost": 2}, LIMIT),
    (LIMIT | {"rate": "20/s", "cost": "header.x"}, LIMIT),
    (LIMIT | {"rate": "20/s"}, LIMIT | {"when": {"plan": "free"}}),
    (LIMIT | {"rate": "20/s", "when": {"plan": "!free"}}, LIMIT | {"when": {"plan": "paid"}}),
    (LIMIT | {"rate": "20/s", "resource": "a.*"}, LIMIT | {"resource": "a.*", "except": "a.c"}),
    (LIMIT | {"rate": "20/s", "key": "user", "overrides": {"ann": "1/s"}}, LIMIT | {"key": "user"}),
    (LIMIT | {"rate": "19/s", "burst": 19}, LIMIT | {"algorithm": "fixed_window"}),
    (LIMIT | {"rate": "20/s", "algorithm": "sliding_window"}, LIMIT | {"burst": 10}),
    (LIMIT | {"rate": "59/min", "algorithm": "fixed_window"}, LIMIT | {"rate": "1/s", "algorithm": "fixed_window"}),
    (
        {"kind": "bulkhead", "max_concurrent": 5, "key": "user"},
        {"kind": "bulkhead", "max_concurrent": 5, "max_wait": "1s"},
    ),
    ({"kind": "breaker"}, {"kind": "breaker", "failure_rate": "10%"}),
]


@pytest.mark.parametrize("pair", BINDING)
def test_a_rule_that_can_refuse_by_itself_is_left_alone(tmp_path, pair):
    assert [] == [code for code in found(tmp_path, *pair) if "never-binds" in code]


@pytest.mark.parametrize(
    "rule", [LIMIT, {"kind": "breaker", "slow_call": "1s"}, {"kind": "bulkhead", "max_concurrent": 3}]
)
def test_of_two_equal_rules_the_later_one_is_too_many(tmp_path, rule):
    assert [("rule 1", "never-binds")] == found(tmp_path, rule, rule)


OVERRIDES = LIMIT | {"key": "user", "overrides": {"ann": "500/s", "bob": "30/s", "eve": "5/s"}}

#   beside the rule with overrides                            for whom they promise more than there is
BESIDE = [
    (LIMIT | {"rate": "100/s"}, ["ann"]),
    (LIMIT | {"rate": "30/s"}, ["ann", "bob"]),
    (LIMIT | {"rate": "30/s", "key": "user"}, ["ann", "bob"]),
    (LIMIT | {"rate": "100/s", "when": {"plan": "free"}}, []),
    (LIMIT | {"rate": "100/s", "mode": "shadow"}, []),
    (LIMIT | {"rate": "100/s", "key": "client.ip"}, []),
    (LIMIT | {"rate": "100/s", "key": "user", "overrides": {"ann": "600/s"}}, []),
    ({"kind": "bulkhead", "max_concurrent": 1}, []),
]


@pytest.mark.parametrize(("other", "keys"), BESIDE)
def test_an_override_that_promises_more_than_another_limit_lets_in_contradicts_it(tmp_path, other, keys):
    assert [("rule 0", "out-of-reach")] * len(keys) == found(tmp_path, OVERRIDES, other)
    path = tmp_path / "rules.yaml"
    assert keys == [one.finding.where[1] for one in judge(str(path)).found]


def test_an_override_is_named_once_however_many_limits_are_below_it(tmp_path):
    others = [LIMIT | {"rate": "100/s"}, LIMIT | {"rate": "90/s", "key": "user"}]
    assert [("rule 0", "out-of-reach")] == found(tmp_path, OVERRIDES, *others)


@pytest.mark.parametrize("name", ["demo", "gateway", "payments", "starter"])
def test_the_rule_files_that_ship_are_sound(name):
    assert [] == list(judge(str(ROOT / "rules" / f"{name}.yaml")).found)


BAD = """\
version: 1
rules:
  - name: floor
    resource: "* /**"
    kind: limit
    rate: 10/s
  - resource: ["GET /a/*", "GET /b"]
    except: ["GET /a/**"]
    kind: limit
    rate: 20/s
"""
IDLE_TEXT = (
    "'GET /a/*/limit' never refuses a call by itself: 'floor' (rules.yaml:3) is asked about the same calls, counts them "
    "under the same or a wider key, and is at no time looser; take one of them out, or make this one tighter"
)
DEAD_TEXT = "except leaves out everything that 'GET /a/*' matches; take it out of resource, or out of except"


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yaml").write_text(BAD)
    (tmp_path / "good.yaml").write_text(BAD[: BAD.index("  - resource")])
    (tmp_path / "broken.yaml").write_text("version: 1\nrules:\n  - {resource: a, kind: limit, rate: often}\n")
    return tmp_path


def test_each_finding_has_its_place_and_what_to_do(files):
    done = guardrail("lint", "rules.yaml", "good.yaml")
    assert 1 == done.code
    assert (
        f"""\
good.yaml: nothing found; 1 rule
rules.yaml:7:16: {DEAD_TEXT} [dead-pattern]
    - resource: ["GET /a/*", "GET /b"]
rules.yaml:10:11: {IDLE_TEXT} [never-binds]
    rate: 20/s
2 findings in 1 file
"""
        == done.out
    )


def test_nothing_found_is_0(files):
    assert (0, "good.yaml: nothing found; 1 rule\n", "") == guardrail("lint", "good.yaml")


def test_github_gets_warnings_and_for_mistakes_errors(files):
    done = guardrail("lint", "--format", "github", "rules.yaml", "broken.yaml", "good.yaml")
    assert 1 == done.code
    error, dead, idle, praise = done.out.splitlines()
    assert error.startswith("::error file=broken.yaml,line=3,col=38::rate must be")
    assert f"::warning file=rules.yaml,line=7,col=16::{DEAD_TEXT} [dead-pattern]" == dead
    assert idle.startswith("::warning file=rules.yaml,line=10,col=11::")
    assert "good.yaml: nothing found; 1 rule" == praise


def test_json_is_stable(files):
    done = guardrail("lint", "--format", "json", "rules.yaml", "broken.yaml")
    assert 1 == done.code
    plain = json.loads(done.out)
    assert (False, 2, 1) == (plain["ok"], len(plain["findings"]), len(plain["problems"]))
    assert {
        "code": "dead-pattern",
        "rule": "GET /a/*/limit",
        "wrong": DEAD_TEXT.partition("; ")[0],
        "advice": DEAD_TEXT.partition("; ")[2],
        "message": f"{DEAD_TEXT} [dead-pattern]",
        "file": "rules.yaml",
        "line": 7,
        "column": 16,
        "excerpt": '- resource: ["GET /a/*", "GET /b"]',
    } == plain["findings"][0]
    assert json.loads(guardrail("lint", "--format", "json", "good.yaml").out)["ok"]


def test_mistakes_in_the_rules_come_first(files):
    done = guardrail("lint", "broken.yaml", "missing.yaml")
    assert 1 == done.code
    assert "broken.yaml:3:38: rate must be" in done.out
    assert "missing.yaml: cannot be read" in done.out


def test_a_dash_is_what_is_piped_in(files):
    assert "<stdin>:7:16: " in guardrail("lint", "-", stdin=BAD).out


def test_a_folder_is_judged_as_one(files):
    folder = files / "folder"
    folder.mkdir()
    (folder / "b.yaml").write_text(BAD[: BAD.index("  - resource")])
    (folder / "a.yaml").write_text("version: 1\nrules:\n" + BAD[BAD.index("  - resource") :])
    out = guardrail("lint", "folder").out
    assert "folder/a.yaml:3:16: " in out
    assert "folder/a.yaml:6:11: " in out
    assert "'floor' (folder/b.yaml:3)" in out


def test_a_terminal_shows_places_in_bold(files):
    assert "\x1b[1mrules.yaml:7:16: \x1b[0m" in terminal("lint", "rules.yaml", cwd=files).out


def test_two_thousand_rules_take_no_time(tmp_path):
    path = tmp_path / "many.yaml"
    rows = [f"  - {{resource: GET /v1/r{n}/{{id}}, kind: limit, rate: 5/s, key: client.ip}}\n" for n in range(2_000)]
    path.write_text("version: 1\nrules:\n" + "".join(rows).replace("GET", '"GET').replace("{id},", '{id}",'))
    assert 2_000 == len(RuleSet.load(path))
    assert [] == list(judge(str(path)).found)
