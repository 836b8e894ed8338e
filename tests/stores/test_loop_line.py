"""Each event loop has a connection: what one tick asks travels together, and the loop never waits."""

import asyncio
import collections
import contextlib
import gc
import socket
import threading
import time
import warnings

import pytest

from guardrail.stores.health import FAILURES, PAUSE_S
from guardrail.stores.protocol import Reply, Unavailable
from guardrail.stores.redis import RedisStore
from guardrail.telemetry.events import StoreLost
from tests.stores.scene import (
    FAULTS,
    PATIENCE,
    FakeServer,
    Hand,
    aleft,
    check,
    drip,
    faulty,
    granting,
    in_time,
    left,
    left_in,
    lost_and_found,
    open_files,
    until,
)


@pytest.fixture(autouse=True)
def nothing_stays_behind():
    gc.collect()
    files, threads = open_files(), set(threading.enumerate())
    yield
    gc.collect()  # a transport that nobody closed says so now, and warnings are errors
    until(lambda: files == open_files(), "the end of all sockets")
    until(lambda: set(threading.enumerate()) <= threads, "the end of all threads")


@contextlib.asynccontextmanager
async def opened(url, **options):
    """Open a store; afterwards it is closed, and no task is left."""
    store = RedisStore(url, **options)
    try:
        yield store
    finally:
        await store.aclose()
        assert {asyncio.current_task()} == asyncio.all_tasks()


async def happened(condition, what="what was waited for"):
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.001)


def test_what_one_tick_asks_travels_together_and_in_order():
    async def main(fake):
        async with opened(fake.url, timeout="5s") as store:
            for count in (1, 20, 300):
                users = [f"u{number}" for number in range(count)]
                replies = await asyncio.gather(*[store.aadmit(check(user)) for user in users])
                assert {Reply} == {type(reply) for reply in replies}
                sent = [user for flight in fake.flights() for user in flight]
                assert users == sent[-count:]
            assert [1, 20, 256, 44] == [len(flight) for flight in fake.flights()]

    with FakeServer() as fake:
        asyncio.run(main(fake))


def test_flights_are_under_way_one_behind_the_other():
    async def main(fake):
        async with opened(fake.url, timeout="5s") as store:
            await store.aadmit(check("first"))
            fake.free.clear()
            asked = []
            for number in range(3):
                asked.append(asyncio.ensure_future(store.aadmit(check(f"u{number}"))))
                for _ in range(3):  # the tick in which it asks, and the one that sends
                    await asyncio.sleep(0)
            assert not any(task.done() for task in asked)
            fake.free.set()
            assert {Reply} == {type(reply) for reply in await asyncio.gather(*asked)}
            assert [["first"], ["u0"], ["u1"], ["u2"]] == fake.flights()

    with FakeServer() as fake:
        asyncio.run(main(fake))


def test_who_is_cancelled_before_the_tick_ends_is_never_sent():
    async def main(fake):
        async with opened(fake.url, timeout="5s") as store:
            await store.aadmit(check("first"))
            gone, stays = (asyncio.ensure_future(store.aadmit(check(user))) for user in ("gone", "stays"))
            await asyncio.sleep(0)
            gone.cancel()
            assert isinstance(await stays, Reply)
            assert gone.cancelled()
            assert [["first"], ["stays"]] == fake.flights()

    with FakeServer() as fake:
        asyncio.run(main(fake))


def test_who_is_cancelled_in_the_air_gets_back_what_was_granted_and_disturbs_nobody(redis_server):
    """Counted on the server, with every moment at which a task can be cancelled."""

    async def main():
        async with opened(redis_server.url, timeout="5s") as store:
            await store.aadmit(check(cost=0))
            for steps in range(12):
                gone, stays = (asyncio.ensure_future(store.aadmit(check(user))) for user in ("gone", "stays"))
                for _ in range(steps):
                    await asyncio.sleep(0)
                gone.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    assert isinstance(await gone, Reply)
                    await store.aforget("rule", ["{gone}:rule"])  # it came too late
                assert isinstance(await stays, Reply)
            assert 100 == await aleft(store, "gone")
            assert 100 - 12 == await aleft(store, "stays")

    asyncio.run(main())


