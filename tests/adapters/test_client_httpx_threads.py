"""httpx and httpx2 over real connections, from threads: permits are never lost."""

import gc

import httpx
import httpx2
import pytest

from guardrail import BreakerOpen, BulkheadFull, Guard
from guardrail.adapters import httpx as ours
from guardrail.adapters import httpx2 as ours2
from guardrail.testing import FakeClock
from tests.adapters.client_fakes import HEALTH, NOW, PLACE, in_use
from tests.adapters.client_service import Answer, running

both = pytest.mark.parametrize(("lib", "adapter"), [(httpx, ours), (httpx2, ours2)], ids=["httpx", "httpx2"])


@pytest.fixture
def clock():
    return FakeClock(NOW * 1_000_000)


@pytest.fixture
def service():
    with running() as one:
        yield one


@both
def test_a_body_keeps_its_place_until_it_is_closed(lib, adapter, service):
    with Guard([PLACE]) as guard, lib.Client(transport=adapter.GuardTransport(guard=guard)) as client:
        with client.stream("GET", service.url) as response:
            assert in_use(guard)
            with pytest.raises(BulkheadFull):
                client.get(service.url)
            assert b"hello" == response.read()
            assert not in_use(guard)
        with client.stream("GET", service.url):
            assert in_use(guard)
        assert not in_use(guard)
        assert "hello" == client.get(service.url).text
        assert not in_use(guard)
        assert 3 == len(service.seen)


@both
def test_a_response_that_is_dropped_gives_its_place_back(lib, adapter, service):
    with Guard([PLACE, HEALTH]) as guard, lib.Client(transport=adapter.GuardTransport(guard=guard)) as client:
        response = client.send(client.build_request("GET", service.url), stream=True)
        assert in_use(guard)
        del response
        gc.collect()
        assert not in_use(guard)


@both
def test_a_dropped_response_votes_by_its_status(lib, adapter, service):
    with Guard([HEALTH]) as guard, lib.Client(transport=adapter.GuardTransport(guard=guard)) as client:
        for answer in (Answer(200), Answer(503)):
            service.say(answer)
            client.send(client.build_request("GET", service.url), stream=True)
            gc.collect()
        with pytest.raises(BreakerOpen):
            client.get(service.url)


@both
def test_a_call_is_as_slow_as_the_start_of_its_answer(lib, adapter, service, clock):
    slow = {"resource": "client * **", "kind": "breaker", "slow_call": "1s", "min_calls": 1}
    with Guard([slow], clock=clock) as guard, lib.Client(transport=adapter.GuardTransport(guard=guard)) as client:
        with client.stream("GET", service.url) as response:
            clock.advance(60)
            response.read()
        assert 200 == client.get(service.url).status_code


@both
def test_reading_that_stops_early_ends_with_the_response(lib, adapter, service):
    with Guard([PLACE, HEALTH]) as guard, lib.Client(transport=adapter.GuardTransport(guard=guard)) as client:
        with client.stream("GET", service.url) as response:
            for _ in response.iter_bytes(1):
                break
            assert in_use(guard) is not response.is_closed  # httpx2 closes it at once
        assert not in_use(guard)
        client.get(service.url)


@both
@pytest.mark.parametrize("answer", [Answer(breaks=True), Answer(silent=True)], ids=["in-the-body", "before-the-answer"])
def test_a_connection_that_breaks_is_a_failure_and_gives_its_place_back(lib, adapter, service, answer):
    service.say(answer)
    with Guard([PLACE, HEALTH]) as guard, lib.Client(transport=adapter.GuardTransport(guard=guard)) as client:
        with pytest.raises(lib.RemoteProtocolError):
            client.get(service.url)
        assert not in_use(guard)
        with pytest.raises(BreakerOpen):
            client.get(service.url)


@both
def test_a_timeout_is_a_failure_and_gives_its_place_back(lib, adapter, service):
    service.say(Answer(hangs=True))
    with Guard([PLACE, HEALTH]) as guard, lib.Client(transport=adapter.GuardTransport(guard=guard)) as client:
        with pytest.raises(lib.ReadTimeout):
            client.get(service.url, timeout=0.05)
        service.go_on.set()
        assert not in_use(guard)
        with pytest.raises(BreakerOpen):
            client.get(service.url)


@both
def test_nobody_there_is_a_failure(lib, adapter, service):
    with Guard([PLACE, HEALTH]) as guard, lib.Client(transport=adapter.GuardTransport(guard=guard)) as client:
        with pytest.raises(lib.ConnectError):
            client.get("http://127.0.0.1:1/")
        assert not in_use(guard)
        with pytest.raises(BreakerOpen):
            client.get("http://127.0.0.1:1/")
