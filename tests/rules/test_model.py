"""The fields of a rule: their defaults, their meanings, and the limits, breakers and bulkheads they describe."""

from datetime import timedelta
from fractions import Fraction

import pytest

from guardrail.core.breaker import Breaker
from guardrail.core.bulkhead import Bulkhead
from guardrail.core.fixed_window import FixedWindow
from guardrail.core.leaky_bucket import LeakyBucket
from guardrail.core.sliding_log import SlidingLog
from guardrail.core.sliding_window import SlidingWindow
from guardrail.core.token_bucket import TokenBucket
from guardrail.errors import RuleError
from guardrail.rules.making import parse_rule
from guardrail.rules.scalars import Bare
from guardrail.rules.units import Rate, parse_rate

SECOND, MINUTE = 1_000_000, 60_000_000


def limit(**fields):
    return parse_rule({"resource": "orders", "kind": "limit", "rate": "100/min", **fields}, where="here")


def breaker(**fields):
    return parse_rule({"resource": "payments.*", "kind": "breaker", **fields}, where="here")


def bulkhead(**fields):
    return parse_rule({"resource": "reports", "kind": "bulkhead", "max_concurrent": 10, **fields}, where="here")


def mistakes(make, **fields):
    with pytest.raises(RuleError) as refused:
        make(**fields)
    return [problem.message.removeprefix("here: ") for problem in refused.value.problems]


def test_a_limit_says_little_and_means_this():
    rule = limit()
    assert {
        "name": "orders/limit",
        "resource": ("orders",),
        "except_": (),
        "when": {},
        "kind": "limit",
        "key": (),
        "mode": "enforce",
        "enforce": Fraction(1),
        "rate": Rate(100, MINUTE),
        "burst": None,
        "algorithm": "token_bucket",
        "cost": None,
        "charge": "always",
        "overrides": {},
        "max_wait_us": 0,
        "scope": "shared",
        "on_store_error": "local",
    } == dict(rule)
    assert TokenBucket(100, MINUTE, 100) == rule.limit()


def test_a_breaker_says_little_and_means_this():
    rule = breaker()
    assert (("resource",),) == rule.key
    assert (None, ()) == (rule.failures, rule.ignore)
    expected = Breaker(
        failure_rate=Fraction(1, 2),
        window_us=30 * SECOND,
        min_calls=10,
        open_for_us=5 * SECOND,
        half_open_calls=3,
        probe_timeout_us=30 * SECOND,
    )
    assert expected == rule.breaker()


def test_a_bulkhead_says_little_and_means_this():
    rule = bulkhead()
    assert (10, 0, None, "local", 30 * SECOND, ()) == (
        rule.max_concurrent,
        rule.max_wait_us,
        rule.max_queue,
        rule.scope,
        rule.lease_us,
        rule.key,
    )
    assert Bulkhead(10, None) == rule.bulkhead()
    assert Bulkhead(10, 5) == bulkhead(max_wait="1s", max_queue=5).bulkhead()


LIMITS = [
    ({"burst": 20}, TokenBucket(100, MINUTE, 20)),
    ({"burst": 20, "max_wait": "250ms"}, TokenBucket(100, MINUTE, 20, 250_000)),
    ({"rate": "0.5/s"}, TokenBucket(1, 2 * SECOND, 1)),
    ({"algorithm": "leaky_bucket", "max_wait": "1s"}, LeakyBucket(100, MINUTE, SECOND)),
    ({"algorithm": "sliding_window"}, SlidingWindow(100, MINUTE)),
    ({"algorithm": "sliding_window", "rate": "0.5/s"}, SlidingWindow(1, 2 * SECOND)),
    ({"algorithm": "fixed_window"}, FixedWindow(100, MINUTE)),
    ({"algorithm": "sliding_log", "rate": "10_000/h"}, SlidingLog(10_000, 60 * MINUTE)),
]


@pytest.mark.parametrize(("fields", "expected"), LIMITS)
def test_a_limit_rule_builds_the_limit_it_describes(fields, expected):
    built = limit(**fields).limit()
    assert (type(expected), expected) == (type(built), built)


def test_an_override_replaces_the_rate_and_the_burst_unless_that_is_written():
    vip = parse_rate("1000/s")
    assert TokenBucket(1000, SECOND, 1000) == limit().limit(vip)
    assert TokenBucket(1000, SECOND, 20) == limit(burst=20).limit(vip)