@pytest.mark.parametrize("peek", [False, True])
def test_who_is_cancelled_after_the_answer_has_come_gives_back_what_it_was_granted(peek):
    async def main(fake):
        async with opened(fake.url, timeout="5s") as store:
            await store.aadmit(check("first"))
            fake.free.clear()
            task = asyncio.ensure_future(store.aadmit(check("gone"), peek=peek))
            await happened(lambda: 2 == len(fake.flights()))
            line = store._lines.of_loop()
            data_received = line._link.data_received

            def cancelled_right_after(data):
                data_received(data)
                task.cancel()

            line._link._transport.set_protocol(line._link)
            line._link.data_received = cancelled_right_after
            fake.free.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            await store.aadmit(check("next"))  # behind what is given back
            assert fake.was_given_back() is not peek

    with FakeServer() as fake:
        asyncio.run(main(fake))


@pytest.mark.parametrize("fault", FAULTS)
def test_no_call_outlives_its_timeout_and_the_loop_goes_on(fault):
    async def main(fake):
        async with opened(fake.url) as store:
            spent = []
            for _ in range(FAILURES - 1):
                began = time.monotonic()
                assert isinstance(await store.aadmit(check()), Unavailable)
                spent.append(time.monotonic() - began)
            in_time(spent, 0.05)
            assert 0 < len(fake.flights()) <= fake.accepted

    with FakeServer(faulty(fault)) as fake:
        asyncio.run(main(fake))


def test_a_dripping_greeting_keeps_nobody_and_is_one_attempt():
    async def main(fake):
        async with opened(fake.url.replace("redis://", "redis://:pw@")) as store:
            store._server.dial_s, spent = PATIENCE, []
            for _ in range(FAILURES - 1):
                began = time.monotonic()
                assert isinstance(await store.aadmit(check()), Unavailable)
                spent.append(time.monotonic() - began)
            in_time(spent, 0.05)
            assert 1 == fake.accepted

    with FakeServer(greet=drip(b"+" + b"x" * 400)) as fake:
        asyncio.run(main(fake))


def test_a_handshake_slower_than_the_timeout_is_there_for_later_calls():
    ready = threading.Event()

    def answer(words):
        if words[0] == b"AUTH":
            ready.wait(PATIENCE)
        return granting(words)

    async def main(fake):
        async with opened(fake.url.replace("redis://", "redis://:pw@"), timeout="250ms") as store:
            store._server.dial_s = PATIENCE
            assert isinstance(await store.aadmit(check()), Unavailable)
            ready.set()
            async with asyncio.timeout(PATIENCE):
                while not isinstance(await store.aadmit(check()), Reply):
                    await asyncio.sleep(0.001)
            assert 1 == fake.accepted

    with FakeServer(answer) as fake:
        asyncio.run(main(fake))


def test_an_attempt_that_takes_too_long_is_given_up():
    async def main(fake):
        async with opened(fake.url.replace("redis://", "redis://:pw@")) as store:
            store._server.dial_s = 0.1
            assert isinstance(await store.aadmit(check()), Unavailable)
            await happened(lambda: store._lines.of_loop()._dial is None)
            assert isinstance(await store.aadmit(check()), Unavailable)
            await happened(lambda: 2 == fake.accepted)

    with FakeServer(lambda words: b"") as fake:
        asyncio.run(main(fake))


def test_an_idle_connection_that_has_died_costs_no_call(redis_server):
    async def main():
        async with opened(redis_server.url, timeout="5s") as store:
            for _ in range(6):
                assert isinstance(await store.aadmit(check()), Reply)
                redis_server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            assert 94 == await aleft(store, "u")

    asyncio.run(main())


