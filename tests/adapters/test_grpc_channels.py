"""Channels of asyncio that are given a guard, in whichever way channels are made."""

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor

import grpc.aio
import pytest
from grpc.aio import _channel

from guardrail import Guard
from guardrail.adapters.grpc_aio import ClientGuard

TARGET = "127.0.0.1:1"
ARITIES = [f"_{one}_interceptors" for one in ("unary_unary", "unary_stream", "stream_unary", "stream_stream")]


class Own(_channel.Channel):
    """A channel of somebody else."""

    def __init__(self, target, interceptors):
        super().__init__(target, (), None, None, interceptors)


class Watch(grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation, client_call_details, request):
        return await continuation(client_call_details, request)


MADE = {
    "by name": lambda given: grpc.aio.insecure_channel(TARGET, interceptors=given),
    "by place": lambda given: grpc.aio.insecure_channel(TARGET, None, None, given),
    "secure": lambda given: grpc.aio.secure_channel(TARGET, grpc.ssl_channel_credentials(), interceptors=given),
    "by hand": lambda given: _channel.Channel(TARGET, (), None, None, given),
    "subclass": lambda given: Own(TARGET, given),
}


def counts(make, *given):
    """Return how many interceptors a channel has for each arity."""

    async def main():
        async with make(list(given)) as channel:
            return [len(getattr(channel, name)) for name in ARITIES]

    return asyncio.run(main())


@pytest.mark.parametrize("made", MADE)
def test_a_guard_is_there_for_every_arity_and_others_for_theirs(made):
    guard = ClientGuard(Guard())
    assert [1, 1, 1, 1] == counts(MADE[made], guard)
    assert [2, 3, 2, 2] == counts(MADE[made], guard, Watch(), ClientGuard(Guard()))
    assert [1, 1, 1, 1] == counts(MADE[made], *guard)
    assert [0, 1, 0, 0] == counts(MADE[made], Watch())


def test_channels_are_taught_once_however_many_guards_are_made_at_once():
    ClientGuard(Guard())
    taught = _channel.Channel.__init__
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: ClientGuard(Guard()), range(50)))
    assert taught is _channel.Channel.__init__
    assert not hasattr(inspect.unwrap(taught), "__wrapped__")


def test_channels_are_made_and_shown_as_ever():
    ClientGuard(Guard())
    names = ["self", "target", "options", "credentials", "compression", "interceptors"]
    assert names == list(inspect.signature(_channel.Channel.__init__).parameters)
    assert "__init__" == _channel.Channel.__init__.__name__
    assert [0, 0, 0, 0] == counts(lambda _: grpc.aio.insecure_channel(TARGET))
    with pytest.raises(TypeError, match="target"):
        _channel.Channel()
    with pytest.raises(ValueError, match="must be"):
        counts(MADE["by name"], object())


def test_a_channel_that_knows_of_no_guards_is_not_made():
    """A guard is none of the four kinds itself: where it is not taken apart, no call goes unguarded in silence."""
    untaught = inspect.unwrap(_channel.Channel.__init__)
    guard = ClientGuard(Guard())

    async def main():
        untaught(object.__new__(_channel.Channel), TARGET, (), None, None, [guard])

    with pytest.raises(ValueError, match="ClientGuard.* must be"):
        asyncio.run(main())
