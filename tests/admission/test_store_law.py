"""A store that breaks its law counts as unavailable, the log says so, and no call fails for it."""

import pytest

from guardrail.admission import replies
from tests.admission.scene import decided, limit
from tests.admission.shared_scene import alone_or_not, both


def _nothing(checks, reply):
    return None


def _too_few(checks, reply):
    return reply._replace(states=reply.states[:-1])


def _no_eras(checks, reply):
    return reply._replace(eras=())


def _a_no_without_reason(checks, reply):
    return reply._replace(allowed=False)


def _states_of_something_else(checks, reply):
    return reply._replace(allowed=False, states=(None,) * len(checks))


SENSELESS = [_nothing, _too_few, _no_eras, _a_no_without_reason, _states_of_something_else]


@both
@alone_or_not
@pytest.mark.parametrize("policy", ["local", "deny"])
@pytest.mark.parametrize("wrong", SENSELESS)
def test_an_answer_without_sense_is_none(store, shared, decided, monkeypatch, caplog, others, policy, wrong):
    replies._complain.cache_clear()
    right = store._decided
    monkeypatch.setattr(store, "_decided", lambda checks, peek: wrong(checks, right(checks, peek)))
    guard = shared(limit("9/min", on_store_error=policy), *others)
    said = [decided(guard).verdicts[0] for _ in range(3)]
    without = [(None, 8), (None, 7), (None, 6)] if policy == "local" else [("store_unavailable", None)] * 3
    assert without == [(one.reason, one.remaining) for one in said]
    assert {"guardrail.store"} == {one.name for one in caplog.records}


def test_a_store_without_sense_is_complained_of_once(store, shared, monkeypatch, caplog):
    monkeypatch.setattr(store, "_decided", lambda checks, peek: None)
    replies._complain.cache_clear()
    for _ in range(2):
        assert decided(shared(limit("9/min"))).allowed
    assert ["the store, a FakeStore, does not answer what it is asked"] == [
        one.getMessage().split(":")[0] for one in caplog.records
    ]


@both
@pytest.mark.parametrize("count", [0, None, OSError("no network")])
def test_a_store_that_cannot_count_leaves_all_of_the_limit_to_this_process(
    away, shared, decided, monkeypatch, count, caplog
):
    def live_processes():
        if isinstance(count, OSError):
            raise count
        return count

    replies._complain.cache_clear()
    monkeypatch.setattr(away, "live_processes", live_processes)
    guard = shared(limit("2/min"))
    assert [True, True, False] == [decided(guard).allowed for _ in range(3)]
    assert 1 == len(caplog.records)