def test_a_script_that_is_gone_under_many_flights_counts_nothing_twice(redis_server):
    async def main():
        async with opened(redis_server.url, timeout="5s") as store:
            for _ in range(5):
                redis_server.command("SCRIPT", "FLUSH")
                asked = []
                for _ in range(4):
                    asked.append(asyncio.ensure_future(store.aadmit(check())))
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                assert {Reply} == {type(reply) for reply in await asyncio.gather(*asked)}
            assert 80 == await aleft(store, "u")

    asyncio.run(main())


def test_while_the_store_is_away_nothing_is_sent_and_it_is_found_again():
    async def main(fake):
        async with opened(fake.url, timeout="5s") as store:
            store._health._now = hand = Hand()
            fake.answer = lambda words: b"-LOADING\r\n"
            for _ in range(FAILURES):
                assert isinstance(await store.aadmit(check()), Unavailable)
            heard, began = len(fake.heard), time.monotonic()
            for _ in range(100):
                assert isinstance(await store.aadmit(check()), Unavailable)
            assert time.monotonic() - began < 5  # all of them together wait less than one may
            assert heard == len(fake.heard)
            fake.answer = granting
            async with asyncio.timeout(PATIENCE):
                while hand.is_moved(PAUSE_S[1]) and not isinstance(await store.aadmit(check()), Reply):
                    await asyncio.sleep(0.001)

    with FakeServer() as fake:
        asyncio.run(main(fake))


def test_what_nobody_waits_for_travels_with_the_tick():
    async def main(fake):
        async with opened(fake.url, timeout="5s") as store:
            await store.aadmit(check("first"))
            store.owe(check("owes"))
            await store.aadmit(check("second"))
            store.owe(check("owes"))
            await happened(lambda: 3 == len(fake.flights()))
            assert [["first"], ["owes", "second"], ["owes"]] == fake.flights()
            assert 1 == fake.accepted

    with FakeServer() as fake:
        asyncio.run(main(fake))


