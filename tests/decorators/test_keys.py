"""What a rule counts by: an argument, an attribute of one, something around the call, or whatever a callable says."""

import asyncio
from types import SimpleNamespace

import pytest

from guardrail import Refused, attributes
from tests.decorators.scene import left, refusal


def admits(call, *args, **kwargs):
    """Tell whether the one call of its hour was left; the answer of the next call is no."""
    try:
        call(*args, **kwargs)
    except Refused:
        return False
    assert refusal(call, *args, **kwargs)
    return True


class TestArguments:
    def test_each_value_has_a_state_of_its_own(self, guard):
        call = guard.limit("1/h", key="user")(lambda user: user)
        assert [True, True, False] == [admits(call, "a"), admits(call, "b"), admits(call, "a")]

    def test_how_an_argument_is_passed_makes_no_difference(self, guard):
        call = guard.limit("3/h", key="user", name="r")(lambda page, user="nobody", *, flag=None: user)
        call(1, "a")
        call(1, user="a")
        call(page=2, user="a", flag=True)
        assert refusal(call, 3, "a")
        call(1)
        call(1, "nobody")
        call(page=1)
        assert refusal(call, 1)

    @pytest.mark.parametrize(
        "function",
        [
            lambda user="default": user,
            lambda user="default", /: user,
            lambda *, user="default": user,
            lambda *rest, user="default": user,
        ],
    )
    def test_a_default_is_the_value_of_who_passes_nothing(self, guard, function):
        call = guard.limit("1/h", key="user")(function)
        assert admits(call)
        passed = (("default",), {}) if function.__code__.co_posonlyargcount else ((), {"user": "default"})
        assert not admits(call, *passed[0], **passed[1])

    def test_a_positional_only_argument_is_read_by_its_place(self, guard):
        call = guard.limit("1/h", key="user")(lambda user, /, **rest: user)
        assert [True, False] == [admits(call, "a", user="b"), admits(call, "a", user="c")]

    def test_further_keywords_may_be_named(self, guard):
        call = guard.limit("1/h", key="tenant")(lambda **rest: rest)
        assert [True, True, False] == [admits(call, tenant="a"), admits(call, tenant="b"), admits(call, tenant="a")]

    def test_the_family_arg_names_an_argument_and_nothing_else(self, guard):
        call = guard.limit("1/h", key="arg.user")(lambda user=None: user)
        with attributes(user="around"):
            assert [True, True, False] == [admits(call, "a"), admits(call), admits(call)]

    def test_text_and_numbers_that_read_alike_share_a_state(self, guard):
        call = guard.limit("1/h", key="user")(lambda user: user)
        assert [True, False] == [admits(call, 7), admits(call, "7")]

    def test_a_very_long_value_is_one_value(self, guard):
        call = guard.limit("1/h", key="user")(lambda user: user)
        long = "x" * 10_000
        assert [True, False, True] == [admits(call, long), admits(call, long), admits(call, f"{long}y")]

    def test_whoever_passes_none_or_nothing_of_note_shares_one_state(self, guard):
        call = guard.limit("1/h", key="user")(lambda user=None: user)
        assert [True, False, False] == [admits(call), admits(call, None), admits(call, "")]

    def test_a_subclass_of_text_counts_as_its_text(self, guard):
        class Name(str):
            __slots__ = ()

            def __str__(self):
                return f"name {self[:]}"

        call = guard.limit("1/h", key="user")(lambda user: user)
        assert [True, False] == [admits(call, Name("a")), admits(call, "name a")]

    def test_an_argument_called_resource_is_that_argument(self, guard):
        """Rules in files mean the resource itself by it, and so does the default key of a breaker."""
        call = guard.limit("1/h", key="resource")(lambda resource: resource)
        assert [True, True, False] == [admits(call, "a"), admits(call, "b"), admits(call, "a")]
        either = guard.limit("1/h", key=["user | resource"], name="either")(lambda resource, user=None: resource)
        assert [True, True, False] == [admits(either, "a"), admits(either, "b"), admits(either, "a")]
        broken = guard.breaker(name="r")(lambda resource: resource)
        broken("a")
        assert ["r/breaker"] == list(guard.breakers)


class TestPaths:
    def test_an_attribute_of_an_argument(self, guard):
        call = guard.limit("1/h", key="request.user.id")(lambda request: request)
        request = SimpleNamespace(user=SimpleNamespace(id=1))
        assert [True, False] == [admits(call, request), admits(call, request)]
        assert admits(call, SimpleNamespace(user=SimpleNamespace(id=2)))

    def test_an_entry_of_a_mapping(self, guard):
        call = guard.limit("1/h", key="request.user.id")(lambda request: request)
        assert [True, False] == [
            admits(call, {"user": {"id": 1}}),
            admits(call, SimpleNamespace(user={"id": 1})),
        ]

    def test_what_is_missing_on_the_way_counts_as_missing(self, guard):
        call = guard.limit("1/h", key="request.user.id")(lambda request=None: request)
        rows = [SimpleNamespace(user=None), SimpleNamespace(), {}, None]
        assert [True, False, False, False] == [admits(call, row) for row in rows]

    def test_a_path_that_reads_like_an_attribute_around_is_looked_up_in_the_argument_first(self, guard):
        call = guard.limit("1/h", key="client.ip")(lambda client: client)
        with attributes({"client.ip": "10.0.0.1"}):
            assert admits(call, SimpleNamespace(ip="10.0.0.2"))
            assert admits(call, SimpleNamespace(ip=None))
            assert not admits(call, SimpleNamespace(ip="10.0.0.1"))