TRIGGERS = [
    # written                                             failure_rate     slow_rate        in a row
    ({}, Fraction(1, 2), None, None),
    ({"failure_rate": "20%"}, Fraction(1, 5), None, None),
    ({"slow_call": "1s"}, None, Fraction(1, 2), None),
    ({"slow_call": "1s", "slow_rate": 0.8}, None, Fraction(4, 5), None),
    ({"consecutive_failures": 5}, None, None, 5),
    ({"consecutive_failures": 5, "failure_rate": "50%"}, Fraction(1, 2), None, 5),
    ({"slow_call": "1s", "failure_rate": "10%"}, Fraction(1, 10), Fraction(1, 2), None),
]


@pytest.mark.parametrize(("fields", "failure_rate", "slow_rate", "row"), TRIGGERS)
def test_the_failure_rate_has_a_default_unless_another_trigger_is_written(fields, failure_rate, slow_rate, row):
    built = breaker(**fields).breaker()
    assert (failure_rate, slow_rate, row) == (built.failure_rate, built.slow_rate, built.consecutive_failures)


def test_a_window_of_calls_replaces_the_window_of_time():
    built = breaker(window_calls=100).breaker()
    assert (None, 100, 10) == (built.window_us, built.window_calls, built.min_calls)


def test_the_default_of_min_calls_is_no_larger_than_the_window():
    assert 5 == breaker(window_calls=5).breaker().min_calls


def test_exceptions_may_be_names_or_classes():
    rule = breaker(failures=[TimeoutError, "httpx.TransportError"], ignore=ValueError)
    assert (TimeoutError, "httpx.TransportError") == rule.failures
    assert (ValueError,) == rule.ignore


def test_python_values_are_as_good_as_text():
    rule = limit(rate=Rate(5, SECOND), burst=2, max_wait=timedelta(milliseconds=5), enforce=0.1, key=("a|b", "c"))
    assert (5_000, Fraction(1, 10), (("a", "b"), ("c",))) == (rule.max_wait_us, rule.enforce, rule.key)


KEYS = [
    ("user", (("user",),)),
    (["client.ip", "header.x-tenant"], (("client.ip",), ("header.x-tenant",))),
    ("user|client.ip", (("user", "client.ip"),)),
    (["user | client.ip", "path.id"], (("user", "client.ip"), ("path.id",))),
    ([], ()),
]


@pytest.mark.parametrize(("written", "key"), KEYS)
def test_a_key_is_a_list_of_alternatives(written, key):
    assert key == limit(key=written).key


def test_a_breaker_without_a_key_field_keeps_one_state_if_it_says_so():
    assert () == breaker(key=[]).key


def test_conditions_and_costs_are_text_or_whole_numbers():
    rule = limit(when={"plan": ["free", "trial"], "origin": "!billing", "region": 7}, cost="header.x-cost")
    assert {"plan": ("free", "trial"), "origin": ("!billing",), "region": ("7",)} == rule.when
    assert "header.x-cost" == rule.cost
    assert 3 == limit(cost=3).cost


def test_overrides_are_rates_per_value_of_the_key():
    rule = limit(key="client.ip", overrides={"10.0.0.7": "1000/min", 42: "5/s", "": "1/s"})
    assert {"10.0.0.7": Rate(1000, MINUTE), "42": Rate(5, SECOND), "": Rate(1, SECOND)} == rule.overrides


@pytest.mark.parametrize("mode", ["off", False, Bare("off"), Bare("Off"), Bare("false")])
def test_an_off_is_meant_whatever_a_parser_has_made_of_it(mode):
    assert "off" == limit(mode=mode).mode


