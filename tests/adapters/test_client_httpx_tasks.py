"""httpx and httpx2 over real connections, from tasks: permits are never lost."""

import asyncio
import gc

import httpx
import httpx2
import pytest

from guardrail import BreakerOpen, BulkheadFull, Guard, RateLimited
from guardrail.adapters import httpx as ours
from guardrail.adapters import httpx2 as ours2
from tests.adapters.client_fakes import HEALTH, PLACE, in_use
from tests.adapters.client_service import Answer, running

both = pytest.mark.parametrize(("lib", "adapter"), [(httpx, ours), (httpx2, ours2)], ids=["httpx", "httpx2"])


@pytest.fixture
def service():
    with running() as one:
        yield one


@both
def test_tasks_are_let_out_alike(lib, adapter, service):
    async def main():
        with Guard([PLACE, HEALTH]) as guard:
            async with lib.AsyncClient(transport=adapter.AsyncGuardTransport(guard=guard)) as client:
                async with client.stream("GET", service.url) as response:
                    assert in_use(guard)
                    with pytest.raises(BulkheadFull):
                        await client.get(service.url)
                    assert b"hello" == await response.aread()
                    assert not in_use(guard)
                async with client.stream("GET", service.url):
                    assert in_use(guard)
                assert not in_use(guard)
                response = await client.send(client.build_request("GET", service.url), stream=True)
                assert in_use(guard)
                del response
                gc.collect()
                assert not in_use(guard)
                service.say(Answer(429, {"Retry-After": "60"}))
                assert 429 == (await client.get(service.url)).status_code
                with pytest.raises(RateLimited):
                    await client.get(service.url)

    asyncio.run(main())


@both
def test_an_asynchronous_body_that_breaks_is_a_failure(lib, adapter, service):
    service.say(Answer(breaks=True))

    async def main():
        with Guard([PLACE, HEALTH]) as guard:
            async with lib.AsyncClient(transport=adapter.AsyncGuardTransport(guard=guard)) as client:
                with pytest.raises(lib.RemoteProtocolError):
                    await client.get(service.url)
                assert not in_use(guard)
                with pytest.raises(BreakerOpen):
                    await client.get(service.url)

    asyncio.run(main())


@both
@pytest.mark.parametrize("answer", [Answer(hangs=True), None], ids=["in-the-body", "in-the-queue"])
def test_a_cancelled_task_gives_its_place_back_and_has_no_vote(lib, adapter, service, answer):
    async def main():
        with Guard([{**PLACE, "max_wait": "20s"}, HEALTH]) as guard:
            async with lib.AsyncClient(transport=adapter.AsyncGuardTransport(guard=guard)) as client:
                before = None
                if answer is None:
                    before = await client.send(client.build_request("GET", service.url), stream=True)
                else:
                    service.say(answer)
                task = asyncio.create_task(client.get(service.url))
                while not (service.seen if before is None else guard.ledger.waiting):
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                service.go_on.set()
                if before is not None:
                    await before.aclose()
                assert not in_use(guard)
                assert 200 == (await client.get(service.url)).status_code

    asyncio.run(main())


def test_a_close_that_fails_ends_the_call_as_a_failure():
    class Stream(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self):
            yield b"x"

        def close(self):
            raise OSError("torn")

        async def aclose(self):
            raise OSError("torn")

    class Far(httpx.BaseTransport, httpx.AsyncBaseTransport):
        def handle_request(self, request):
            return httpx.Response(200, stream=Stream())

        async def handle_async_request(self, request):
            return httpx.Response(200, stream=Stream())

    with Guard([PLACE, HEALTH]) as guard, httpx.Client(transport=ours.GuardTransport(Far(), guard)) as client:
        with pytest.raises(OSError, match="torn"):
            client.get("https://api.example.com/")
        assert not in_use(guard)
        with pytest.raises(BreakerOpen):
            client.get("https://api.example.com/")

    async def main():
        with Guard([PLACE, HEALTH]) as guard:
            async with httpx.AsyncClient(transport=ours.AsyncGuardTransport(Far(), guard)) as client:
                with pytest.raises(OSError, match="torn"):
                    async with client.stream("GET", "https://api.example.com/"):
                        pass
                assert not in_use(guard)
                with pytest.raises(BreakerOpen):
                    await client.get("https://api.example.com/")

    asyncio.run(main())


@both
def test_closing_a_client_closes_the_transport_behind(lib, adapter):
    closed = []

    class Far(lib.BaseTransport, lib.AsyncBaseTransport):
        def close(self):
            closed.append("close")

        async def aclose(self):
            closed.append("aclose")

    lib.Client(transport=adapter.GuardTransport(Far())).close()
    asyncio.run(lib.AsyncClient(transport=adapter.AsyncGuardTransport(Far())).aclose())
    with lib.Client(transport=adapter.GuardTransport(Far())):
        pass
    assert ["close", "aclose", "close"] == closed


@both
def test_asynchronous_reading_that_stops_early_ends_with_the_response(lib, adapter, service):
    async def main():
        with Guard([PLACE, HEALTH]) as guard:
            async with lib.AsyncClient(transport=adapter.AsyncGuardTransport(guard=guard)) as client:
                service.say(Answer(body=b"x" * 1_000_000))
                async with client.stream("GET", service.url) as response:
                    stream = aiter(response.stream)
                    await anext(stream)
                    await stream.aclose()
                    assert in_use(guard)
                assert not in_use(guard)
                assert 200 == (await client.get(service.url)).status_code

    asyncio.run(main())
