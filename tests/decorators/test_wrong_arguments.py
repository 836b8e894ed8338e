"""What is wrong with a decorator is said when decorating, in a sentence that says what to write instead."""

import functools
from datetime import timedelta

import pytest

from guardrail import RuleError
from tests.decorators.scene import refusal


def function(user, size=1):
    return user


class Service:
    pass


LIMITS = [
    ({"rate": "fast"}, "rate must be an amount per time, such as 100/min, got 'fast'"),
    ({"rate": 100}, "rate must be an amount per time, such as 100/min, got 100"),
    ({"rate": ""}, "rate must be an amount per time, such as 100/min, got ''"),
    ({"rate": "100/fortnight"}, "fortnight"),
    ({"rate": "0/s"}, "rate must be an amount above 0 per time above 0, got '0/s'"),
    ({"rate": None}, "a limit needs a rate"),
    ({"burst": 0}, "burst must be at least 1, got 0"),
    ({"burst": "20"}, "burst must be a whole number"),
    ({"burst": 1.5}, "burst must be a whole number"),
    ({"burst": True}, "burst must be a whole number"),
    ({"algorithm": "tokenbucket"}, "got 'tokenbucket'; did you mean 'token_bucket'?"),
    (
        {"algorithm": "sliding_window", "burst": 5},
        "burst applies to algorithm token_bucket only, not to sliding_window",
    ),
    ({"algorithm": "leaky_bucket"}, "leaky_bucket needs a max_wait above 0, such as 1s: how long a call may queue"),
    ({"algorithm": "sliding_log", "rate": "20000/s"}, "use sliding_window"),
    ({"max_wait": "soon"}, "max_wait must be a duration such as 500ms, 10s, 1m30s or 1h, got 'soon'"),
    ({"max_wait": -1}, "max_wait must not be negative, got -1"),
    ({"key": "usr"}, "'usr' is neither a parameter (user, size) nor an attribute"),
    ({"key": ""}, "key must be one line of text without space around it, got ''"),
    ({"key": 3.5}, "key must be text, got 3.5"),
    ({"key": b"user"}, "key must be text, got b'user'"),
    ({"key": {"user": 1}}, "key must be text, got a mapping"),
    ({"key": [["user"]]}, "key[0] must be text, got a list"),
    ({"key": "user name"}, "must name an attribute such as user or header.x-tenant"),
    ({"cost": 0}, "cost must be at least 1, got 0"),
    ({"cost": "much"}, "'much' is neither a parameter (user, size) nor an attribute"),
    ({"cost": ["size"]}, "cost must be a whole number"),
    ({"charge": "failures"}, "charge must be always or failure, got 'failures'; did you mean 'failure'?"),
    ({"overrides": {"vip": "5/s"}}, "overrides needs exactly one key, whose values it lists"),
    ({"overrides": "vip", "key": "user"}, "overrides must be a mapping such as {vip: 1000/min}, got 'vip'"),
    ({"overrides": {"vip": 5}, "key": "user"}, "overrides['vip'] must be an amount per time, such as 100/min, got 5"),
    ({"when": "free"}, "when must be a mapping such as {plan: free}, got 'free'"),
    ({"when": {"user": []}}, "when['user'] must list at least one"),
    ({"when": {"user": ["a", "!b"]}}, "must list either values or !values"),
    ({"mode": "on"}, "mode must be enforce, shadow or off, got 'on'"),
    ({"enforce": 20}, "enforce must be between 0 and 1, or a percentage, got 20; did you mean 20%?"),
    ({"scope": "global"}, "scope must be shared or local, got 'global'"),
    ({"on_store_error": "ignore"}, "on_store_error must be local, allow or deny, got 'ignore'"),
    ({"scope": "local", "on_store_error": "deny"}, "on_store_error applies to scope shared only, not to local"),
    ({"name": " r"}, "resource must be one line of text without space around it, got ' r'"),
    ({"name": "r.*"}, "name='r.*' is a pattern; a function is one resource, patterns belong in rule files"),
    ({"name": "r.{"}, "resource"),
    ({"rate": "9007199254740991/s", "burst": 9007199254740991}, "needs numbers of 2^53 and above"),
]

