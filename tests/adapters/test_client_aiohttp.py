"""aiohttp: a client middleware that lets requests out by the rules."""

import asyncio
import gc

import aiohttp
import pytest
from aiohttp import web

from guardrail import BreakerOpen, BulkheadFull, Guard, RateLimited
from guardrail.adapters.aiohttp import GuardMiddleware
from guardrail.testing import FakeClock
from tests.adapters.client_fakes import HEALTH, PLACE, in_use
from tests.adapters.client_service import Answer, running

LONG = b"x" * 1_000_000  # more than arrives with the head


@pytest.fixture
def service():
    with running() as one:
        yield one


def with_session(test, *rules, clock=None):
    """Run `test(session, guard)` in an event loop."""

    async def main():
        with Guard(list(rules or (PLACE, HEALTH)), clock=clock) as guard:
            async with aiohttp.ClientSession(middlewares=[GuardMiddleware(guard)]) as session:
                await test(session, guard)

    asyncio.run(main())


def test_a_body_keeps_its_place_until_it_is_read(service):
    async def test(session, guard):
        service.say(Answer(body=LONG))
        async with session.get(service.url) as response:
            assert in_use(guard)
            with pytest.raises(BulkheadFull):
                await session.get(service.url)
            assert LONG == await response.read()
            assert not in_use(guard)
        assert 1 == len(service.seen)

    with_session(test)


def test_a_body_keeps_its_place_until_it_is_released_or_closed(service):
    async def test(session, guard):
        for end in ("release", "close"):
            service.say(Answer(body=LONG))
            response = await session.get(service.url)
            assert in_use(guard)
            getattr(response, end)()
            assert not in_use(guard)
        async with session.get(service.url) as response:
            assert "hello" == await response.text()
        assert not in_use(guard)

    with_session(test)


def test_an_answer_without_body_keeps_no_place(service):
    async def test(session, guard):
        service.say(Answer(204, body=b""))
        response = await session.get(service.url)
        assert not in_use(guard)
        assert 204 == response.status

    with_session(test)


@pytest.mark.filterwarnings("ignore:Unclosed:ResourceWarning")  # aiohttp says so of what is dropped
def test_a_response_that_is_dropped_leaves_its_place_with_its_connection(service):
    """aiohttp keeps the connection of an unread body until that is there, or the session is closed."""

    async def main():
        with Guard([PLACE]) as guard:
            async with aiohttp.ClientSession(middlewares=[GuardMiddleware(guard)]) as session:
                service.say(Answer(hangs=True))
                await session.get(service.url)
                assert in_use(guard)
                service.go_on.set()
                while in_use(guard):
                    await asyncio.sleep(0)
                service.say(Answer(body=LONG))
                await session.get(service.url)
                assert in_use(guard)
            gc.collect()
            await asyncio.sleep(0)
            gc.collect()
            assert not in_use(guard)

    asyncio.run(main())


def test_each_hop_of_a_redirect_counts_and_leaves_its_place(service):
    async def test(session, guard):
        service.say(Answer(302, {"Location": "/next"}, LONG), Answer(302, {"Location": "/last"}, b""))
        async with session.get(service.url) as response:
            assert b"hello" == await response.read()
        assert ["GET /", "GET /next", "GET /last"] == service.seen
        assert not in_use(guard)

    with_session(test)


def test_a_429_holds_its_resource_back_until_retry_after(service):
    clock = FakeClock(1_700_000_000_000_000)

    async def test(session, guard):
        service.say(Answer(429, {"Retry-After": "30"}))
        async with session.get(service.url) as response:
            assert 429 == response.status
        with pytest.raises(RateLimited) as caught:
            await session.get(service.url)
        assert 30.0 == caught.value.retry_after
        clock.advance(30)
        async with session.get(service.url) as response:
            assert 200 == response.status
        assert 2 == len(service.seen)

    with_session(test, clock=clock)


