"""What rules may ask of a call is the same mapping on every edge, worked out when it is named, and once."""

from types import SimpleNamespace

import pytest

from guardrail import Guard, attributes
from guardrail.adapters.asgi.request import AsgiRequest
from guardrail.adapters.clients.resources import Outgoing
from guardrail.adapters.grpc.attributes import SentAttributes, ServedAttributes
from guardrail.adapters.http.options import options_of
from guardrail.adapters.wsgi.request import WsgiRequest
from tests.adapters.wire import http


class Context:
    """A call that came in over gRPC."""

    def invocation_metadata(self):
        return (("x-tenant", "acme"),)

    def peer(self):
        return "ipv4:192.0.2.1:1"


EDGES = {
    "asgi": lambda hook: AsgiRequest(http(), options_of("GuardMiddleware", {"user": hook})),
    "wsgi": lambda hook: WsgiRequest({"REQUEST_METHOD": "GET"}, options_of("GuardMiddleware", {"user": hook})),
    "a server of grpc": lambda hook: ServedAttributes("/pkg.Greeter/Hello", Context(), hook),
    "a client of grpc": lambda hook: SentAttributes("client /pkg.G/H", SimpleNamespace(metadata=None), hook),
    "a client": lambda hook: Outgoing(None, "GET", "https://api.example.com/", {}, hook),
}


@pytest.fixture(params=EDGES.values(), ids=EDGES)
def call_of(request):
    """Make a call whose user a hook knows."""
    return request.param


def test_a_part_of_the_user_has_a_name_of_its_own_and_the_hook_is_asked_once(call_of):
    asked = []

    def who(_):
        asked.append("who")
        return SimpleNamespace(id="u1", plan={"name": "gold"})

    call = call_of(who)
    assert [] == asked
    names = ("user.id", "user.plan.name", "user.id", "user.age", "user.plan.price.amount", "users", "user.")
    assert ["u1", "gold", "u1", None, None, None, None] == [call.get(name) for name in names]
    assert ["who"] == asked
    assert "u1" == call["user"].id


def test_who_has_failed_once_is_not_asked_again(call_of):
    asked = []
    call = call_of(lambda _: asked.append("who") or 1 / 0)
    assert [None, None, None] == [call.get(name) for name in ("user", "user.id", "user")]
    assert ["who"] == asked


def test_it_is_a_mapping(call_of):
    call = call_of(lambda _: "ann")
    assert "ann" == dict(call)["user"]
    assert len(call) == len(list(call)) == len(set(call))
    assert all(name in call for name in call)
    assert None not in call.values()
    assert "nothing" not in call
    assert 5 not in call
    assert "else" == call.get("nothing", "else")
    with pytest.raises(KeyError, match="nothing"):
        call["nothing"]


def test_without_a_hook_there_is_no_user(call_of):
    call = call_of(None)
    assert [None, None] == [call.get(name) for name in ("user", "user.id")]
    assert "user" not in call


def test_metadata_that_a_call_lacks_is_not_that_of_the_call_served_around_it():
    """It is empty, and so are two such calls the same to a rule."""
    with Guard([{"resource": "x", "kind": "limit", "rate": "1/h", "key": "metadata.x-tenant"}]) as guard:
        admitted = []
        for tenant in ("ann", "bob"):
            with attributes({"metadata.x-tenant": tenant}):
                sent = SentAttributes("x", SimpleNamespace(metadata=(("other", "1"),)), None)
                admitted.append(bool(guard.try_enter("x", sent)))
    assert [True, False] == admitted
