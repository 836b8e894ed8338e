"""What a server's guard asks gRPC about a call: no more than its rules need, as each answer costs time."""

import asyncio

import grpc
import pytest

from guardrail import Guard
from guardrail.adapters.grpc.options import EXEMPT, checked
from guardrail.adapters.grpc.served import ServedCall
from guardrail.adapters.grpc_aio.served import AioCall
from guardrail.admission.ambient import around
from guardrail.testing import FakeClock

METHOD = "/pkg.Greeter/hello"
LIMIT = {"name": "limit", "kind": "limit", "resource": METHOD, "rate": "10/min"}
PER_CLIENT = {**LIMIT, "key": "client.ip"}
PER_TENANT = {**LIMIT, "key": "metadata.x-tenant"}
WAITING = {**LIMIT, "max_wait": "1s"}
BREAKER = {"name": "breaker", "kind": "breaker", "resource": METHOD}
ONE = {"name": "one", "kind": "bulkhead", "resource": METHOD, "max_concurrent": 1}


class Aborted(Exception):
    """What an abort raises."""


class Context:
    """A context that writes down what it is asked."""

    def __init__(self, left_s=1e10, active=True):
        self.asked = []
        self._left_s = left_s
        self._active = active

    def _tell(self, name, answer):
        self.asked.append(name)
        return answer

    def is_active(self):
        return self._tell("is_active", self._active)

    def time_remaining(self):
        return self._tell("time_remaining", self._left_s)

    def code(self):
        return self._tell("code", None)

    def peer(self):
        return self._tell("peer", "ipv4:192.0.2.1:443")

    def invocation_metadata(self):
        return self._tell("invocation_metadata", (("x-tenant", "acme"),))

    def trailing_metadata(self):
        return self._tell("trailing_metadata", None)

    def set_trailing_metadata(self, trailing_metadata):
        self.asked.append("set_trailing_metadata")

    def abort(self, code, details):
        self.asked.append(code)
        raise Aborted


class AioContext(Context):
    async def abort(self, code, details, trailing_metadata=()):
        super().abort(code, details)


def of_threads(guard, context):
    call = ServedCall(checked(guard, EXEMPT, None, None), METHOD, context)
    published = around("client.ip")
    call.finish()
    return call, published


def of_asyncio(guard, context):
    async def main():
        call = AioCall(checked(guard, EXEMPT, None, None), METHOD, context)
        if not call.is_in:
            await call.take_turn()
        published = around("client.ip")
        call.finish()
        return call, published

    return asyncio.run(main())


KINDS = {"threads": (of_threads, Context, "is_active"), "asyncio": (of_asyncio, AioContext, "time_remaining")}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


def guard_of(*rules):
    """Return a guard that has seen the key before: whoever is new takes the way through the flow."""
    guard = Guard(list(rules), clock=FakeClock())
    guard.try_enter(METHOD, {"client.ip": "192.0.2.1", "metadata.x-tenant": "acme"}).exit()
    return guard


@pytest.mark.parametrize(
    ("rule", "asked"), [(LIMIT, []), (PER_CLIENT, ["peer"]), (PER_TENANT, ["invocation_metadata"])]
)
def test_a_plain_limit_asks_for_its_key_and_whether_there_is_still_a_call(kind, rule, asked):
    serve, make, lives = kind
    context = make()
    call, published = serve(guard_of(rule), context)
    assert "192.0.2.1" == published
    assert [lives, *asked] == [name for name in context.asked if name != "peer" or asked == ["peer"]]
    assert context is call.context


def test_who_is_calling_is_asked_once_even_if_a_decorator_wants_to_know_too(kind):
    serve, make, _ = kind
    context = make()
    serve(guard_of(PER_CLIENT), context)
    assert 1 == context.asked.count("peer")


@pytest.mark.parametrize(("rule", "asked"), [(BREAKER, {"code", "time_remaining"}), (WAITING, {"time_remaining"})])
def test_rules_that_wait_or_measure_ask_for_the_deadline_and_the_status(kind, rule, asked):
    serve, make, _ = kind
    context = make()
    serve(guard_of(rule), context)
    assert asked == {"code", "time_remaining"} & set(context.asked)


@pytest.mark.parametrize(("left_s", "code"), [(0, grpc.StatusCode.DEADLINE_EXCEEDED), (5.0, grpc.StatusCode.CANCELLED)])
@pytest.mark.parametrize("rule", [LIMIT, WAITING, ONE])
def test_a_call_that_has_ended_is_let_in_by_no_rule_and_takes_nothing(left_s, code, rule):
    guard = guard_of(rule)
    before = guard.peek(METHOD).remaining
    context = Context(left_s, active=False)
    with pytest.raises(Aborted):
        of_threads(guard, context)
    assert code == context.asked[-1]
    assert before == guard.peek(METHOD).remaining


@pytest.mark.parametrize("rule", [LIMIT, WAITING, ONE])
def test_a_call_of_asyncio_past_its_deadline_is_let_in_by_no_rule_and_takes_nothing(rule):
    guard = guard_of(rule)
    before = guard.peek(METHOD).remaining
    context = AioContext(0)
    with pytest.raises(Aborted):
        of_asyncio(guard, context)
    assert grpc.StatusCode.DEADLINE_EXCEEDED == context.asked[-1]
    assert before == guard.peek(METHOD).remaining


@pytest.mark.parametrize("rule", [LIMIT, WAITING, ONE])
def test_what_was_published_is_gone_when_the_call_is_over(kind, rule):
    serve, make, _ = kind
    serve(guard_of(rule), make())
    assert around("client.ip") is None
