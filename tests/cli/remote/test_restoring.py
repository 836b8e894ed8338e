"""A snapshot that was tampered with, or is another version's, ends in a sentence and does nothing to a terminal."""

import json

import pytest

from guardrail.cli.remote.levers import standing_text
from guardrail.cli.remote.restoring import OtherVersion, restored
from guardrail.cli.remote.screen import lines
from guardrail.cli.remote.summing import picture_of
from tests.cli.remote.scene import breaker, breakers, bulkhead, hot, rule, sight, snapshot, store
from tests.control.scene import guard_of

EVIL = "\x1b[2J"
VALUES = ["many", -1, 0, 1 << 70, 1e300, float("nan"), True, None, [], [1], {}, {"a": 1}, EVIL, [[[]]]]


def full():
    """A snapshot with something of everything, as JSON brings it."""
    one = snapshot(
        rule("r", mode="shadow", shadow_refused=3, allowed=5, keys=2),
        breakers=(breakers("b", {"open": 1}, b=breaker("open", reason="failures", moved_at=1.0, retry_after=1.0)),),
        bulkheads=(bulkhead("full", 3, 1, 4),),
        hot_keys=(hot("r", "k1", 9, 3),),
        store=store(),
    )
    return json.loads(json.dumps(one.to_dict()))


def places(value, path=()):
    """Where each value stands."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inside:
        yield from places(one, (*path, name))


def tampered(path, value):
    plain = full()
    inner = plain
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return plain


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_whatever_stands_in_a_snapshot_it_is_shown_or_refused(value):
    for path in list(places(full()))[1:]:
        try:
            seen = restored(tampered(path, value))
        except OtherVersion:
            continue
        said = "\n".join(lines([picture_of([sight(seen)])]))
        assert said.replace("\n", "").isprintable(), path


def test_a_value_of_another_type_is_refused():
    for path, value in ((("rules", 0, "allowed"), "many"), (("pid",), EVIL), (("at",), None), (("mode",), 3)):
        with pytest.raises(OtherVersion):
            restored(tampered(path, value))


def test_what_guards_say_is_of_the_right_types():
    guard = guard_of()
    guard.breakers["payments"].force_open()
    guard.try_enter("orders", {"user": "u1"}).exit()
    assert restored(json.loads(json.dumps(guard.snapshot().to_dict()))).rules


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_whatever_a_verdict_says_it_is_shown(value):
    for allowed in True, False:
        for name in ("limit", "remaining", "wait", "retry_after", "reason", "text", "kind", "shadow"):
            verdict = {"allowed": allowed, "kind": "limit", "text": "5/s", "limit": 5, "remaining": 3, name: value}
            assert standing_text(verdict).isprintable()
