"""What `guardrail doctor` says of rule files, the kill switch, proxies and this Python."""

import json
import os
import sys
import tomllib

import pytest

from guardrail.cli.doctor import interpreter, libraries
from guardrail.cli.doctor.files import file_findings
from guardrail.cli.doctor.finding import Severity
from guardrail.cli.doctor.libraries import LIBRARIES, MULTIPROC
from tests.cli.doctor.scene import SECRET, seen
from tests.cli.shell import ROOT, guardrail

OK, NOTE, WARNING, ERROR = Severity
LIMIT = {"resource": "a.b", "kind": "limit", "rate": "10/s"}


@pytest.fixture
def seen_with(tmp_path):
    """Run the doctor over these rules."""

    def look(*rules, store="memory://"):
        path = tmp_path / "rules.yaml"
        path.write_text(json.dumps({"version": 1, "rules": list(rules)}))
        path.chmod(0o644)
        return seen("--rules", path, "--store", store)

    tmp_path.chmod(0o755)
    return look


@pytest.fixture
def environment(monkeypatch):
    return monkeypatch.setenv


# Rule files ----------------------------------------------------------------------------------------------------------


def test_rules_that_can_be_used(seen_with):
    report = seen_with(LIMIT)
    assert "ok" == report.severity("rules.files")
    assert 1 == report.found["rules.files"]["measured"]["rules"]
    assert {} == report.worse_than("note")


def test_no_rules_are_named():
    assert "note" == seen().severity("rules.files")


def test_the_environment_names_rules_and_store(tmp_path, environment):
    (tmp_path / "rules.yaml").write_text(json.dumps({"version": 1, "rules": [LIMIT]}))
    environment("GUARDRAIL_RULES", str(tmp_path))
    environment("GUARDRAIL_STORE", f"redis://:{SECRET}@127.0.0.1:1/3?prefix=app")
    report = seen()
    assert "ok" == report.severity("rules.files")
    assert {"url": "redis://127.0.0.1:1/3", "prefix": "app"} == report.found["store.url"]["measured"]


def test_rules_that_cannot_be_used(seen_with):
    report = seen_with(LIMIT | {"rate": "often", "bursts": 1}, LIMIT | {"resource": "*.*.**.*", "key": 5, "mode": "on"})
    assert "error" == report.severity("rules.files")
    assert 4 == len(report.found["rules.files"]["measured"]["problems"])
    assert "and 1 more" in report.sentence("rules.files")
    assert "guardrail validate" in report.sentence("rules.files")
    assert "proxies.none" in report.found  # the other looks go on


def test_rules_that_are_not_there():
    report = seen("--rules", "nowhere/rules.yaml")
    assert "error" == report.severity("rules.files")
    assert "No such file" in report.sentence("rules.files")


def test_rules_that_only_watch_or_are_off(seen_with):
    report = seen_with(LIMIT, LIMIT | {"name": "x", "mode": "shadow"}, LIMIT | {"name": "y", "mode": "off"})
    assert {"shadow": ["x"], "off": ["y"]} == report.found["rules.not-enforced"]["measured"]
    assert "of 3 rules, 1 only watches and 1 is off" == report.found["rules.not-enforced"]["found"]
    alone = seen_with(LIMIT | {"name": "y", "mode": "off"}, LIMIT | {"name": "z", "mode": "off"})
    assert "of 2 rules, 2 are off" == alone.found["rules.not-enforced"]["found"]


def test_what_lint_finds_is_mentioned(seen_with):
    assert ["all-or-nothing"] == seen_with(LIMIT | {"enforce": "50%"}).found["rules.lint"]["measured"]["codes"]


def test_rules_that_are_piped_in():
    """They cannot be looked at as files, nor read twice."""
    rules = json.dumps({"version": 1, "rules": [LIMIT | {"enforce": "50%"}]})
    done = guardrail("doctor", "--rules", "-", "--json", stdin=rules)
    codes = {one["code"] for one in json.loads(done.out)["findings"]}
    assert "rules.files" in codes
    assert codes.isdisjoint({"rules.lint", "rules.reload", "rules.writable"})


@pytest.mark.skipif(os.name == "nt", reason="modes say nothing there")
def test_rules_that_anybody_may_write(seen_with, tmp_path):
    assert "rules.writable" not in seen_with(LIMIT).found
    (tmp_path / "rules.yaml").chmod(0o666)
    for path in tmp_path / "rules.yaml", tmp_path:
        report = seen("--rules", path)
        assert "warning" == report.severity("rules.writable")
        assert f"chmod o-w {tmp_path / 'rules.yaml'}" in report.sentence("rules.writable")


