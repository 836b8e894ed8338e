"""What guarded calls notice of a store that does not answer: what each rule's `on_store_error` says, in time, and nothing else."""

import asyncio
from contextlib import ExitStack
from time import monotonic, perf_counter

import pytest

from guardrail import Guard, RateLimited
from guardrail.telemetry.events import StoreBack, StoreLost
from guardrail.testing import RecordingListener
from tests.faults.scene import FAILURES, KINDS, LATE, LONG, RECOVERY, SHORT, SLACK, STALLED, TIMEOUT, Metronome
from tests.servers import PATIENCE

FAULTS = ("silent", "blackhole", "drop_reply", "refuse", "rst")


def rule(**fields):
    return {"resource": "r", "kind": "limit", "rate": "4/h", "key": "user", **fields}


class Site:
    """A guard with these rules over the server behind a proxy, called from threads or tasks."""

    def __init__(self, kind, proxy, rules, timeout):
        self.news = RecordingListener()
        self.guard = Guard(list(rules), store=f"{proxy.url}?timeout={timeout}", listeners=[self.news])
        self.runner = asyncio.Runner() if kind == "tasks" else None
        self.spent = []
        self.metronome = Metronome()

    def __enter__(self):
        self.metronome.__enter__()
        return self

    def __exit__(self, *_):
        self.metronome.__exit__()
        if self.runner is None:
            self.guard.close()
        else:
            self.runner.run(self.guard.aclose())
            self.runner.close()

    def decided(self, user="u", **options):
        if self.runner is not None:
            return self.runner.run(self._adecided(user, options))
        began = perf_counter()
        permit = self.guard.try_enter("r", {"user": user}, **options)
        self.spent.append(perf_counter() - began)
        permit.exit()
        return permit.decision

    async def _adecided(self, user, options):
        began = perf_counter()
        permit = await self.guard.atry_enter("r", {"user": user}, **options)
        self.spent.append(perf_counter() - began)
        await permit.aexit()
        return permit.decision

    def told(self, kind):
        return [event for event in self.news.events if isinstance(event, kind)]

    def is_asked_again(self, user):
        """See that calls are counted in the store again, in time."""
        began = monotonic()
        while not self.told(StoreBack):
            self.decided(user)
            assert monotonic() - began < RECOVERY + self.metronome.late


@pytest.fixture(params=KINDS)
def site(request, proxy):
    with ExitStack() as stack:

        def make(*rules, timeout=SHORT):
            made = stack.enter_context(Site(request.param, proxy, rules, timeout))
            stack.callback(proxy.heal)
            until = monotonic() + PATIENCE
            while (reason := made.decided("first").reason) not in {None, "rate"}:  # it has met the store
                assert monotonic() < until, reason
            made.spent.clear()
            return made

        yield make


def was_in_time(site):
    late = site.metronome.late
    waited = sorted(site.spent, reverse=True)[:FAILURES]  # the others were answered at once
    assert min(waited) <= TIMEOUT + LATE + SLACK + late, site.spent
    assert max(waited) <= TIMEOUT + LATE + STALLED + late, site.spent


@pytest.mark.parametrize("fault", FAULTS)
def test_local_goes_on_with_what_this_process_counts(site, proxy, fault):
    made = site(rule(on_store_error="local"))
    getattr(proxy, fault)()
    assert [True] * 4 + [False] * 2 == [made.decided().allowed for _ in range(6)]
    was_in_time(made)
    (lost,) = made.told(StoreLost)
    assert lost.error in {"timeout", "connection"}


def test_allow_lets_everybody_in(site, proxy):
    made = site(rule(on_store_error="allow"))
    proxy.silent()
    decisions = [made.decided() for _ in range(3 * FAILURES)]
    assert {True} == {decision.allowed for decision in decisions}
    was_in_time(made)
    proxy.await_seen(lambda seen: seen["unanswered"] >= 1)


def test_deny_refuses_everybody_and_says_why_and_for_how_long(site, proxy):
    made = site(rule(on_store_error="deny"))
    proxy.silent()
    decisions = [made.decided() for _ in range(3 * FAILURES)]
    assert {(False, "store_unavailable")} == {(decision.allowed, decision.reason) for decision in decisions}
    assert all(0 <= decision.retry_after <= 1 for decision in decisions)
    was_in_time(made)
    with pytest.raises(RateLimited):
        made.guard.enter("r", {"user": "u"}).__enter__()


def test_each_rule_has_its_own_policy(site, proxy):
    made = site(rule(name="a", on_store_error="allow"), rule(name="l", rate="2/h", on_store_error="local"))
    proxy.silent()
    assert [True, True, False] == [made.decided().allowed for _ in range(3)]
    assert "l" == made.decided().rule


def test_a_rule_that_only_watches_refuses_nobody(site, proxy):
    made = site(rule(mode="shadow", on_store_error="deny"))
    proxy.silent()
    assert {True} == {made.decided().allowed for _ in range(2 * FAILURES)}
    was_in_time(made)


def test_counting_goes_on_in_the_store_when_it_is_back(site, proxy):
    made = site(rule(on_store_error="deny"), timeout=LONG)
    assert made.decided().allowed
    proxy.refuse()
    for _ in range(FAILURES):
        assert not made.decided().allowed
    proxy.heal()
    made.is_asked_again("back")
    assert [True, True, True, False] == [made.decided().allowed for _ in range(4)]  # one was used before
    assert (1, 1) == (len(made.told(StoreLost)), len(made.told(StoreBack)))


def test_a_lost_answer_is_charged_once_and_the_call_is_decided_by_policy(site, proxy):
    made = site(rule(on_store_error="allow"), timeout="1s")
    assert made.decided().allowed
    proxy.drop_reply(nth=1)
    assert made.decided().allowed
    proxy.await_seen(lambda seen: seen["swallowed"] == 1)
    assert [True, True, False] == [made.decided().allowed for _ in range(3)]
