"""Breakers by hand: found by name, looked at, forced and reset."""

import pytest

from guardrail.telemetry.events import BreakerMoved
from tests.decorators.scene import refusal


@pytest.fixture
def guard(guard):
    guard.apply(
        [
            {"resource": "payments.*", "kind": "breaker", "consecutive_failures": 1},
            {"resource": "orders", "kind": "breaker", "consecutive_failures": 1},
            {"name": "by-user", "resource": "orders", "kind": "breaker", "consecutive_failures": 1, "key": "user"},
            {"name": "pair", "resource": "x", "kind": "breaker", "key": ["a", "b"]},
            {"name": "either", "resource": "y", "kind": "breaker", "key": "user|client.ip"},
            {"name": "whole", "resource": ["p", "q"], "kind": "breaker", "key": []},
            {"name": "each", "resource": ["p", "q"], "kind": "breaker"},
            {"name": "http", "resource": "GET /v1/**", "kind": "breaker"},
            {"resource": "orders", "kind": "limit", "rate": "1/s", "name": "no-breaker"},
        ]
    )
    return guard


class TestNames:
    ROWS = (
        "orders/breaker",
        "payments.*/breaker/payments.charge",
        "by-user/u1",
        "by-user/",
        "whole",
        "each/p",
        "http/GET /v1/orders/7",
        "pair/1:a1:b",
        "either/user=u1",
    )

    @pytest.mark.parametrize("name", ROWS)
    def test_a_breaker_exists_from_the_first_look(self, guard, name):
        breaker = guard.breakers[name]
        assert (name, "closed", 0) == (breaker.name, breaker.state, breaker.snapshot().calls)
        assert f"<Breaker '{name}': closed>" == f"{breaker!r}"
        assert name in guard.breakers

    CALLS = (
        ("orders", {}, "orders/breaker"),
        ("payments.charge", {}, "payments.*/breaker/payments.charge"),
        ("orders", {"user": "u1"}, "by-user/u1"),
        ("x", {"a": "a", "b": "b"}, "pair/1:a1:b"),
        ("y", {"client.ip": "::1"}, "either/client.ip=::1"),
        ("q", {}, "whole"),
        ("p", {}, "each/p"),
        ("GET /v1/orders/7", {}, "http/GET /v1/orders/7"),
    )

    @pytest.mark.parametrize(("resource", "attributes", "name"), CALLS)
    def test_the_name_is_that_of_the_one_that_calls_meet(self, guard, resource, attributes, name):
        guard.breakers[name].force_open()
        refused = guard.try_enter(resource, attributes).decision
        assert "breaker_forced" == refused.reason
        assert refused.rule == max((rule.name for rule in guard.rules if name.startswith(rule.name)), key=len)

    UNKNOWN = (
        (
            "nothing",
            "no breaker 'nothing'; there are payments.*/breaker/..., orders/breaker, by-user/..., pair/..., either/..., whole",
        ),
        ("orders", "no breaker 'orders'; there are"),
        ("no-breaker", "no breaker 'no-breaker'; there are"),
        ("no-breaker/u1", "no breaker 'no-breaker/u1'; there are"),
        ("orders/breaker/u1", "no breaker 'orders/breaker/u1'; there are"),
        ("by-user", "rule 'by-user' has a breaker for each key: write 'by-user/key'"),
        ("payments.*/breaker", "rule 'payments.*/breaker' has a breaker for each key"),
        ("", "no breaker ''"),
        ("/", "no breaker '/'"),
    )

    @pytest.mark.parametrize(("name", "message"), UNKNOWN)
    def test_a_name_that_is_none_says_what_there_is(self, guard, name, message):
        with pytest.raises(KeyError) as error:
            guard.breakers[name]
        assert message in error.value.args[0]
        assert name not in guard.breakers
        assert guard.breakers.get(name) is None

    def test_without_breakers_it_says_so(self, guard):
        guard.apply([])
        with pytest.raises(KeyError, match="no breaker 'x'; there are none"):
            guard.breakers["x"]

    def test_a_long_key_is_found_by_its_text(self, guard):
        name = f"by-user/{'u' * 500}"
        guard.breakers[name].force_open()
        assert not guard.try_enter("orders", {"user": "u" * 500})


