"""A guarded callable cannot be told from what it stands for, except by what it does."""

import copy
import inspect
import pickle
import typing
from typing import Annotated

import pytest

from guardrail import breaker, bulkhead, guarded, limit
from guardrail.testing import FakeClock
from tests.decorators.scene import START_US, refusal


class Query:
    """What a web framework finds in an annotation."""


@limit("1/h")
@bulkhead(3)
def fetch(item: int, *, q: Annotated[str, Query()] = "", **rest: "float") -> "dict[str, int]":
    """Fetch one."""
    return {q: item}


fetch.mark = "kept"  # users hang things on their functions


@breaker()
async def afetch(item: int) -> int:
    """Fetch one soon."""
    return item


@guarded()
def stream(item: int) -> typing.Iterator[int]:
    yield item


@guarded()
async def astream(item: int) -> typing.AsyncIterator[int]:
    yield item


def test_it_keeps_its_name_its_docstring_and_its_module():
    assert ("fetch", "fetch", __name__, "Fetch one.") == (
        fetch.__name__,
        fetch.__qualname__,
        fetch.__module__,
        fetch.__doc__,
    )


def test_it_keeps_the_order_of_its_parameters_and_their_annotations():
    assert inspect.signature(fetch.__wrapped__) == inspect.signature(fetch)
    assert ["item", "q", "rest"] == list(inspect.signature(fetch).parameters)
    assert "" == inspect.signature(fetch).parameters["q"].default


def test_what_frameworks_read_off_a_signature_is_that_of_the_function():
    """FastAPI resolves annotations that are text in the namespace of the function."""
    signature = inspect.signature(fetch, eval_str=True)
    assert float is signature.parameters["rest"].annotation
    assert dict[str, int] == signature.return_annotation
    hints = typing.get_type_hints(fetch, include_extras=True)
    assert Annotated is typing.get_origin(hints["q"])
    assert isinstance(hints["q"].__metadata__[0], Query)


def test_it_keeps_what_was_hung_on_the_function():
    @limit("1/h")
    @marked
    def function():
        pass

    assert "marked" == function.mark
    assert "kept" == fetch.mark


def marked(function):
    function.mark = "marked"
    return function


@pytest.mark.parametrize(
    ("function", "is_kind"),
    [
        (afetch, inspect.iscoroutinefunction),
        (stream, inspect.isgeneratorfunction),
        (astream, inspect.isasyncgenfunction),
    ],
)
def test_it_is_of_its_kind_and_of_no_other(function, is_kind):
    kinds = [inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction]
    assert [is_kind] == [kind for kind in kinds if kind(function)]


def test_it_is_a_function_to_whoever_looks():
    assert inspect.isfunction(fetch)
    assert inspect.isroutine(fetch)
    assert "def fetch(" in inspect.getsource(fetch)


def test_a_guarded_function_of_a_module_travels_by_its_name():
    assert fetch is pickle.loads(pickle.dumps(fetch))
    assert fetch is copy.deepcopy(fetch)


class Service:
    @limit("1/h")
    def method(self) -> int:
        return 1

    @property
    @limit("1/h")
    def name(self) -> str:
        return "service"


def test_a_guarded_method_is_a_method():
    service = Service()
    assert inspect.ismethod(service.method)
    assert service.method.__self__ is service
    assert "()" == f"{inspect.signature(service.method)}".split(" ")[0]
    assert "Service.method" == Service.method.__qualname__


def test_a_property_may_stand_above():
    assert isinstance(inspect.getattr_static(Service(), "name"), property)


def test_an_option_that_was_not_given_is_shown_as_one():
    assert "fallback: 'Any' = ..." in f"{inspect.signature(limit)}"


def test_attributes_that_are_ours_do_not_take_part_in_a_call():
    """The parameters of `breaker` itself are no business of the function."""

    @limit("100/h")
    def function(function=None, args=(), kwargs=None, self=1):
        return function, args, kwargs, self

    assert (1, 2, 3, 4) == function(function=1, args=2, kwargs=3, self=4)


def test_a_call_shows_up_in_a_traceback_as_the_function_that_failed():
    from guardrail import Guard

    @Guard(clock=FakeClock(START_US)).limit("2/h")
    def fails():
        raise OSError("on fire")

    with pytest.raises(OSError, match="on fire") as error:
        fails()
    assert "fails" == error.traceback[-1].name
    assert error.value.__context__ is None
    with pytest.raises(OSError):
        fails()
    refused = refusal(fails)
    assert refused.__context__ is None
    assert refused.__cause__ is None