@pytest.mark.skipif(os.name == "nt", reason="modes say nothing there")
def test_a_folder_of_rules_that_anybody_may_write(seen_with, tmp_path):
    seen_with(LIMIT)
    tmp_path.chmod(0o777)
    assert [str(tmp_path)] == seen("--rules", tmp_path).found["rules.writable"]["measured"]["writable"]


def test_a_file_that_goes_while_it_is_looked_at(tmp_path, monkeypatch):
    gone = tmp_path / "gone.yaml"
    gone.symlink_to("nowhere")
    (tmp_path / "rules.yaml").write_text(json.dumps({"version": 1, "rules": [LIMIT]}))
    tmp_path.chmod(0o755)
    assert [] == [finding.code for finding in file_findings(str(tmp_path)) if finding.code != "rules.reload"]


def test_modes_say_nothing_on_windows(tmp_path, monkeypatch):
    (tmp_path / "rules.yaml").touch()
    (tmp_path / "rules.yaml").chmod(0o666)
    monkeypatch.setattr("guardrail.cli.doctor.files.HAS_MODES", False)
    assert ["rules.reload"] == [finding.code for finding in file_findings(str(tmp_path / "rules.yaml"))]


def test_a_config_map(tmp_path):
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "rules.yaml").write_text(json.dumps({"version": 1, "rules": [LIMIT]}))
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "rules.yaml").symlink_to("..data/rules.yaml")
    for path in tmp_path, tmp_path / "rules.yaml":
        report = seen("--rules", path)
        assert "note" == report.severity("rules.reload")
        assert "subPath" in report.sentence("rules.reload")


@pytest.mark.parametrize(
    ("version", "words"), [("1.2.3", "noticed at once by watchfiles 1.2.3"), (None, "not installed")]
)
def test_how_changes_of_the_files_are_noticed(seen_with, monkeypatch, version, words):
    monkeypatch.setattr("guardrail.cli.doctor.files.version_of", lambda _: version)
    assert words in seen_with(LIMIT).sentence("rules.reload")


# Sharing -------------------------------------------------------------------------------------------------------------

NOWHERE = "redis://127.0.0.1:1"

#   the rule                                                     without a store        with one
SHARED = [
    (LIMIT, ("rules.no-store", "ok"), ("rules.on-store-error", "ok")),
    (LIMIT | {"scope": "shared"}, ("rules.no-store", "warning"), ("rules.on-store-error", "ok")),
    (LIMIT | {"on_store_error": "local"}, ("rules.no-store", "warning"), ("rules.on-store-error", "ok")),
    (LIMIT | {"on_store_error": "deny"}, ("rules.no-store", "warning"), ("rules.on-store-error", "note")),
    (LIMIT | {"on_store_error": "allow"}, ("rules.no-store", "warning"), ("rules.on-store-error", "note")),
    (LIMIT | {"scope": "shared", "mode": "off"}, ("rules.no-store", None), ("rules.on-store-error", "ok")),
    (LIMIT | {"scope": "local"}, ("rules.no-store", None), ("rules.on-store-error", "ok")),
    (
        {"resource": "a", "kind": "bulkhead", "max_concurrent": 2, "scope": "shared"},
        ("rules.no-store", "warning"),
        ("rules.shared-bulkheads", "warning"),
    ),
]


@pytest.mark.parametrize(("rule", "without", "with_one"), SHARED)
def test_rules_are_held_against_the_store(seen_with, rule, without, with_one):
    for store, (code, severity) in (("memory://", without), (NOWHERE, with_one)):
        report = seen_with(rule, store=store)
        assert severity == report.found.get(code, {"severity": None})["severity"]


def test_rules_get_their_scope_from_defaults_too(tmp_path):
    defaults = {"limit": {"scope": "shared"}}
    (tmp_path / "a.yaml").write_text(json.dumps({"version": 1, "defaults": defaults, "rules": [LIMIT]}))
    assert "warning" == seen("--rules", tmp_path).severity("rules.no-store")


# The kill switch -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "severity"), [("", "ok"), ("enforce", "ok"), ("shadow", "warning"), ("off", "error"), ("of", "error")]
)
def test_a_kill_switch_that_was_forgotten(environment, mode, severity):
    environment("GUARDRAIL_MODE", mode)
    assert severity == seen().severity("rules.mode")


# Proxies -------------------------------------------------------------------------------------------------------------

