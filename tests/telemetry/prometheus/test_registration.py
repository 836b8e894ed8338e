"""A guard is registered once, with whatever registry, and shown until it is taken out."""

import gc
import subprocess
import sys
import weakref

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest

from guardrail import default
from guardrail.telemetry.prometheus import register, unregister
from tests.telemetry.prometheus.scene import AT, Seen, guard_of, of, series, snapshot

ONE = snapshot(("a", "r", 1, 0, 0, 0))
TWO = snapshot(("a", "r", 2, 0, 0, 0))


@pytest.fixture
def registry():
    return CollectorRegistry(auto_describe=True)


def allowed(registry):
    return {
        place: value
        for place, value in of(series(generate_latest(registry).decode()), "guardrail_decisions_total").items()
        if "outcome=allow" in place
    }


def test_registering_again_changes_nothing(registry):
    seen = Seen(ONE)
    for _ in range(2):
        register(seen, registry)
    assert {"{outcome=allow,resource=a,rule=r}": 1} == allowed(registry)


def test_two_guards_need_names(registry):
    register(Seen(ONE), registry)
    with pytest.raises(ValueError, match="another guard is registered without a name; give this one a name="):
        register(Seen(TWO), registry)


def test_names_tell_guards_apart(registry):
    one, two = Seen(ONE), Seen(TWO)
    register(one, registry, name="in")
    register(two, registry, name="out")
    register(two, registry)
    assert {
        "{guard=in,outcome=allow,resource=a,rule=r}": 1,
        "{guard=out,outcome=allow,resource=a,rule=r}": 2,
    } == allowed(registry)


def test_a_name_that_is_taken(registry):
    register(Seen(ONE), registry, name="in")
    with pytest.raises(ValueError, match="another guard is registered as name='in'"):
        register(Seen(TWO), registry, name="in")


def test_one_guard_with_a_name_beside_one_without(registry):
    register(Seen(ONE), registry)
    register(Seen(TWO), registry, name="out")
    assert {
        "{guard=,outcome=allow,resource=a,rule=r}": 1,
        "{guard=out,outcome=allow,resource=a,rule=r}": 2,
    } == allowed(registry)


def test_one_guard_in_two_registries(registry):
    seen, other = Seen(ONE), CollectorRegistry()
    register(seen, registry)
    register(seen, other)
    assert allowed(registry) == allowed(other) != {}


def test_a_guard_taken_out_can_be_registered_again(registry):
    seen = Seen(ONE)
    register(seen, registry)
    unregister(seen, registry)
    assert b"guardrail" not in generate_latest(registry)
    register(seen, registry)
    assert {"{outcome=allow,resource=a,rule=r}": 1} == allowed(registry)


def test_the_others_stay(registry):
    one, two = Seen(ONE), Seen(TWO)
    register(one, registry, name="in")
    register(two, registry, name="out")
    unregister(one, registry)
    assert {"{guard=out,outcome=allow,resource=a,rule=r}": 2} == allowed(registry)


@pytest.mark.parametrize("before", [False, True])
def test_taking_out_what_is_not_there(registry, before):
    if before:
        register(Seen(ONE), registry)
    with pytest.raises(ValueError, match="this guard is not registered here"):
        unregister(Seen(TWO), registry)


@pytest.mark.parametrize("wrong", ["guard", 3, Seen])
def test_what_is_no_guard(registry, wrong):
    with pytest.raises(TypeError, match="guard must be a Guard, or None for the default one, got"):
        register(wrong, registry)
    assert b"guardrail" not in generate_latest(registry)


def test_names_that_somebody_else_has_are_not_taken(registry):
    Counter("guardrail_decisions", "of somebody else", registry=registry)
    with pytest.raises(ValueError, match="guardrail_decisions"):
        register(Seen(ONE), registry)


def test_none_is_whichever_guard_is_the_default_one_then(registry):
    register(registry=registry)
    for rate in ("1/min", "2/min"):
        with default.substituted(rules=[{"name": rate, "resource": "a", "kind": "limit", "rate": rate}]) as guard:
            register(guard, registry)  # the same one, at the moment
            guard.try_enter("a").exit()
            assert {f"{{outcome=allow,resource=a,rule={rate}}}": 1} == allowed(registry)


def test_a_registry_that_is_gone_holds_no_guard():
    guard = guard_of()
    gone = weakref.ref(guard)
    register(guard, CollectorRegistry())
    del guard
    gc.collect()
    assert gone() is None


def test_some_of_the_names_can_be_asked_for(registry):
    register(Seen(ONE), registry)
    some = generate_latest(registry.restricted_registry(["guardrail_rules_last_reload_success_timestamp_seconds"]))
    assert {"guardrail_rules_last_reload_success_timestamp_seconds": AT} == series(some.decode())


def test_importing_it_starts_nothing_and_registers_nothing():
    program = (
        "import threading, prometheus_client, guardrail.telemetry.prometheus\n"
        "print(threading.active_count(), b'guardrail' in prometheus_client.generate_latest())"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "1 False" == run.stdout.strip()


def test_without_prometheus_client_it_says_what_to_install():
    program = "import sys; sys.modules['prometheus_client'] = None; import guardrail.telemetry.prometheus"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert 'needs prometheus-client: pip install "guardrail-py[prometheus]"' in run.stderr