BREAKERS = [
    ({"failure_rate": 2}, "failure_rate must be between 0 and 1, or a percentage, got 2; did you mean 2%?"),
    ({"failure_rate": 0}, "failure_rate must be above 0%, got 0"),
    ({"failure_rate": "half"}, "failure_rate must be a ratio such as 50% or 0.5, got 'half'"),
    ({"slow_rate": 0.5}, "slow_rate needs slow_call, which says how long is slow, such as 1s"),
    ({"slow_call": 0}, "slow_call must be longer than 0, got 0"),
    ({"consecutive_failures": "5"}, "consecutive_failures must be a whole number"),
    ({"window": "1s", "window_calls": 3}, "window and window_calls exclude each other; keep one"),
    ({"min_calls": 20, "window_calls": 10}, "min_calls (20) must not be above window_calls (10)"),
    ({"open_for": "1 minuet"}, "did you mean 'minute'?"),
    ({"open_for": "10s", "open_for_max": "5s"}, "open_for_max (5s) must not be below open_for (10s)"),
    ({"half_open_calls": 0}, "half_open_calls must be at least 1, got 0"),
    ({"probe_timeout": None, "min_calls": 0}, "min_calls must be at least 1, got 0"),
    ({"failures": [42]}, "failures[0] must name exceptions, such as TimeoutError or httpx.TransportError, got '42'"),
    ({"failures": int}, "failures must be text, got <class 'int'>"),
    ({"ignore": ValueError("x")}, "ignore must be text, got ValueError('x')"),
    ({"ignore": ["no such name"]}, "ignore[0] must name exceptions"),
    ({"key": "host"}, "'host' is neither a parameter (user, size) nor an attribute"),
]

BULKHEADS = [
    ({"max_concurrent": 0}, "max_concurrent must be at least 1, got 0"),
    ({"max_concurrent": "10"}, "max_concurrent must be a whole number"),
    ({"max_concurrent": None}, "a bulkhead needs max_concurrent, such as max_concurrent: 10"),
    ({"max_queue": 5}, "max_queue needs max_wait, which says how long to queue, such as 500ms"),
    ({"max_queue": 5, "max_wait": 0}, "max_queue needs a max_wait above 0, such as 500ms"),
    ({"lease": "30s"}, "lease applies to scope shared only, not to local; leave it out"),
    ({"max_wait": [1]}, "max_wait must be a duration such as"),
]


def said(decorator, target=function, error=RuleError):
    """The one sentence that decorating says."""
    with pytest.raises(error) as raised:
        decorator(target)
    return str(raised.value)


class TestOptions:
    @pytest.mark.parametrize(("options", "message"), LIMITS)
    def test_of_a_limit(self, guard, options, message):
        text = said(guard.limit(**{"rate": "100/s", "name": "r"} | options))
        assert message in text
        assert text.startswith(("@limit on ", "name="))

    @pytest.mark.parametrize(("options", "message"), BREAKERS)
    def test_of_a_breaker(self, guard, options, message):
        text = said(guard.breaker(name="r", **options))
        assert message in text
        assert text.startswith("@breaker on r: ")

    @pytest.mark.parametrize(("options", "message"), BULKHEADS)
    def test_of_a_bulkhead(self, guard, options, message):
        text = said(guard.bulkhead(**{"max_concurrent": 10, "name": "r"} | options))
        assert message in text
        assert text.startswith("@bulkhead on r: ")

    def test_all_that_is_wrong_is_said_at_once(self, guard):
        with pytest.raises(RuleError) as error:
            guard.limit("fast", burst=0, mode="on", name="r")(function)
        assert [
            "@limit on r: rate must be an amount per time, such as 100/min, got 'fast'",
            "@limit on r: burst must be at least 1, got 0",
            "@limit on r: mode must be enforce, shadow or off, got 'on'",
        ] == sorted((problem.message for problem in error.value.problems), key=lambda text: "rbm".index(text[13]))

    def test_nothing_wrong_is_in_force(self, guard):
        for options, _ in LIMITS:
            said(guard.limit(**{"rate": "100/s", "name": "r"} | options))
        assert () == guard.peek("r").verdicts
        assert {} == dict(guard.named())

    def test_durations_may_be_text_numbers_and_timedeltas(self, guard, clock):
        for number, second in enumerate(["1s", 1, 1.0, timedelta(seconds=1), "PT1S", "1000ms"]):
            call = guard.limit("1/s", max_wait=second, name=f"r{number}")(clock.now_us)
            first = call()
            assert 1_000_000 == call() - first
            refused = refusal(guard.limit("1/s", max_wait=second, burst=1, cost=2, name=f"x{number}")(lambda: 1))
            assert "cost_too_large" == refused.reason