def test_many_loops_in_many_threads_have_a_connection_each(redis_server):
    store = RedisStore(redis_server.url, timeout="5s")

    async def work():
        replies = await asyncio.gather(*[store.aadmit(check()) for _ in range(5)])
        assert {Reply} == {type(reply) for reply in replies}

    threads = [threading.Thread(target=asyncio.run, args=(work(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert 60 == left(store)
    store.close()
    assert {} == store._lines._loops


def test_a_loop_that_is_gone_is_forgotten_without_a_word(redis_server):
    """Warnings are errors: nothing may say that somebody forgot to close something."""
    store = RedisStore(redis_server.url, timeout="5s")
    for _ in range(3):
        assert isinstance(asyncio.run(store.aadmit(check())), Reply)
        gc.collect()
    assert 1 == len(store._lines._loops)
    store.close()
    del store
    gc.collect()


def test_a_loop_that_dies_with_calls_in_the_air():
    with FakeServer() as fake:
        store = RedisStore(fake.url, timeout="5s")
        loop = asyncio.new_event_loop()
        loop.run_until_complete(store.aadmit(check("first")))
        fake.free.clear()
        asked = store.aadmit(check("second"))
        task = loop.create_task(asked)
        loop.run_until_complete(happened(lambda: 2 == len(fake.flights())))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # asyncio says that the task was lost; it was
            task._log_destroy_pending = False
            loop.close()
            del task, asked
            gc.collect()
        fake.free.set()
        assert isinstance(asyncio.run(store.aadmit(check("third"))), Reply)
        store.close()


def test_a_sync_call_on_the_loop_warns_once_and_works():
    async def main(fake):
        async with opened(fake.url, timeout="5s") as store:
            with pytest.warns(RuntimeWarning, match="use the asynchronous form"):
                assert isinstance(store.admit(check()), Reply)
            assert isinstance(store.admit(check()), Reply)

    with FakeServer() as fake:
        asyncio.run(main(fake))


def test_closing_from_another_loop(redis_server):
    store = RedisStore(redis_server.url, timeout="5s")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    assert isinstance(asyncio.run_coroutine_threadsafe(store.aadmit(check()), loop).result(PATIENCE), Reply)
    asyncio.run(store.aclose())
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(PATIENCE)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(PATIENCE)
    loop.close()


def test_closing_ends_an_attempt_to_connect_and_what_waits_for_it():
    async def main(fake):
        async with opened(fake.url.replace("redis://", "redis://:pw@"), timeout="5s") as store:
            asked = asyncio.ensure_future(store.aadmit(check()))
            await happened(lambda: fake.accepted)
            await store.aclose()
            assert isinstance(await asked, Unavailable)

    with FakeServer(lambda words: b"") as fake:
        asyncio.run(main(fake))


# Closing, at any moment -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", range(8))
@pytest.mark.parametrize("is_known", [False, True], ids=["unknown", "known"])
def test_closing_beside_calls_answers_them_all(redis_server, steps, is_known):
    async def main():
        async with opened(redis_server.url, timeout="20s") as store:
            if is_known:
                await store.aadmit(check("first"))
            asked = [asyncio.ensure_future(store.aadmit(check())) for _ in range(3)]
            for _ in range(steps):
                await asyncio.sleep(0)
            await store.aclose()
            await asyncio.wait_for(asyncio.gather(*asked), PATIENCE / 2)
            assert 0 == store._health._failures

    asyncio.run(main())


def test_closing_from_another_loop_answers_who_waits_for_a_connection():
    async def main(fake):
        async with opened(fake.url.replace("redis://", "redis://:pw@"), timeout="20s") as store:
            asked = asyncio.ensure_future(store.aadmit(check()))
            line = store._lines.of_loop()
            await happened(lambda: line._dial is not None)
            line.loop.call_soon_threadsafe(line.close)
            assert isinstance(await asyncio.wait_for(asked, PATIENCE / 2), Unavailable)

    with FakeServer(lambda words: b"") as fake:
        asyncio.run(main(fake))


def test_a_debt_just_before_closing_is_sent_over_the_connection_there_is():
    async def main(fake):
        async with opened(fake.url, timeout="5s") as store:
            await store.aadmit(check("first"))
            asked = store._lines.of_loop().ask(store._frames.admit_order(check("asks"), peek=False))
            store.owe(check("owes"))
            await store.aclose()
            assert isinstance(await asked, Unavailable)
            await happened(lambda: [["first"], ["owes"]] == fake.flights())
            for _ in range(5):
                await asyncio.sleep(0.01)
            assert 1 == fake.accepted

    with FakeServer() as fake:
        asyncio.run(main(fake))


def test_a_line_that_is_closed_connects_no_more():
    async def main(fake):
        async with opened(fake.url, timeout="5s") as store:
            line = store._lines.of_loop()
            line.send(store._frames.owe_order(check("owes")))
            await store.aclose()
            line.send(store._frames.owe_order(check("owes")))
            assert isinstance(line.ask(store._frames.admit_order(check(), peek=False)).result(), Unavailable)
            assert not line.probe()
            for _ in range(5):
                await asyncio.sleep(0)
            assert line._dial is None

    with FakeServer() as fake:
        asyncio.run(main(fake))
        assert 0 == fake.accepted


def test_closing_does_not_wait_for_a_thread_that_connects():
    async def main(port):
        async with opened(f"redis://127.0.0.1:{port}") as store:
            store._server.dial_s = 3.0
            await asyncio.to_thread(store.admit, check())
            began = time.monotonic()
            await store.aclose()
            assert time.monotonic() - began < 1.5

    with socket.socket() as full:  # which nobody accepts from any more
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        asyncio.run(main(full.getsockname()[1]))
        for each in waiting:
            each.close()


def test_a_loop_that_dies_while_it_connects_says_nothing_of_the_server(caplog):
    with FakeServer(lambda words: b"") as fake:
        store = RedisStore(fake.url.replace("redis://", "redis://:pw@"), timeout="5s")
        loop = asyncio.new_event_loop()
        asked = store.aadmit(check())
        task = loop.create_task(asked)
        loop.run_until_complete(happened(lambda: fake.heard))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # asyncio says that the task was lost; it was
            task._log_destroy_pending = store._lines._loops[loop]._dial._log_destroy_pending = False
            loop.close()
            del task, asked
            store._lines._forget_the_dead()
            gc.collect()
        assert (0, "") == (store._health._failures, store._health.reason)
        assert "" == caplog.text
        store.close()


# A signal handler that raises in a callback, and a loop that goes on ----------------------------------------------------


class StruckDeque(collections.deque):
    """Take in what is asked, or give it out, and raise once right before or after it."""

    def __init__(self, questions, where):
        super().__init__(questions)
        self.where = where

    def _strike(self, where):
        if self.where == where:
            self.where = ""
            raise KeyboardInterrupt

    def append(self, question):
        self._strike("before")
        super().append(question)
        self._strike("append")

    def popleft(self):
        question = super().popleft()
        self._strike("popleft")
        return question


@pytest.mark.parametrize("where", ["before", "append", "popleft"])
def test_a_signal_in_a_callback_shifts_no_answer_and_leaves_nobody_waiting(redis_server, where):
    loop = asyncio.new_event_loop()
    store = RedisStore(redis_server.url, timeout="2s")
    run = loop.run_until_complete
    run(store.aadmit(check("a", 60)))
    talk = store._lines._loops[loop]._link.talk
    talk._open = StruckDeque(talk._open, where)
    struck = [loop.create_task(store.aadmit(check("b", 0))) for _ in range(2)]
    with pytest.raises(KeyboardInterrupt):
        run(asyncio.wait(struck))
    assert (not_told := run(asyncio.wait(struck, timeout=PATIENCE)))[1] == set(), not_told

    async def replies():
        asked = []
        for user in "abab":
            asked.append(asyncio.ensure_future(store.aadmit(check(user, 70), peek=user == "b")))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return await asyncio.gather(*asked)

    assert [(False, 40), (True, 100)] * 2 == [(reply.allowed, left_in(reply)) for reply in run(replies())]
    assert 0 == store._health._failures
    run(store.aclose())
    loop.close()


def test_what_comes_after_a_signal_has_struck_is_not_heard():
    async def main(fake):
        async with opened(fake.url, timeout="5s") as store:
            await store.aadmit(check("first"))
            fake.free.clear()
            asked = asyncio.ensure_future(store.aadmit(check("second")))
            await happened(lambda: ["second"] in fake.flights())
            store._lines.of_loop()._link.talk.busy = True
            fake.free.set()
            assert isinstance(await asked, Unavailable)
            assert isinstance(await store.aadmit(check("third")), Reply)
            assert (2, 0) == (fake.accepted, store._health._failures)

    with FakeServer() as fake:
        asyncio.run(main(fake))


def test_a_connection_from_before_an_outage_is_not_used_after_it():
    async def main(fake):
        async with opened(fake.url, timeout="5s") as store:
            assert isinstance(await store.aadmit(check()), Reply)
            lost_and_found(store._health)
            assert isinstance(await store.aadmit(check()), Reply)
            assert 2 == fake.accepted
            assert 0 == store._health._failures

    with FakeServer() as fake:
        asyncio.run(main(fake))


def test_listeners_are_told_behind_who_waited():
    async def main(fake):
        async with opened(fake.url, timeout="5s") as store:
            order = []
            store.follow(lambda event: order.append(type(event)))

            async def ask(user):
                await store.aadmit(check(user))
                order.append(user)

            fake.answer = lambda words: b"-NOPERM no\r\n" if words[0] == b"EVALSHA" else granting(words)
            await asyncio.gather(ask("u"), ask("v"))
            await happened(lambda: 3 == len(order))
            assert ["u", "v", StoreLost] == order

    with FakeServer() as fake:
        asyncio.run(main(fake))
