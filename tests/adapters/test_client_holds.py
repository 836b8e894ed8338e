"""Resources are left alone for as long as the other side has asked."""

import pickle
import threading

import httpx
import pytest

from guardrail import Guard, RateLimited
from guardrail.telemetry.events import CallRefused
from guardrail.testing import FakeClock, RecordingListener, disabled
from tests.adapters.client_fakes import NOW, PLACE, Far, client_of, in_use


@pytest.fixture
def clock():
    return FakeClock(NOW * 1_000_000)


def test_a_429_holds_its_resource_back_until_retry_after(clock):
    far = Far((429, {"Retry-After": "30"}))
    heard = RecordingListener()
    with Guard(clock=clock, listeners=[heard]) as guard, client_of(guard, far) as client:
        assert 429 == client.get("https://api.example.com/a").status_code
        clock.advance(10)
        said = "client GET api.example.com: asked by its Retry-After to stay away; retry after 20 s"
        with pytest.raises(RateLimited, match=f"^{said}$") as caught:
            client.get("https://api.example.com/b")
        assert ("Retry-After", "rate", 20.0) == (caught.value.rule, caught.value.reason, caught.value.retry_after)
        assert (said, True) == (str(pickle.loads(pickle.dumps(caught.value))), caught.value.is_outgoing)
        assert 200 == client.get("https://other.example.com/").status_code
        clock.set_us((NOW + 30) * 1_000_000 - 1)
        with pytest.raises(RateLimited) as caught:
            client.get("https://api.example.com/c")
        assert 0.000001 == caught.value.retry_after
        clock.set_us((NOW + 30) * 1_000_000)
        assert 200 == client.get("https://api.example.com/d").status_code
        assert 3 == len(far.seen)
        assert ["Retry-After", "Retry-After"] == [event.rule for event in heard.of(CallRefused)]


def test_an_absurd_retry_after_is_capped(clock):
    far = Far((429, {"Retry-After": "99999999999"}), (429, {"Retry-After": "99999999999"}))
    with Guard(clock=clock) as guard, client_of(guard, far) as client:
        client.get("https://api.example.com/")
        with pytest.raises(RateLimited) as caught:
            client.get("https://api.example.com/")
        assert 300.0 == caught.value.retry_after
    with Guard(clock=clock) as guard, client_of(guard, far, max_hold="2s") as client:
        client.get("https://api.example.com/")
        with pytest.raises(RateLimited) as caught:
            client.get("https://api.example.com/")
        assert 2.0 == caught.value.retry_after


def test_a_quota_that_is_used_up_holds_back_unless_only_retry_after_counts(clock):
    for hold, held in [("all", True), ("retry-after", False), ("off", False)]:
        far = Far((200, {"RateLimit": '"default";r=0;t=7'}))
        with Guard(clock=clock) as guard, client_of(guard, far, hold=hold) as client:
            client.get("https://api.example.com/")
            if held:
                with pytest.raises(RateLimited) as caught:
                    client.get("https://api.example.com/")
                assert ("RateLimit", 7.0) == (caught.value.rule, caught.value.retry_after)
            else:
                client.get("https://api.example.com/")


def test_nothing_is_held_back_with_hold_off(clock):
    far = Far((429, {"Retry-After": "30"}))
    with Guard(clock=clock) as guard, client_of(guard, far, hold="off") as client:
        client.get("https://api.example.com/")
        assert 200 == client.get("https://api.example.com/").status_code


def test_a_shorter_advice_does_not_end_a_longer_hold(clock):
    """Two calls are out; the answer that comes last asks for less."""
    with Guard(clock=clock) as guard:
        first, second = threading.Event(), threading.Event()

        def far(request):
            if request.url.path == "/slow":
                first.set()
                second.wait(20)
                return httpx.Response(429, headers={"Retry-After": "5"})
            return httpx.Response(429, headers={"Retry-After": "60"})

        with client_of(guard, far) as client:
            thread = threading.Thread(target=client.get, args=["https://api.example.com/slow"])
            thread.start()
            assert first.wait(20)
            client.get("https://api.example.com/quick")
            second.set()
            thread.join()
            with pytest.raises(RateLimited) as caught:
                client.get("https://api.example.com/")
            assert 60.0 == caught.value.retry_after


def test_a_call_that_queued_while_its_resource_was_held_back_does_not_go_out():
    """The first is answered with 429 while the second waits for the place that it takes."""
    seen, out, go_on = [], threading.Event(), threading.Event()

    def far(request):
        seen.append(request.url.path)
        out.set()
        go_on.wait(20)
        return httpx.Response(429, headers={"Retry-After": "60"})

    with Guard([{**PLACE, "max_wait": "20s"}]) as guard, client_of(guard, far) as client:
        refused = []

        def call(path):
            try:
                client.get(f"https://api.example.com{path}")
            except RateLimited as error:
                refused.append((error.rule, error.is_outgoing))

        threads = [threading.Thread(target=call, args=[path]) for path in ("/1", "/2")]
        threads[0].start()
        assert out.wait(20)
        threads[1].start()
        while not guard.ledger.waiting:
            pass
        go_on.set()
        for thread in threads:
            thread.join()
        assert (["/1"], [("Retry-After", True)]) == (seen, refused)
        assert not in_use(guard)


def test_all_clients_of_a_guard_know_what_one_was_told(clock):
    far = Far((503, {"Retry-After": "30"}))
    with Guard(clock=clock) as guard, client_of(guard, far) as one, client_of(guard, far) as other:
        one.get("https://api.example.com/")
        with pytest.raises(RateLimited):
            other.get("https://api.example.com/")
    with Guard(clock=clock) as guard, client_of(guard, far) as stranger:
        assert 200 == stranger.get("https://api.example.com/").status_code


def test_a_clock_that_steps_back_locks_nobody_out(clock):
    far = Far((429, {"Retry-After": "30"}))
    with Guard(clock=clock) as guard, client_of(guard, far) as client:
        client.get("https://api.example.com/")
        clock.advance(-3600)
        with pytest.raises(RateLimited) as caught:
            client.get("https://api.example.com/")
        assert 30.0 == caught.value.retry_after
        clock.advance(30)
        assert 200 == client.get("https://api.example.com/").status_code


def test_a_guard_that_is_off_or_only_watches_holds_nothing_back(clock):
    far = Far((429, {"Retry-After": "30"}))
    heard = RecordingListener()
    with Guard(clock=clock, listeners=[heard]) as guard, client_of(guard, far) as client:
        client.get("https://api.example.com/")
        with disabled(guard):
            assert 200 == client.get("https://api.example.com/").status_code
        guard.mode = "shadow"
        assert 200 == client.get("https://api.example.com/").status_code
        assert [True] == [event.shadow for event in heard.of(CallRefused)]
        guard.mode = "enforce"
        with pytest.raises(RateLimited):
            client.get("https://api.example.com/")
