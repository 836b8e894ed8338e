"""The schema for editors says no more and no less than it should."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.errors import RuleError
from guardrail.rules.diagnosis import field_names
from guardrail.rules.model import MODELS
from guardrail.rules.ruleset import RuleSet
from guardrail.rules.schema import json_schema

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "rules").glob("*.yaml"))
BAD = sorted((ROOT / "tests" / "bad_rules").glob("*.yaml"))


SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def plain(text):
    """Return what an editor's YAML parser makes of a file, or None where that is nothing JSON has."""
    try:
        values = yaml.safe_load(text)
        json.dumps(values)
    except (yaml.YAMLError, TypeError):
        return None
    return values


def test_it_is_a_schema_of_draft_07():
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert "http://json-schema.org/draft-07/schema#" == SCHEMA["$schema"]


def test_the_file_in_rules_is_in_step():
    """Where this fails: `python -m guardrail schema > rules/schema.json`, or the lines of `guardrail.rules.schema`."""
    assert json.dumps(json_schema(), indent=2) + "\n" == (ROOT / "rules" / "schema.json").read_text()


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_example_rules_load_and_fit_the_schema(file):
    text = file.read_text()
    assert len(RuleSet.load(file)) >= 1
    assert [] == [error.message for error in VALIDATOR.iter_errors(plain(text))]
    assert text.startswith("# yaml-language-server: $schema=schema.json\n")


def test_example_rules_can_stand_in_one_folder():
    assert len(RuleSet.load(ROOT / "rules")) == sum(len(RuleSet.load(file)) for file in EXAMPLES)


def test_editors_see_a_good_part_of_all_mistakes():
    """What a schema can see, such as unknown keys and missing fields, it does see."""
    unseen = {
        file.stem for file in BAD if (values := plain(file.read_text())) is not None and VALIDATOR.is_valid(values)
    }
    seen = {file.stem for file in BAD} - unseen
    assert {"unknown_key", "no_rate", "unknown_algorithm", "burst_zero", "unknown_kind", "wrong_version"} <= seen
    assert {"defaults_with_unknown_key", "resource_list_empty", "key_of_another_kind", "burst_in_quotes"} <= seen
    assert len(seen) >= 75


FIELDS = {
    "name": ["a", 5],
    "except": ["a.b", ["a.*"], []],
    "when": [{"plan": "free"}, {"plan": ["free", 1]}, {"a": "!b"}],
    "key": ["user", ["a", "b|c"], []],
    "mode": ["enforce", "shadow", "off", False, "${NO_MODE:-off}"],
    "enforce": ["10%", 0.5, "${NO_SHARE:-5%}", 1],
    "rate": ["100/s", "5 per 15 minutes", "${NO_RATE:-5}/s"],
    "burst": [20, "${NO_BURST:-20}"],
    "algorithm": ["token_bucket", "sliding_window", "leaky_bucket"],
    "cost": [1, "size"],
    "charge": ["always", "failure"],
    "overrides": [{"a": "5/s"}, {}],
    "max_wait": ["250ms", 1, 0.5, "PT1M", 0],
    "scope": ["shared", "local"],
    "on_store_error": ["local", "allow", "deny"],
    "failure_rate": ["50%", 0.5],
    "slow_call": ["1s"],
    "slow_rate": ["50%"],
    "consecutive_failures": [5],
    "window": ["30s"],
    "window_calls": [100],
    "min_calls": [10],
    "open_for": ["5s", 5],
    "open_for_max": ["60s"],
    "half_open_calls": [3],
    "probe_timeout": ["30s"],
    "failures": ["TimeoutError", ["http.5xx", "httpx.TransportError"]],
    "ignore": [["ValueError"], []],
    "max_concurrent": [10],
    "max_queue": [100],
    "lease": ["30s"],
    "resource": ["a", ["a.*", "GET /x/{id}"], 5],
}


def test_every_field_is_described():
    definitions = SCHEMA["definitions"]
    assert FIELDS.keys() | {"kind"} == {name for model in MODELS.values() for name in field_names(model)}
    for kind, model in MODELS.items():
        assert field_names(model).keys() == definitions[kind]["properties"].keys()
        for name, field in definitions[kind]["properties"].items():
            assert name == "kind" or field["description"], name


def rules_of(kind):
    fields = {name: st.sampled_from(FIELDS[name]) for name in field_names(MODELS[kind]) if name != "kind"}
    required = {name: fields.pop(name) for name in ("resource", "rate", "max_concurrent") if name in fields}
    return st.fixed_dictionaries(required, optional=fields).map(lambda rule: {"kind": kind, **rule})


@settings(max_examples=100)
@given(rule=st.sampled_from(sorted(MODELS)).flatmap(rules_of))
def test_what_the_schema_refuses_the_loader_refuses_too(rule):
    """Each value of FIELDS is a good one by itself, so the schema must take them all; not all go together for the loader."""
    document = {"version": 1, "rules": [rule]}
    assert [] == [error.message for error in VALIDATOR.iter_errors(document)]
    together = ("applies", "needs", "exclude", "must not be above", "must not be below")
    try:
        RuleSet.parse(yaml.safe_dump(document))
    except RuleError as wrong:
        refused = [problem.message for problem in wrong.problems]
    else:
        refused = []
    assert [] == [message for message in refused if not any(word in message for word in together)]


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_a_bad_file_that_the_schema_refuses_is_refused_by_the_loader(file):
    values = plain(file.read_text())
    if values is not None and not VALIDATOR.is_valid(values):
        with pytest.raises(RuleError):
            RuleSet.load(file)
