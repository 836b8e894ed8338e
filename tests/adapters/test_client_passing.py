"""Clients of every library: bodies pass chunk by chunk, uploads are left alone, and what an answer asks for is kept."""

import asyncio
import io
from contextlib import ExitStack

import aiohttp
import httpx
import httpx2
import pytest
import requests

from guardrail import Guard, RateLimited
from guardrail.adapters import httpx as ours
from guardrail.adapters import httpx2 as ours2
from guardrail.adapters.aiohttp import GuardMiddleware
from guardrail.adapters.requests import GuardAdapter
from guardrail.testing import FakeClock
from tests.adapters.client_service import Answer, running

ONCE = {"resource": "client POST 127.0.0.1", "kind": "limit", "rate": "1/h"}
UPLOAD = b"x" * 1_000_000


class Sync:
    """A client of httpx or httpx2."""

    lib, adapter = httpx, ours

    def __init__(self, guard):
        self.client = self.lib.Client(transport=self.adapter.GuardTransport(guard=guard))

    def get(self, url):
        return self.client.get(url).status_code

    def post(self, url, body):
        return self.client.post(url, content=body).status_code

    def read(self, url, between):
        """Read an answer byte by byte, and do something between the first and the rest."""
        with self.client.stream("GET", url) as response:
            return halves(response.iter_bytes(1), between)

    def close(self):
        self.client.close()


class Sync2(Sync):
    lib, adapter = httpx2, ours2


class Requests(Sync):
    def __init__(self, guard):
        self.client = requests.Session()
        self.client.trust_env = False
        self.client.mount("http://", GuardAdapter(guard))

    def post(self, url, body):
        return self.client.post(url, data=body).status_code

    def read(self, url, between):
        with self.client.get(url, stream=True) as response:
            return halves(response.iter_content(1), between)


class Async:
    """A client of httpx or httpx2 under asyncio, in a loop of its own."""

    lib, adapter = httpx, ours

    def __init__(self, guard):
        self.runner = asyncio.Runner()
        self.client = self.runner.run(self.made(guard))

    async def made(self, guard):
        return self.lib.AsyncClient(transport=self.adapter.AsyncGuardTransport(guard=guard))

    def get(self, url):
        return self.runner.run(self.client.get(url)).status_code

    def post(self, url, body):
        return self.runner.run(self.client.post(url, content=in_tasks(body))).status_code

    def read(self, url, between):
        return self.runner.run(self.aread(url, between))

    async def aread(self, url, between):
        async with self.client.stream("GET", url) as response:
            return await ahalves(response.aiter_bytes(1), between)

    def close(self):
        self.runner.run(self.client.aclose())
        self.runner.close()


class Async2(Async):
    lib, adapter = httpx2, ours2


class Aiohttp(Async):
    async def made(self, guard):
        return aiohttp.ClientSession(middlewares=[GuardMiddleware(guard)])

    def get(self, url):
        return self.runner.run(self.status("GET", url))

    def post(self, url, body):
        return self.runner.run(self.status("POST", url, data=in_tasks(body)))

    async def status(self, method, url, **options):
        async with self.client.request(method, url, **options) as response:
            await response.read()
            return response.status

    async def aread(self, url, between):
        async with self.client.get(url) as response:
            return await ahalves(response.content.iter_chunked(1), between)

    def close(self):
        self.runner.run(self.client.close())
        self.runner.close()


def halves(chunks, between):
    first = next(chunks)
    between()
    return [first, b"".join(chunks)]


async def ahalves(chunks, between):
    first = await anext(chunks)
    between()
    return [first, b"".join([chunk async for chunk in chunks])]


def in_tasks(body):
    """Return a body as clients of asyncio take it."""
    if not isinstance(body, Chunks):
        return body

    async def chunks():
        for chunk in body:
            yield chunk

    return chunks()


class Chunks:
    """A body that is made while it is sent."""

    def __init__(self):
        self.made = 0

    def __iter__(self):
        for _ in range(10):
            self.made += 1
            yield UPLOAD[:100_000]


@pytest.fixture
def service():
    with running() as one:
        yield one


@pytest.fixture(params=[Sync, Sync2, Requests, Async, Async2, Aiohttp], ids=lambda kind: kind.__name__.lower())
def client_of(request):
    """Make clients of one kind, which are closed when the test is over."""
    with ExitStack() as stack:

        def made(guard):
            client = request.param(guard)
            stack.callback(client.close)
            return client

        yield made


def test_a_body_passes_chunk_by_chunk(client_of, service):
    """The service sends the second half when the first has been read."""
    service.say(Answer(body=b"12", hangs=True))

    def between():
        assert [] == service.sent
        service.go_on.set()

    with Guard() as guard:
        assert [b"1", b"2"] == client_of(guard).read(service.url, between)


def test_an_upload_arrives_whole(client_of, service):
    with Guard([ONCE]) as guard:
        client = client_of(guard)
        assert 200 == client.post(service.url, io.BytesIO(UPLOAD) if isinstance(client, Requests) else UPLOAD)
    assert [len(UPLOAD)] == service.uploads


def test_the_body_of_a_refused_request_is_never_made(client_of, service):
    body = Chunks()
    with Guard([ONCE]) as guard:
        client = client_of(guard)
        assert 200 == client.post(service.url, b"")
        with pytest.raises(RateLimited):
            client.post(service.url, iter(body) if isinstance(client, Sync) else body)
    assert (0, ["POST /"]) == (body.made, service.seen)


@pytest.mark.parametrize(
    ("status", "headers", "field", "seconds"),
    [
        (429, {"Retry-After": "30"}, "Retry-After", 30),
        (503, {"Retry-After": "Tue, 14 Nov 2023 22:13:50 GMT"}, "Retry-After", 30),
        (200, {"RateLimit": '"default";r=0;t=7'}, "RateLimit", 7),
        (200, {"RateLimit": '"default";r=1;t=7'}, None, 0),
        (200, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "7"}, "X-RateLimit-Reset", 7),
    ],
)
def test_what_an_answer_asks_for_is_kept_until_then_and_no_longer(client_of, service, status, headers, field, seconds):
    clock = FakeClock(1_700_000_000_000_000)
    service.say(Answer(status, headers))
    with Guard(clock=clock) as guard:
        client = client_of(guard)
        assert status == client.get(service.url)
        if field is not None:
            with pytest.raises(RateLimited) as refused:
                client.get(service.url)
            assert (field, seconds) == (refused.value.rule, refused.value.retry_after)
        clock.advance(seconds)
        assert 200 == client.get(service.url)
    assert 2 == len(service.seen)
