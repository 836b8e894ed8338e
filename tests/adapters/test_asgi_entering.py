"""Rules are entered once for a request, whichever way they are asked."""

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from guardrail.adapters.asgi import GuardMiddleware
from guardrail.adapters.asgi.routes import MOST_PATHS
from guardrail.adapters.http.resources import LONGEST
from guardrail.telemetry.events import CallRefused
from guardrail.testing import FakeClock, RecordingListener
from tests.adapters.wire import PER_CLIENT, call, guard_of, hello, http
from tests.admission.fake_store import FakeStore

BREAKER = {"name": "backend", "resource": "**", "kind": "breaker"}


@pytest.mark.parametrize("more", [[], [BREAKER]], ids=["quick", "the flow"])
@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
def test_rules_are_asked_once_for_a_request(more, is_shared, is_async):
    """Also where the store has refused before, and is not asked again."""

    async def nobody(scope):
        return None

    clock, heard = FakeClock(1_700_000_000_000_000), RecordingListener()
    store = FakeStore(clock) if is_shared else None
    guard = guard_of(PER_CLIENT, *more, clock=clock, store=store, listeners=[heard])
    app = GuardMiddleware(hello, guard, user=nobody if is_async else None)
    assert [200, 200, 429, 429, 429] == [call(app, http()).status for _ in range(5)]
    assert 3 == len([event for event in heard.events if isinstance(event, CallRefused)])
    if store is not None:
        assert 3 == len(store.asked)


def test_a_guard_without_rules_lets_all_through():
    assert [200, 200] == [call(GuardMiddleware(hello, guard_of()), http()).status for _ in range(2)]


def test_paths_that_are_remembered_are_few_and_short():
    async def endpoint(request):
        return PlainTextResponse("")

    app = GuardMiddleware(Starlette(routes=[Route("/{x}", endpoint)]), guard_of({**PER_CLIENT, "key": "resource"}))
    assert [200, 200, 429] == [call(app, http(f"/{'x' * LONGEST}")).status for _ in range(3)]
    chooser = app._tables.of({})._plain["GET"]
    assert {} == chooser.known
    for number in range(MOST_PATHS + 10):
        assert "GET /{x}" == chooser.choose(f"/{number}").resource
    assert 10 == len(chooser.known)