class TestSeveral:
    def test_a_list_counts_by_all_of_them(self, guard):
        call = guard.limit("1/h", key=["user", "tenant"])(lambda user, tenant: user)
        assert [True, True, True, False] == [
            admits(call, "a", "b"),
            admits(call, "b", "a"),
            admits(call, "ab", ""),
            admits(call, user="a", tenant="b"),
        ]

    @pytest.mark.parametrize("keys", [["user"], ("user",), {"user"}, (name for name in ["user"]), iter(["user"])])
    def test_any_iterable_is_a_list(self, guard, keys):
        call = guard.limit("1/h", key=keys)(lambda user: user)
        assert [True, True, False] == [admits(call, "a"), admits(call, "b"), admits(call, "a")]

    def test_alternatives_count_by_the_first_that_is_present(self, guard):
        call = guard.limit("1/h", key="user|client.ip")(lambda user=None: user)
        with attributes({"client.ip": "a"}):
            assert [True, True, False] == [admits(call, "a"), admits(call), admits(call, "")]

    def test_callables_and_names_go_together(self, guard):
        call = guard.limit("1/h", key=["user", lambda user, page: page % 2])(lambda user, page: user)
        assert [True, True, False] == [admits(call, "a", 1), admits(call, "a", 2), admits(call, "a", 3)]


class TestCallables:
    def test_it_is_called_with_the_arguments_of_the_call(self, guard):
        seen = []

        def key(*args, **kwargs):
            seen.append((args, kwargs))
            return args[0]

        call = guard.limit("1/h", key=key)(lambda a, b=2, *, c=3: a)
        call(1, b=5)
        assert {((1,), (("b", 5),))} == {(args, tuple(kwargs.items())) for args, kwargs in seen}
        assert refusal(call, 1)
        assert 2 == call(2)

    def test_a_method_passes_itself(self, guard):
        class Service:
            tenant = "a"

            @guard.limit("1/h", key=lambda self: self.tenant)
            def call(self):
                return True

        other = Service()
        other.tenant = "b"
        assert [True, True, False] == [admits(Service().call), admits(other.call), admits(Service().call)]

    def test_its_answer_none_is_an_answer(self, guard):
        """What is around the call is not asked in its place."""
        call = guard.limit("1/h", key=lambda: None)(lambda: None)
        with attributes({"call.limit.key": "around"}):
            assert admits(call)
        assert not admits(call)

    def test_its_error_is_the_callers_and_takes_nothing(self, guard):
        def key():
            raise LookupError("no tenant")

        call = guard.limit("1/h", key=key, name="r")(lambda: 1)
        with pytest.raises(LookupError, match="no tenant"):
            call()
        assert 1 == left(guard, "r")

    def test_two_rules_of_a_stack_have_a_callable_each(self, guard):
        call = guard.limit("1/h", key=lambda a, b: a)(guard.limit("1/h", key=lambda a, b: b)(lambda a, b: (a, b)))
        call(1, 1)
        refusal(call, 1, 2)
        refusal(call, 2, 1)
        assert (2, 2) == call(2, 2)

    def test_breakers_and_bulkheads_take_keys_too(self, guard):
        @guard.bulkhead(1, key=lambda host: host.upper())
        @guard.breaker(key="host", consecutive_failures=1, name="r")
        def call(host):
            if host == "down":
                raise OSError

        with pytest.raises(OSError):
            call("down")
        assert "breaker_open" == refusal(call, "down").reason
        call("up")
        assert {"r/breaker/down": "open", "r/breaker/up": "closed"} == {
            name: breaker.state for name, breaker in guard.breakers.items()
        }


class TestAround:
    def test_what_is_no_argument_is_looked_up_around_the_call(self, guard):
        call = guard.limit("1/h", key="header.x-tenant")(lambda: 1)
        with attributes({"header.x-tenant": "a"}):
            assert [True, False] == [admits(call), admits(call)]
        with attributes({"header.x-tenant": "b"}):
            assert admits(call)

    def test_an_argument_goes_before_what_is_around(self, guard):
        call = guard.limit("1/h", key="user")(lambda user=None: user)
        with attributes(user="around"):
            assert [True, True, False] == [admits(call, "passed"), admits(call), admits(call, "around")]

    def test_a_coroutine_sees_what_is_around_where_it_is_awaited(self, guard):
        @guard.limit("1/h", key="user")
        async def call():
            return 1

        async def main():
            waiting = call()
            with attributes(user="a"):
                await waiting
                with pytest.raises(Exception, match="exceeded by rule"):
                    await call()
            await call()

        asyncio.run(main())

    def test_a_stream_sees_what_is_around_its_first_item(self, guard):
        @guard.limit("1/h", key="user")
        def stream():
            yield 1
            yield 2

        waiting = stream()
        with attributes(user="a"):
            next(waiting)
        assert [2] == list(waiting)
        with attributes(user="a"):
            assert refusal(next, stream())
        assert [1, 2] == list(stream())

    NAMES = (
        "user",
        "method",
        "client.ip",
        "path.id",
        "header.x-tenant",
        "query.q",
        "cookie.c",
        "metadata.m",
        "resource",
    )

    @pytest.mark.parametrize("name", NAMES)
    def test_every_name_of_section_seven_may_be_used(self, guard, name):
        assert guard.limit("1/h", key=name)(lambda: 1)() == 1

    def test_the_resource_itself_is_one_of_them(self, guard):
        first = guard.limit("1/h", key="resource", name="a")(lambda: 1)
        assert [True, False] == [admits(first), admits(first)]
