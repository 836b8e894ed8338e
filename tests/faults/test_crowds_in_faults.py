"""Many at once in a fault: each ends in time, one outage is told, nobody takes another's answer, nobody storms the server."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import monotonic, perf_counter, sleep

import pytest

from guardrail.stores.protocol import Check, Reply, Unavailable
from guardrail.telemetry.events import StoreBack, StoreLost
from tests.admission.scene import in_child
from tests.faults.scene import HUNDRED, STALLED, calling
from tests.servers import PATIENCE

CROWD = 16
TASKS = 200
PATIENT, PATIENT_S = "400ms", 0.4  # who waited behind the four that time out before him would take five times as long


def check(user="u", cost=1):
    return [Check(f"{{{user}}}:rule", HUNDRED, cost)]


def timed(store, user):
    began = perf_counter()
    reply = store.admit(check(user))
    return reply, perf_counter() - began


async def atimed(store, user):
    began = perf_counter()
    reply = await store.aadmit(check(user))
    return reply, perf_counter() - began


def all_were_in_time(caller, answers):
    spent = [seconds for _, seconds in answers]
    assert max(spent) <= PATIENT_S + STALLED + caller.metronome.late, spent


@pytest.mark.parametrize("fault", ["silent", "blackhole", "drop_reply"])
def test_threads_that_ask_at_once(proxy, fault):
    with calling("threads", proxy.url, proxy=proxy, timeout=PATIENT) as caller, ThreadPoolExecutor(CROWD) as pool:
        assert 0 == caller.used()
        getattr(proxy, fault)()
        answers = list(pool.map(lambda n: timed(caller.store, f"u{n}"), range(8 * CROWD)))
        assert {Unavailable} == {type(reply) for reply, _ in answers}
        all_were_in_time(caller, answers)
        proxy.await_seen(lambda seen: seen["unanswered"] + seen["held"] + seen["swallowed"] >= 1)
        proxy.heal()
        caller.is_back()
        caller.told_of_outage("timeout")
        pool.shutdown()


@pytest.mark.parametrize("fault", ["silent", "blackhole", "drop_reply"])
def test_tasks_that_ask_at_once(proxy, fault):
    with calling("tasks", proxy.url, proxy=proxy, timeout=PATIENT) as caller:

        async def crowd():
            return await asyncio.gather(*[atimed(caller.store, f"u{number}") for number in range(TASKS)])

        assert 0 == caller.used()
        getattr(proxy, fault)()
        answers = caller.loop.run(crowd())
        assert {Unavailable} == {type(reply) for reply, _ in answers}
        all_were_in_time(caller, answers)
        proxy.await_seen(lambda seen: seen["unanswered"] + seen["held"] + seen["swallowed"] >= 1)
        caller.fails()
        proxy.heal()
        caller.is_back()
        caller.told_of_outage("timeout")


def test_threads_and_tasks_of_one_store_tell_one_outage(proxy):
    with calling("tasks", proxy.url, proxy=proxy, timeout=PATIENT) as caller, ThreadPoolExecutor(CROWD) as pool:
        assert isinstance(caller.ask(), Reply)
        assert isinstance(caller.store.admit(check()), Reply)
        proxy.silent()
        list(pool.map(lambda n: caller.store.admit(check()), range(2 * CROWD)))
        caller.fails()
        proxy.heal()
        caller.is_back()
        until = monotonic() + PATIENCE
        while not isinstance(caller.store.admit(check()), Reply):
            assert monotonic() < until
        assert (1, 1) == (len(caller.told(StoreLost)), len(caller.told(StoreBack)))
        assert 4 >= caller.used()


def test_a_crowd_under_a_flapping_connection_never_takes_another_ones_answer(proxy):
    """Users have their own costs; an answer that was meant for another one would show another use."""
    with calling("threads", proxy.url, proxy=proxy) as caller, ThreadPoolExecutor(CROWD) as pool:
        over = Event()

        def call(number):
            cost, charged, unknown = 1 + number % 5, 0, 0
            while not over.is_set() and charged + unknown + cost <= HUNDRED.capacity:
                reply = caller.store.admit(check(f"u{number}", cost))
                if isinstance(reply, Unavailable):
                    unknown += cost  # a lost answer may have been charged, once
                    continue
                used = HUNDRED.capacity - HUNDRED.view(reply.states[0], reply.now_us)[0]
                assert charged <= used <= charged + unknown, (charged, used, unknown)
                assert 0 == used % cost
                charged, unknown = used + cost, 0
            return True

        calls = [pool.submit(call, number) for number in range(CROWD)]
        proxy.await_seen(lambda seen: seen["replies"] >= 5)
        for _ in range(3):
            proxy.cut()
            before = proxy.seen["replies"]
            proxy.await_seen(lambda seen, before=before: seen["replies"] >= before + 5 or all(c.done() for c in calls))
        over.set()
        assert all(done.result() for done in calls)
        assert 3 <= proxy.seen["reset"]


def test_nobody_storms_a_server_that_comes_back(proxy):
    with calling("threads", proxy.url, proxy=proxy) as caller, ThreadPoolExecutor(CROWD) as pool:
        assert 0 == caller.used()
        proxy.refuse()
        caller.fails()
        over = Event()

        def call(number):
            while not over.is_set():
                caller.store.admit(check(f"u{number}", 0))
                sleep(0.001)  # work

        calls = [pool.submit(call, number) for number in range(CROWD)]
        before = proxy.seen["connections"]
        proxy.heal()
        caller.is_back()
        over.set()
        for done in calls:
            done.result()
        assert proxy.seen["connections"] - before <= 2


# Cancellation --------------------------------------------------------------------------------------------------------


def test_a_cancelled_task_disturbs_nobody_and_its_grant_is_given_back(proxy):
    with calling("tasks", proxy.url, proxy=proxy, timeout="10s") as caller:

        async def some_leave():
            tasks = [asyncio.ensure_future(caller.store.aadmit(check())) for _ in range(10)]
            while proxy.seen["delayed"] == 0:
                await asyncio.sleep(0.001)
            for task in tasks[::3]:
                task.cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

        assert 0 == caller.used()
        proxy.delay(0.5, after=b"{u}", nth=1)  # until then, some have to be cancelled
        replies = caller.loop.run(some_leave())
        assert [asyncio.CancelledError if place % 3 == 0 else Reply for place in range(10)] == [*map(type, replies)]
        until = monotonic() + PATIENCE
        while caller.used() != 6:
            assert monotonic() < until, caller.used()
        assert isinstance(caller.ask(), Reply)
        assert 7 == caller.used()


def test_tasks_cancelled_again_and_again_leave_the_answers_in_order(proxy):
    with calling("tasks", proxy.url, proxy=proxy) as caller:

        async def cancelled_midway(number):
            task = asyncio.ensure_future(caller.store.aadmit(check("gone")))
            for _ in range(number % 7):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():  # it had its answer before
                answered.append(task.result())
            reply = await caller.store.aadmit(check("stays"))
            assert isinstance(reply, Reply)
            return HUNDRED.capacity - HUNDRED.view(reply.states[0], reply.now_us)[0]

        async def forty():
            return [await cancelled_midway(number) for number in range(40)]

        answered = []
        assert list(range(40)) == caller.loop.run(forty())
        assert len(answered) < 20
        until = monotonic() + PATIENCE
        while caller.used("gone") != len(answered):
            assert monotonic() < until, caller.used("gone")


def test_a_loop_that_is_closed_in_the_middle_of_a_call_leaves_nothing_to_threads(proxy):
    with calling("threads", proxy.url, proxy=proxy) as caller:
        proxy.silent()

        async def leave():
            task = asyncio.ensure_future(caller.store.aadmit(check()))
            await asyncio.sleep(0.005)
            task.cancel()
            await caller.store.aclose()

        asyncio.run(leave())
        proxy.heal()
        assert isinstance(caller.ask(), Reply)

        async def ask():
            try:
                return await caller.store.aadmit(check())
            finally:
                await caller.store.aclose()

        assert isinstance(asyncio.run(ask()), Reply)


# Fork ----------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_child_has_connections_of_its_own(proxy):
    with calling("threads", proxy.url, proxy=proxy) as caller:
        assert isinstance(caller.ask(), Reply)
        before = proxy.seen["connections"]

        def child():
            caller.store.after_fork()
            replies = [caller.store.admit(check()) for _ in range(3)]
            return [type(reply).__name__ for reply in replies]

        assert repr(["Reply"] * 3) == in_child(child)
        assert 1 == proxy.seen["connections"] - before
        assert isinstance(caller.ask(), Reply)
        assert 1 == proxy.seen["connections"] - before  # the parent still has its own
        assert 5 == caller.used()


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_children_forked_while_threads_are_in_the_middle_of_calls(proxy):
    with calling("threads", proxy.url, proxy=proxy) as caller, ThreadPoolExecutor(4) as pool:
        over = Event()

        def call(number):
            replies = []
            while not over.is_set():
                replies.append(type(caller.store.admit(check(f"u{number}", 0))))
            return set(replies)

        calls = [pool.submit(call, number) for number in range(4)]

        def child():
            caller.store.after_fork()
            return type(caller.store.admit(check("child"))).__name__

        for _ in range(5):
            assert "'Reply'" == in_child(child)
        over.set()
        assert [{Reply}] * 4 == [done.result() for done in calls]
        assert 5 == caller.used("child")
