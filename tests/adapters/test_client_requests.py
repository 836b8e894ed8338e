"""requests: an adapter that lets requests out by the rules."""

import gc
import pickle

import pytest
import requests

from guardrail import BreakerOpen, BulkheadFull, Guard, RateLimited
from guardrail.adapters.requests import GuardAdapter
from guardrail.default import substituted
from guardrail.testing import FakeClock
from tests.adapters.client_fakes import HEALTH, PLACE, in_use
from tests.adapters.client_service import Answer, running


@pytest.fixture
def service():
    with running() as one:
        yield one


@pytest.fixture
def clock():
    return FakeClock(1_700_000_000_000_000)


@pytest.fixture
def guard(clock):
    with Guard([PLACE, HEALTH], clock=clock) as one:
        yield one


@pytest.fixture
def session(guard):
    with requests.Session() as one:
        one.trust_env = False
        one.mount("http://", GuardAdapter(guard))
        yield one


def test_a_response_has_left_its_place_when_the_session_returns_it(guard, session, service):
    response = session.get(service.url)
    assert (200, b"hello") == (response.status_code, response.content)
    assert not in_use(guard)
    assert isinstance(response, requests.Response)


def test_a_streamed_response_keeps_its_place_until_it_is_read(guard, session, service):
    response = session.get(service.url, stream=True)
    assert in_use(guard)
    with pytest.raises(BulkheadFull):
        session.get(service.url)
    assert ["hel", "lo"] == [chunk.decode() for chunk in response.iter_content(3)]
    assert not in_use(guard)
    assert 1 == len(service.seen)


def test_a_streamed_response_keeps_its_place_until_it_is_closed(guard, session, service):
    with session.get(service.url, stream=True) as response:
        for letter in response.iter_content(1):
            assert b"h" == letter
            break
        assert in_use(guard)
    assert not in_use(guard)
    response = session.get(service.url, stream=True)
    assert b"hello" == response.raw.read()
    response.close()
    assert not in_use(guard)


def test_a_response_that_is_dropped_gives_its_place_back(guard, session, service):
    response = session.get(service.url, stream=True)
    assert in_use(guard)
    del response
    gc.collect()
    assert not in_use(guard)


def test_each_hop_of_a_redirect_counts_and_leaves_its_place(guard, session, service):
    service.say(Answer(302, {"Location": "/next"}, b""), Answer(302, {"Location": "/last"}, b"moved"))
    assert b"hello" == session.get(service.url).content
    assert ["GET /", "GET /next", "GET /last"] == service.seen
    assert not in_use(guard)


def test_a_429_holds_its_resource_back_until_retry_after(session, clock, service):
    service.say(Answer(429, {"Retry-After": "30"}))
    assert 429 == session.get(service.url).status_code
    with pytest.raises(RateLimited) as caught:
        session.get(service.url)
    assert 30.0 == caught.value.retry_after
    assert 200 == session.post(service.url).status_code
    clock.advance(30)
    assert 200 == session.get(service.url).status_code
    assert ["GET /", "POST /", "GET /"] == service.seen


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("answer", [Answer(breaks=True), Answer(silent=True)], ids=["in-the-body", "before-the-answer"])
def test_a_connection_that_breaks_is_a_failure_and_gives_its_place_back(guard, session, service, answer, stream):
    service.say(answer)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        _ = session.get(service.url, stream=stream).content
    assert not in_use(guard)
    with pytest.raises(BreakerOpen):
        session.get(service.url)


def test_a_timeout_is_a_failure_by_the_name_that_requests_gives_it(session, guard, service):
    guard.apply([PLACE, {**HEALTH, "failures": ["requests.Timeout"]}])
    service.say(Answer(silent=True), Answer(hangs=True), Answer(late=True))
    with pytest.raises(requests.ConnectionError):
        session.get(service.url)
    with pytest.raises(requests.ConnectionError, match="timed out"):  # requests names a timeout in the body so
        session.get(service.url, timeout=1)  # until then, its head has to be there
    assert not in_use(guard)
    with pytest.raises(requests.ReadTimeout):
        session.get(service.url, timeout=0.05)
    with pytest.raises(BreakerOpen):
        session.get(service.url)


def test_nobody_there_is_a_failure(guard, session):
    with pytest.raises(requests.ConnectionError):
        session.get("http://127.0.0.1:1/")
    assert not in_use(guard)
    with pytest.raises(BreakerOpen):
        session.get("http://127.0.0.1:1/")


def test_an_answer_of_500_is_a_failure(session, service):
    service.say(Answer(500))
    assert 500 == session.get(service.url).status_code
    with pytest.raises(BreakerOpen):
        session.get(service.url)


def test_a_response_can_be_pickled_and_read_again(session, service):
    response = pickle.loads(pickle.dumps(session.get(service.url)))
    assert b"hello" == b"".join(response.iter_content(2))
    response.close()


def test_an_adapter_without_a_guard_of_its_own_can_be_pickled(service):
    adapter = pickle.loads(pickle.dumps(GuardAdapter(resource={"127.0.0.1": "client near"}, max_retries=2)))
    rule = {"resource": "client near", "kind": "limit", "rate": "1/min"}
    with substituted(rules=[rule]), requests.Session() as session:
        session.mount("http://", adapter)
        session.get(service.url)
        with pytest.raises(RateLimited):
            session.get(service.url)
        assert 2 == adapter.max_retries.total


#   options, what is raised, what it says
WRONG = [
    ({"hold": "no"}, ValueError, "hold must be all, retry-after or off, got 'no'"),
    ({"max_hold": "5 parsecs"}, ValueError, "max_hold must"),
    ({"guard": 10}, TypeError, "guard must be a Guard"),
    ({"resource": 10}, TypeError, "resource must be a name"),
    ({"pool_sizes": 10}, TypeError, "GuardAdapter has no option 'pool_sizes'; did you mean 'pool_maxsize'"),
    ({"resourc": 10}, TypeError, "GuardAdapter has no option 'resourc'; did you mean 'resource'"),
]


@pytest.mark.parametrize(("options", "error", "text"), WRONG)
def test_a_wrong_option_fails_at_once_by_its_name(options, error, text):
    with pytest.raises(error, match=text):
        GuardAdapter(**options)