class TestIterating:
    def test_it_gives_those_that_exist_so_far(self, guard):
        assert ["orders/breaker", "whole"] == list(guard.breakers)
        guard.try_enter("payments.charge").exit()
        guard.try_enter("orders", {"user": "u1"}).exit()
        guard.breakers["by-user/u2"].snapshot()
        assert [
            "payments.*/breaker/payments.charge",
            "orders/breaker",
            "by-user/u1",
            "by-user/u2",
            "whole",
        ] == list(guard.breakers)
        assert 5 == len(guard.breakers)

    def test_items_are_breakers(self, guard):
        guard.breakers["whole"].force_open()
        assert {"orders/breaker": "closed", "whole": "forced_open"} == {
            name: breaker.state for name, breaker in guard.breakers.items()
        }

    def test_breakers_in_code_are_among_them(self, guard):
        guard.breaker(name="coded")(lambda: 1)
        assert "coded/breaker" in list(guard.breakers)

    def test_those_of_a_rule_that_is_gone_are_gone(self, guard):
        guard.apply([])
        assert [] == list(guard.breakers)


class TestForced:
    def test_open_until_reset(self, guard, clock, news):
        breaker = guard.breakers["orders/breaker"]
        breaker.force_open()
        clock.advance(1_000_000)
        assert "forced_open" == breaker.state
        refused = guard.peek("orders")
        assert ("breaker_forced", None) == (refused.reason, refused.retry_after)
        breaker.reset()
        assert "closed" == breaker.state
        assert guard.peek("orders").allowed
        assert [("closed", "forced_open"), ("forced_open", "closed")] == [
            (moved.from_state, moved.to_state) for moved in news.of(BreakerMoved)
        ]
        assert {"orders/breaker"} == {moved.breaker for moved in news.of(BreakerMoved)}

    def test_closed_until_reset_whatever_comes_of_it(self, guard):
        breaker = guard.breakers["orders/breaker"]
        guard.try_enter("orders").exit(OSError())
        assert "open" == breaker.state
        breaker.force_closed()
        for _ in range(5):
            guard.try_enter("orders", {"user": object()}).exit(OSError())
        assert "forced_closed" == breaker.state
        breaker.reset()
        assert ("closed", 0) == (breaker.state, breaker.snapshot().failures)

    def test_each_key_for_itself(self, guard):
        guard.breakers["by-user/u1"].force_open()
        assert not guard.try_enter("orders", {"user": "u1"})
        guard.try_enter("orders", {"user": "u2"}).exit()

    def test_a_function_that_was_called_before_notices(self, guard):
        call = guard.breaker(name="coded")(lambda: 1)
        call()
        guard.breakers["coded/breaker"].force_open()
        assert "breaker_forced" == refusal(call).reason
        guard.breakers["coded/breaker"].reset()
        assert 1 == call()

    def test_it_outlasts_a_reload(self, guard):
        guard.breakers["orders/breaker"].force_open()
        guard.apply([{"resource": "orders", "kind": "breaker", "failure_rate": "10%"}])
        assert "forced_open" == guard.breakers["orders/breaker"].state

    def test_a_handle_that_was_kept_follows_a_reload(self, guard):
        handle = guard.breakers["orders/breaker"]
        guard.apply([{"resource": "orders", "kind": "breaker", "consecutive_failures": 2}])
        handle.force_open()
        assert "forced_open" == guard.breakers["orders/breaker"].state

    def test_a_handle_whose_rule_is_gone_says_so_until_it_comes_back(self, guard):
        handle, rules = guard.breakers["orders/breaker"], guard.rules
        for other in ([], [{"name": "orders/breaker", "resource": "orders", "kind": "limit", "rate": "1/s"}]):
            guard.apply(other)
            for act in (handle.force_open, handle.reset, handle.snapshot, lambda: handle.state):
                with pytest.raises(KeyError, match="breaker 'orders/breaker' is gone: its rule was taken away"):
                    act()
        guard.apply(rules)
        assert "closed" == handle.state


class TestSnapshot:
    def test_it_shows_counts_and_rates_and_when_to_come_back(self, guard, clock):
        guard.apply([{"resource": "r", "kind": "breaker", "failure_rate": "50%", "min_calls": 2, "open_for": "5s"}])
        breaker = guard.breakers["r/breaker"]
        guard.try_enter("r").exit()
        guard.try_enter("r").exit(OSError())
        clock.advance(2)
        snapshot = breaker.snapshot()
        assert ("open", 3.0, 1, 1) == (
            snapshot.state,
            snapshot.retry_after,
            snapshot.total_successes,
            snapshot.total_failures,
        )

    def test_looking_changes_nothing(self, guard, clock):
        guard.try_enter("orders").exit(OSError())
        before = guard.breakers["orders/breaker"].snapshot()
        for _ in range(3):
            assert before == guard.breakers["orders/breaker"].snapshot()
        clock.advance(5)
        assert "open" == guard.breakers["orders/breaker"].state  # half-open begins with a call