REFUSED = [
    ({"burst": True}, "burst must be a whole number such as 20, got True"),
    ({"burst": 2.0}, "burst must be a whole number such as 20, got 2.0"),
    ({"burst": "many"}, "burst must be a whole number such as 20, got 'many'"),
    ({"burst": "20"}, "burst must be a whole number, got text: '20'; leave out the quotes"),
    ({"burst": 10**400}, "burst must be below 2^53, got a huge number"),
    ({"cost": "5"}, "cost must be a whole number, got text: '5'; leave out the quotes"),
    ({"cost": -1}, "cost must be at least 1, got -1"),
    ({"name": 1.5}, "name must be text, got 1.5"),
    ({"name": "x" * 2_001}, "name must have at most 2,000 characters, got 2,001"),
    ({"name": "a\tb"}, "name must be one line of text without space around it, got 'a\\tb'"),
    ({"resource": "x" * 1_001}, "resource must have at most 1,000 characters, got 1,001"),
    ({"resource": []}, "resource must list at least one"),
    ({"resource": {"a": 1}}, "resource must be text, got a mapping; put text that has { } or ': ' in it in quotes"),
    ({"resource": ["a", None]}, "resource[1] must be text, got None"),
    ({"mode": True}, "mode must be enforce, shadow or off, got True"),
    ({"mode": Bare("no")}, "mode must be enforce, shadow or off, got 'no'"),
    ({"mode": "false"}, "mode must be enforce, shadow or off, got 'false'"),
    ({"mode": ["off"]}, "mode must be enforce, shadow or off, got a list"),
    ({"when": "plan"}, "when must be a mapping such as {plan: free}, got 'plan'"),
    ({"overrides": 5, "key": "a"}, "overrides must be a mapping such as {vip: 1000/min}, got 5"),
    ({"when": {"plan": True}}, "when['plan'] must be text, got True"),
    ({"colour": "blue"}, "unknown key 'colour'; a limit takes algorithm, burst,"),
    ({"open_for": "5s"}, "open_for is a field of a breaker, not of a limit; leave it out"),
    ({"max_concurrent": 5}, "max_concurrent is a field of a bulkhead, not of a limit; leave it out"),
    ({5: 6}, "unknown key 5"),
    ({"x" * 50: 6}, f"unknown key '{'x' * 50}'; a limit takes"),
    ({"x" * 100: 6}, f"unknown key '{'x' * 80}...'"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED)
def test_a_wrong_value_is_named_with_what_to_write_instead(fields, message):
    with pytest.raises(RuleError) as refused:
        parse_rule({"resource": "orders", "kind": "limit", "rate": "100/min", **fields}, where="here")
    (problem,) = refused.value.problems
    assert problem.message.startswith(f"here: {message}")


TOO_LARGE = [
    ({"rate": "1000003/d"}, "1000003/d needs numbers of 2^53 and above, which are not exact; the nearest rate that fits is 1000000/d"),
    ({"rate": "7/d", "burst": 2**50}, "7/d with burst 1125899906842624 needs"),
    ({"rate": "1000003/d", "burst": 1, "max_wait": "300d"}, "1000003/d with burst 1 and max_wait 300d needs"),
    ({"rate": "1/9007199254740881us", "burst": 9}, "use rounder or smaller ones"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "message"), TOO_LARGE)
def test_numbers_that_would_leave_the_exact_ones_are_refused(fields, message):
    (found,) = mistakes(limit, **fields)
    assert message in found


def test_the_rate_named_instead_fits():
    (found,) = mistakes(limit, rate="123456789/d")
    nearest = found.rpartition(" is ")[2]
    assert parse_rate(nearest) == limit(rate=nearest).rate


def test_all_mistakes_of_a_rule_come_at_once():
    found = mistakes(limit, rate="fast", burst=0, algorithm="sliding_window", colour="blue", overrides={"a": "5/s"})
    assert [
        "rate must be",
        "burst must be",
        "unknown key 'colour'",
        "burst applies to",
        "overrides needs exactly one key",
    ] == [next(start for start in STARTS if message.startswith(start)) for message in found]


STARTS = [
    "rate must be",
    "burst must be",
    "unknown key 'colour'",
    "burst applies to",
    "overrides needs exactly one key",
]


def test_a_wrong_option_is_no_reason_to_complain_about_others():
    """`algorithm: slidng_window` hides whether `burst` applies, and the numbers cannot be judged."""
    assert 1 == len(mistakes(limit, algorithm="slidng_window", burst=5))
    assert 1 == len(mistakes(bulkhead, scope="globl", lease="5s"))


def test_wrong_rates_of_one_rule_are_listed_up_to_a_hundred():
    overrides = {f"tenant{number}": "1000003/d" for number in range(150)}
    assert 100 == len(mistakes(limit, key="tenant", overrides=overrides))


def test_a_bulkhead_that_nobody_may_queue_for_needs_no_queue():
    assert ["max_queue needs a max_wait above 0, such as 500ms"] == mistakes(bulkhead, max_wait=0, max_queue=5)