BY_ADDRESS = LIMIT | {"key": "user|client.ip"}
TRUSTED = "GUARDRAIL_TRUSTED_PROXIES"

#   trusted                             the rule                                          said of it
PROXIES = [
    ("", LIMIT, {"proxies.none": "ok"}),
    ("", BY_ADDRESS, {"proxies.none": "note"}),
    ("", LIMIT | {"when": {"client.ip": "10.0.0.1"}}, {"proxies.none": "note"}),
    ("", BY_ADDRESS | {"mode": "off"}, {"proxies.none": "ok"}),
    ("10.0.0.0/8, unix", BY_ADDRESS, {"proxies.trusted": "ok"}),
    ("fc00::/7", BY_ADDRESS, {"proxies.trusted": "ok"}),
    ("0.0.0.0/0", BY_ADDRESS, {"proxies.everybody": "warning"}),
    ("10.0.0.1 ::/0", LIMIT, {"proxies.everybody": "warning"}),
    ("0.0.0.0/1,128.0.0.0/1", LIMIT, {"proxies.everybody": "warning"}),
    ("::ffff:0.0.0.0/96", LIMIT, {"proxies.everybody": "warning"}),
    ("10.0.0.0/8,*", LIMIT, {"proxies.unreadable": "error"}),
    ("proxy.internal", LIMIT, {"proxies.unreadable": "error"}),
]


@pytest.mark.parametrize(("trusted", "rule", "said"), PROXIES)
def test_whose_word_is_taken(seen_with, environment, trusted, rule, said):
    environment(TRUSTED, trusted)
    report = seen_with(rule)
    assert said == {code: one["severity"] for code, one in report.found.items() if code.startswith("proxies.")}


# This Python ---------------------------------------------------------------------------------------------------------


def test_versions_are_told():
    report = seen()
    assert f"{sys.version_info.major}.{sys.version_info.minor}." in report.sentence("python.version")
    versions = report.found["python.libraries"]["measured"]["versions"]
    assert {library.name for library in LIBRARIES} == set(versions)
    assert libraries.version_of("no-such-library") is None


def test_what_is_missing_and_which_extra_brings_it():
    versions = {library.name: None for library in LIBRARIES} | {"redis": "5.0.1"}
    nothing, missing = libraries.version_findings(versions)
    assert (OK, NOTE) == (nothing.severity, missing.severity)
    assert "watchfiles, prometheus-client, opentelemetry-api, grpcio" in missing.found
    assert 'pip install "guardrail-py[watch,prometheus,otel,grpc]"' in missing.advice


@pytest.mark.parametrize(("version", "count"), [("4.6.0", 2), ("5", 1), ("5.0b1", 1), ("10.2", 1), ("odd", 2)])
def test_a_library_that_is_too_old(version, count):
    versions = {library.name: "999" for library in LIBRARIES} | {"redis": version}
    assert count == len(list(libraries.version_findings(versions)))


def test_the_oldest_versions_are_those_that_are_declared():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for library in LIBRARIES:
        assert f"{library.name}>={library.least}" in extras[library.extra]


@pytest.mark.parametrize(
    ("free_threaded", "locked", "severity"), [(False, True, OK), (True, True, OK), (True, False, NOTE)]
)
def test_the_lock(free_threaded, locked, severity):
    assert severity is interpreter.lock_finding(free_threaded=free_threaded, locked=locked).severity


@pytest.mark.parametrize(("limits", "severities"), [((1024, 4096), [OK]), ((256, 4096), [WARNING]), (None, [])])
def test_how_many_files_may_be_open(limits, severities):
    assert severities == [finding.severity for finding in interpreter.file_findings(limits)]


def test_a_system_without_that_limit(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    assert interpreter.open_files() is None


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_the_limit_of_files_is_that_of_this_process():
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert interpreter.open_files() in {(soft, hard), None}


def test_the_folder_of_metrics(tmp_path, environment, monkeypatch):
    assert "python.prometheus-multiproc" not in seen().found
    for folder, severity in [(tmp_path, "ok"), (tmp_path / "gone", "error"), (ROOT / "README.md", "error")]:
        environment(MULTIPROC, str(folder))
        assert severity == seen().severity("python.prometheus-multiproc")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    environment(MULTIPROC, str(tmp_path))
    assert "may not write" in seen().sentence("python.prometheus-multiproc")


def test_the_folder_of_metrics_without_a_client(tmp_path):
    assert WARNING is libraries.multiprocess_finding(str(tmp_path), has_client=False).severity
