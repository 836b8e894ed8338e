"""Builtins and objects without a name of their own are guarded like functions, and have a resource to be named by."""

import functools
import operator

import pytest

from guardrail import Guard
from tests.decorators.kinds import function
from tests.decorators.scene import refusal


class Called:
    def __call__(self, a):
        return a


class Service:
    def method(self, a):
        return a


class TestBuiltins:
    ROWS = (
        (len, ("abc",), 3),
        (str.upper, ("abc",), "ABC"),
        ("abc".upper, (), "ABC"),
        ((1).__add__, (2,), 3),
        (max, (1, 2), 2),
        (functools.reduce, (operator.add, [1, 2, 3]), 6),
        (operator.itemgetter(1), ("abc",), "b"),
        (operator.methodcaller("upper"), ("abc",), "ABC"),
    )

    @pytest.mark.parametrize(("builtin", "args", "answer"), ROWS)
    def test_is_guarded_like_any_other(self, guard, builtin, args, answer):
        call = guard.limit("1/h")(builtin)
        assert answer == call(*args)
        assert refusal(call, *args)

    NAMES = (
        (len, "builtins.len"),
        (str.upper, "builtins.str.upper"),
        ([].append, "builtins.list.append"),
        ((1).__add__, "builtins.int.__add__"),
        (functools.partial(len), "builtins.len"),
        (operator.itemgetter(1), "operator.itemgetter"),
        (Called(), f"{__name__}.Called"),
        (Service().method, f"{__name__}.Service.method"),
        (function, "tests.decorators.kinds.function"),
    )

    @pytest.mark.parametrize(("call", "resource"), NAMES)
    def test_its_resource_is_its_module_and_qualified_name(self, guard, call, resource):
        guarded = guard.limit("1/h")(call)
        with pytest.raises(TypeError):
            guarded(no_such_parameter=1)
        assert resource == refusal(guarded).resource

    def test_an_object_guarded_by_two_guards_has_one_name(self, guard):
        other = Guard()
        call = other.limit("1/h")(guard.limit("2/h")(Called()))
        call(1)
        assert f"{__name__}.Called" == refusal(call, 1).resource