@pytest.mark.parametrize("answer", [Answer(breaks=True), Answer(silent=True)], ids=["in-the-body", "before-the-answer"])
def test_a_connection_that_breaks_is_a_failure_and_gives_its_place_back(service, answer):
    async def test(session, guard):
        service.say(answer)
        with pytest.raises(aiohttp.ClientError):
            async with session.post(service.url) as response:
                async for _ in response.content.iter_chunked(1):
                    pass
        assert not in_use(guard)
        with pytest.raises(BreakerOpen):
            await session.post(service.url)

    with_session(test)


@pytest.mark.parametrize("timeout", [{"total": 0.05}, {"sock_read": 0.05}], ids=["total", "sock_read"])
@pytest.mark.parametrize("read", ["read", "chunks"])
def test_a_timeout_in_the_body_is_a_failure(service, timeout, read):
    async def test(session, guard):
        service.say(Answer(hangs=True))
        with pytest.raises(TimeoutError):
            async with session.get(service.url, timeout=aiohttp.ClientTimeout(**timeout)) as response:
                if read == "read":
                    await response.read()
                else:
                    async for _ in response.content:
                        pass
        service.go_on.set()
        assert not in_use(guard)
        with pytest.raises(BreakerOpen):
            await session.get(service.url)

    with_session(test)


def test_nobody_there_is_a_failure():
    async def test(session, guard):
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get("http://127.0.0.1:1/")
        assert not in_use(guard)
        with pytest.raises(BreakerOpen):
            await session.get("http://127.0.0.1:1/")

    with_session(test)


def test_an_answer_of_500_is_a_failure_and_an_error_of_its_reader_is_none(service):
    async def test(session, guard):
        service.say(Answer(body=LONG), Answer(500))
        with pytest.raises(ZeroDivisionError):
            async with session.get(service.url):
                raise ZeroDivisionError
        assert not in_use(guard)
        async with session.get(service.url) as response:
            assert 500 == response.status
        with pytest.raises(BreakerOpen):
            await session.get(service.url)

    with_session(test)


@pytest.mark.parametrize("where", ["in-the-body", "in-the-queue"])
def test_a_cancelled_task_gives_its_place_back_and_has_no_vote(service, where):
    async def test(session, guard):
        service.say(Answer(body=LONG) if where == "in-the-queue" else Answer(hangs=True))

        async def fetch():
            async with session.get(service.url) as response:
                await response.read()

        before = await session.get(service.url) if where == "in-the-queue" else None
        task = asyncio.create_task(fetch())
        while not (service.seen if before is None else guard.ledger.waiting):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        service.go_on.set()
        if before is not None:
            before.close()
        assert not in_use(guard)
        async with session.get(service.url) as response:
            assert 200 == response.status

    with_session(test, {**PLACE, "max_wait": "20s"}, HEALTH)


def test_a_websocket_keeps_its_place_as_long_as_it_is_open():
    async def echo(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket

    async def test(session, guard):
        app = web.Application()
        app.router.add_get("/", echo)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0]
            async with session.ws_connect(f"http://{host}:{port}/") as socket:
                assert in_use(guard)
                await socket.send_str("there?")
                assert "there?" == (await socket.receive()).data
                assert in_use(guard)
            assert not in_use(guard)
        finally:
            await runner.cleanup()

    with_session(test)


#   options, what is raised, what it says
WRONG = [
    ({"hold": "no"}, ValueError, "hold must be all, retry-after or off, got 'no'"),
    ({"max_hold": "5 parsecs"}, ValueError, "max_hold must"),
    ({"guard": 10}, TypeError, "guard must be a Guard"),
    ({"resource": 10}, TypeError, "resource must be a name"),
    ({"user": 10}, TypeError, "user must be a callable"),
    ({"gaurd": None}, TypeError, "GuardMiddleware has no option 'gaurd'; did you mean 'guard'"),
]


@pytest.mark.parametrize(("options", "error", "text"), WRONG)
def test_a_wrong_option_fails_at_once_by_its_name(options, error, text):
    with pytest.raises(error, match=text):
        GuardMiddleware(**options)
