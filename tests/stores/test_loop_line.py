"""Each event loop has a connection: what one tick asks travels together, and the loop never waits."""

import asyncio
import contextlib
import gc
import socket
import threading
import time
import warnings

import pytest

from guardrail.stores.protocol import Reply, Unavailable
from guardrail.stores.redis import RedisStore
from tests.stores.scene import HUNDRED, PATIENCE, SLACK_S, FakeServer, check, drip, granting, in_time, open_files, until


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
                await asyncio.sleep(0.01)
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
            assert 100 == await left(store, "gone")
            assert 100 - 12 == await left(store, "stays")

    asyncio.run(main())


async def left(store, user):
    reply = await store.aadmit(check(user), peek=True)
    return HUNDRED.view(reply.states[0], reply.now_us)[0]


def test_who_is_cancelled_after_the_answer_has_come_gives_it_back():
    async def main(fake):
        async with opened(fake.url, timeout="5s") as store:
            await store.aadmit(check("first"))
            fake.free.clear()
            task = asyncio.ensure_future(store.aadmit(check("gone")))
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
            await happened(lambda: gave_back(fake))

    with FakeServer() as fake:
        asyncio.run(main(fake))


def gave_back(fake):
    return any(step.startswith(b"g 1 7") for words in list(fake.heard) for step in words)


@pytest.mark.parametrize("fault", ["silent", "drip", "close", "garbage", "other"])
def test_no_call_outlives_its_timeout_and_the_loop_goes_on(fault):
    answers = {
        "silent": b"",
        "drip": drip(),
        "close": lambda client: client.shutdown(socket.SHUT_RDWR),
        "garbage": b"HTTP/1.1 400 Bad Request\r\n\r\n",
        "other": b"$5\r\n1 1 x\r\n",
    }

    async def main(fake):
        async with opened(fake.url) as store:
            for _ in range(3):
                began = time.monotonic()
                assert isinstance(await store.aadmit(check()), Unavailable)
                in_time(began, 0.05)
            assert 3 == fake.accepted

    with FakeServer(lambda words: answers[fault] if words[0] == b"EVALSHA" else granting(words)) as fake:
        asyncio.run(main(fake))


def test_a_dripping_greeting_keeps_nobody_and_is_one_attempt():
    async def main(fake):
        async with opened(fake.url.replace("redis://", "redis://:pw@")) as store:
            for _ in range(4):
                began = time.monotonic()
                assert isinstance(await store.aadmit(check()), Unavailable)
                in_time(began, 0.05)
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
            assert 2 == fake.accepted

    with FakeServer(lambda words: b"") as fake:
        asyncio.run(main(fake))


def test_an_idle_connection_that_has_died_costs_no_call(redis_server):
    async def main():
        async with opened(redis_server.url) as store:
            for _ in range(6):
                assert isinstance(await store.aadmit(check()), Reply)
                redis_server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            assert 94 == await left(store, "u")

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
            assert 80 == await left(store, "u")

    asyncio.run(main())


def test_while_the_store_is_away_nothing_is_sent_and_it_is_found_again():
    async def main(fake):
        async with opened(fake.url) as store:
            fake.answer = lambda words: b"-LOADING\r\n"
            for _ in range(5):
                assert isinstance(await store.aadmit(check()), Unavailable)
            heard = len(fake.heard)
            for _ in range(100):
                began = time.perf_counter()
                assert isinstance(await store.aadmit(check()), Unavailable)
                assert time.perf_counter() - began < SLACK_S
            assert heard == len(fake.heard)
            fake.answer = granting
            began = time.monotonic()
            while not isinstance(await store.aadmit(check()), Reply):
                assert time.monotonic() - began < 1.1
                await asyncio.sleep(0.01)

    with FakeServer() as fake:
        asyncio.run(main(fake))


def test_what_nobody_waits_for_travels_with_the_tick():
    async def main(fake):
        async with opened(fake.url) as store:
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
    reply = store.admit(check(), peek=True)
    assert 60 == HUNDRED.view(reply.states[0], reply.now_us)[0]
    store.close()
    assert {} == store._lines._loops


def test_a_loop_that_is_gone_is_forgotten_without_a_word(redis_server):
    """Warnings are errors: nothing may say that somebody forgot to close something."""
    store = RedisStore(redis_server.url)
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
        loop.run_until_complete(asyncio.sleep(0.01))
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
