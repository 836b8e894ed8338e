"""What escapes from a service: refusals, alone or in groups, and those of calls that the service itself has made."""

import asyncio

import grpc
import grpc.aio
import pytest
from grpc import RpcError

from guardrail import BreakerOpen, BulkheadFull, Guard, RateLimited
from guardrail.adapters.escapes import refusal_of
from guardrail.adapters.grpc import ClientGuard
from guardrail.adapters.grpc_aio import ClientGuard as AsyncClientGuard
from guardrail.core.verdict import Decision, Verdict

NOWHERE = "127.0.0.1:1"


def refusal(kind=RateLimited, retry_after=1.0):
    verdict = Verdict("r", "limit", allowed=False, reason="rate", text="1/min", retry_after=retry_after)
    return kind("orders", Decision.of((verdict,)))


def caused_by(refused, kind=RpcError):
    error = kind("no")
    error.__cause__ = refused
    return error


SHORT, LONG, FOR_EVER = refusal(), refusal(BreakerOpen, 60.0), refusal(BulkheadFull, None)
BUG, CANCELLED = ValueError("a bug"), asyncio.CancelledError()


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (SHORT, SHORT),
        (BUG, None),
        (CANCELLED, None),
        (caused_by(SHORT), SHORT),
        (RpcError("no"), None),
        (caused_by(SHORT, ValueError), None),
        (caused_by(BUG), None),
        (ExceptionGroup("", [SHORT]), SHORT),
        (ExceptionGroup("", [SHORT, BUG]), None),
        (ExceptionGroup("", [BUG]), None),
        (ExceptionGroup("", [SHORT, LONG, SHORT]), LONG),
        (ExceptionGroup("", [LONG, FOR_EVER, SHORT]), FOR_EVER),
        (ExceptionGroup("", [SHORT, ExceptionGroup("", [ExceptionGroup("", [LONG])])]), LONG),
        (ExceptionGroup("", [SHORT, ExceptionGroup("", [BUG])]), None),
        (ExceptionGroup("", [SHORT, caused_by(LONG)]), LONG),
        (BaseExceptionGroup("", [CANCELLED, SHORT]), SHORT),
        (BaseExceptionGroup("", [CANCELLED]), None),
        (BaseExceptionGroup("", [SHORT, KeyboardInterrupt()]), None),
        (BaseExceptionGroup("", [SHORT, SystemExit()]), None),
    ],
)
def test_an_error_comes_down_to_a_refusal_if_nothing_else_is_in_it(error, found):
    assert found is refusal_of(error)


def test_of_refusals_that_last_equally_long_the_first_speaks():
    first, second = refusal(), refusal()
    assert first is refusal_of(ExceptionGroup("", [first, ExceptionGroup("", [second])]))


def test_a_group_of_tasks_comes_down_to_the_refusal_that_ended_it():
    async def refused():
        raise SHORT

    async def main():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.Event().wait())
            tasks.create_task(refused())

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(main())
    assert SHORT is refusal_of(caught.value)


def over_threads(guard, **options):
    with grpc.insecure_channel(NOWHERE) as channel:
        grpc.intercept_channel(channel, ClientGuard(guard, **options)).unary_unary("/pkg.Orders/Get")(b"")


def over_asyncio(guard, **options):
    async def main():
        async with grpc.aio.insecure_channel(NOWHERE, interceptors=[AsyncClientGuard(guard, **options)]) as channel:
            await channel.unary_unary("/pkg.Orders/Get")(b"")

    asyncio.run(main())


@pytest.mark.parametrize("call", [over_threads, over_asyncio])
@pytest.mark.parametrize("name", ["payments", "client /pkg.Orders/Get"])
def test_a_refused_call_of_grpc_says_that_it_was_one_of_this_service(call, name):
    with Guard([{"resource": name, "kind": "limit", "rate": "1/h"}]) as guard:
        assert guard.try_enter(name)
        with pytest.raises(RpcError) as caught:
            call(guard, resource=lambda method: name)
        assert refusal_of(caught.value).is_outgoing
        assert not guard.try_enter(name).refusal().is_outgoing