class TestTargets:
    def test_a_class_is_refused_with_advice(self, guard):
        assert "Service is a class; decorate its methods instead, or the function that makes it" == said(
            guard.limit("1/s"), Service, TypeError
        )

    ROWS = (
        (property(function), "this property cannot be decorated, as it is not callable; decorate the function below"),
        (functools.cached_property(function), "decorate the function below @cached_property"),
        (functools.singledispatchmethod(function), "decorate the function below @singledispatchmethod"),
        (42, "this int cannot be decorated, as it is not callable"),
        (None, "this NoneType cannot be decorated, as it is not callable"),
        ("function", "this str cannot be decorated, as it is not callable"),
        (Service(), "this Service cannot be decorated, as it is not callable"),
        (classmethod(property(function)), "this property cannot be decorated"),
        (staticmethod(Service), "Service is a class; decorate its methods instead"),
    )

    @pytest.mark.parametrize(("target", "message"), ROWS)
    def test_what_cannot_be_called_is_refused_with_advice(self, guard, target, message):
        for decorator in (guard.limit("1/s"), guard.breaker(), guard.bulkhead(1), guard.guarded()):
            assert message in said(decorator, target, TypeError)

    def test_what_has_no_function_below_gets_no_such_advice(self, guard):
        assert "below" not in said(guard.limit("1/s"), 42, TypeError)

    def test_a_coroutine_was_called_already(self, guard):
        async def coroutine():
            pass

        running = coroutine()
        assert "this coroutine cannot be decorated, as it is not callable" == said(
            guard.limit("1/s"), running, TypeError
        )
        running.close()


PARENTHESES = [
    ("limit", '@limit is used without parentheses: write @limit("100/s")'),
    ("breaker", "@breaker is used without parentheses: write @breaker()"),
    ("bulkhead", "@bulkhead is used without parentheses: write @bulkhead(10)"),
    ("guarded", "@guarded is used without parentheses: write @guarded()"),
]


@pytest.mark.parametrize(("decorator", "message"), PARENTHESES)
@pytest.mark.parametrize(
    "target", [function, Service, classmethod(function), staticmethod(function), functools.partial(function), len]
)
def test_forgotten_parentheses_are_noticed_when_decorating(guard, decorator, message, target):
    assert message == said(getattr(guard, decorator), target, TypeError)


class TestNames:
    @pytest.mark.parametrize("name", [5, b"r", ["r"], object])
    def test_a_name_is_text(self, guard, name):
        for decorator in (guard.limit("1/s", name=name), guard.breaker(name=name), guard.bulkhead(1, name=name)):
            assert said(decorator, error=TypeError).startswith(
                f"name= must be the resource as text, such as name='orders.create', got {name!r}"
            )

    def test_an_empty_name_is_none(self, guard):
        call = guard.limit("1/h", name="")(function)
        call(1)
        assert f"{__name__}.function" == refusal(call, 1).resource


class TestOutcomeOptions:
    ROWS = (
        ({"failed": "x"}, "failed='x' must be a function over the result: failed=lambda answer: answer.status >= 500"),
        ({"failed": True}, "failed=True must be a function over the result"),
        ({"fallback_on": OSError}, "fallback_on= says which errors the fallback answers; give a fallback= too"),
        ({"fallback_on": [OSError], "fallback": 1}, "must be exception classes: fallback_on=(OSError, TimeoutError)"),
        ({"fallback_on": "OSError", "fallback": 1}, "fallback_on='OSError' must be exception classes"),
        ({"fallback_on": (OSError, "x"), "fallback": 1}, "must be exception classes"),
        ({"fallback_on": int, "fallback": 1}, "must be exception classes"),
        ({"fallback_on": BaseException, "fallback": 1}, "must be exception classes"),
        ({"fallback_on": OSError("x"), "fallback": 1}, "must be exception classes"),
    )

    @pytest.mark.parametrize(("options", "message"), ROWS)
    def test_is_refused_with_advice(self, guard, options, message):
        for decorator in (guard.limit("1/s", **options), guard.breaker(**options), guard.guarded(**options)):
            assert message in said(decorator, error=TypeError)
        assert {} == dict(guard.named())
