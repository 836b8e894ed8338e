"""Whatever is in a file: rules or a RuleError, never anything else, in bounded time and memory."""

import re
import time
import tracemalloc
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guardrail.errors import RuleError
from guardrail.rules import reader
from guardrail.rules.page import LARGEST_FILE
from guardrail.rules.ruleset import RuleSet

ROOT = Path(__file__).parents[2]
SAMPLES = [
    *((ROOT / "rules" / name).read_bytes() for name in ("starter.yaml", "gateway.yaml", "payments.yaml")),
    *(file.read_bytes() for file in sorted((ROOT / "tests" / "bad_rules").glob("*.yaml"))),
]
SMALL = (ROOT / "rules" / "starter.yaml").read_bytes()
PIECES = [
    *(b"- \n|  |: |{|}|[|]|,|*|&a|!|!!str |<<: |---\n|...\n|%YAML 1.1\n|@|`|\"|'|#| #|? |>-\n|$|${A}|${A:-|$$|~|null|yes".split(b"|")),
    *(b'0|-1|010|1e999|.inf|1:30|2026-11-21|\0|\xff|\xef\xbb\xbf|\xff\xfe|\xe2\x80\xa8|\t|\r\n|\x85|\\x00|"\\ud800"|"\\U00110000"'.split(b"|")),
    *(b"name|resource|except|when|kind|limit|breaker|bulkhead|rate|burst|key|overrides|version|rules|defaults|5/s|50%|**".split(b"|")),
]  # fmt: skip


def outcome(content):
    try:
        return RuleSet.parse(content)
    except RuleError as wrong:
        refused = wrong
    assert str(refused)
    for problem in refused.problems[:1_000]:
        assert problem.message
        assert problem.line >= 1
        assert problem.column >= 1
    return refused


def mutated(sample, changes):
    content = bytearray(sample)
    for place, length, piece in changes:
        start = place % (len(content) + 1)
        content[start : start + length] = piece
    return bytes(content)


@given(st.binary(max_size=200))
@example(b"")
@example(b"\xff\xfe")
@example(b"\xff\xfe\0\0")
@example(b"version: 1\nrules: " + b"9" * 5_000)
@example(b"version: 1\nrules: [{resource: a, kind: limit, rate: 1/s, burst: " + b"9" * 5_000 + b"}]")
@example(b'version: "\\ud800"')
@example(b'"\\U00110000": 1')
@example(b'version: 1\nrules: [{resource: "\\0", kind: limit, rate: 1/s}]')
def test_any_bytes_are_rules_or_a_RuleError(content):
    outcome(content)


@given(st.text(max_size=200))
@example("\ud800")
@example("version: 1\nrules: [{resource: '\u2028', kind: limit, rate: 1/s}]")
def test_any_text_is_rules_or_a_RuleError(content):
    outcome(content)


@given(st.lists(st.sampled_from(PIECES), max_size=30).map(b" ".join))
def test_any_pieces_of_rules_are_rules_or_a_RuleError(content):
    outcome(content)


changes = st.lists(
    st.tuples(st.integers(0, 5_000), st.integers(0, 12), st.sampled_from(PIECES)), min_size=1, max_size=4
)


@settings(max_examples=200)
@given(st.sampled_from(SAMPLES), changes)
def test_any_mutation_of_a_rule_file_is_rules_or_a_RuleError(sample, changes):
    outcome(mutated(sample, changes))


@settings(max_examples=60)
@given(st.sampled_from(SAMPLES), changes)
def test_the_parser_in_Python_is_as_patient_as_libyaml(sample, changes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "_Loader", yaml.SafeLoader)
        outcome(mutated(sample, changes))


def test_every_prefix_of_a_rule_file_is_rules_or_a_RuleError():
    whole = RuleSet.parse(SMALL)
    loaded = [read for end in range(len(SMALL)) if isinstance(read := outcome(SMALL[:end]), RuleSet)]
    assert all(read.rules[:-1] == whole.rules[: len(read) - 1] for read in loaded if len(read))


def test_every_line_may_be_missing():
    lines = SMALL.splitlines(keepends=True)
    for number in range(len(lines)):
        outcome(b"".join(lines[:number] + lines[number + 1 :]))


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.text(max_size=4), st.integers()), inner, max_size=3)),
    max_leaves=8,
)  # fmt: skip
FIELDS = sorted(set(re.findall(r"^    ([a-z_]+):", b"".join(SAMPLES).decode("utf-8", "replace"), re.MULTILINE)))


@given(
    st.dictionaries(
        st.one_of(st.sampled_from([*FIELDS, "kind", "resource", "rate"]), st.text(max_size=5)), values, max_size=6
    )
)
@example({"kind": "limit", "resource": [[]], "rate": {}, "when": {1: {2: 3}}, "overrides": [1]})
@example({"kind": ["limit"], "resource": {}, "key": [[["a"]]]})
@example({"kind": "limit", "resource": {0: "a"}, "rate": "1/s"})
def test_any_plain_values_are_rules_or_a_RuleError(fields):
    for values in (
        [fields],
        fields,
        {"version": 1, "rules": [fields], "defaults": {"limit": fields, "breaker": fields}},
    ):
        try:
            RuleSet.parse(values)
        except RuleError as wrong:
            refused = str(wrong)
            assert refused


SIZE = LARGEST_FILE // 16
START = b"version: 1\nrules:\n  - resource: a\n    kind: limit\n    rate: 5/s\n    key: u\n"
BOMBS = {
    "deep lists": b"[" * SIZE,
    "deep blocks": b"- " * (SIZE // 2),
    "aliases": b"a: &a [x]\nb: [" + b"*a," * (SIZE // 30) + b"]",
    "billion laughs": b"a0: &a0 [x]\n" + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b"*a%d," % (n - 1) * 9) for n in range(1, 30)),
    "unquoted stars": b"- *.x\n" * (SIZE // 6),
    "unknown keys": START + b"".join(b"    burs%d: 1\n" % n for n in range(5_000)),
    "duplicate keys": b"a: 1\n" * (SIZE // 20),
    "documents": b"---\n" * (SIZE // 4),
    "one long line": b"version: " + b"a" * (SIZE - 100),
    "one long key": START + b"    " + b"a" * (SIZE - 200) + b": 1\n",
    "variables": START + b"    name: '" + b"${PATH}" * (SIZE // 8) + b"'\n",
    "open variables": START + b"    name: '" + b"${a:-" * (SIZE // 6) + b"'\n",
    "wrong overrides": START + b"    overrides:\n" + b"".join(b"      k%d: x\n" % n for n in range(5_000)),
    "rates that do not fit": START + b"    overrides:\n" + b"".join(b"      k%d: 9007%d/1000003s\n" % (n, n) for n in range(500)),
    "long patterns": START + b"    except:\n" + b"".join(b"      - '*/%s%d'\n" % (b"a/" * 480, n) for n in range(250)),
    "question marks": b"? " * (SIZE // 2),
    "empty lines": b"\n" * SIZE,
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_no_file_takes_more_than_its_share_of_time_and_memory(bomb):
    """A sixteenth of the largest file; a whole one may take as much more."""
    assert len(bomb) <= SIZE
    started = time.process_time()
    tracemalloc.start()
    try:
        outcome(bomb)
        assert tracemalloc.get_traced_memory()[1] < 32 * 2**20
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < 10
