"""A storm over a real server: thousands of sockets that are closed in the middle of a response."""

import asyncio
import socket
import struct
from itertools import count

from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route, WebSocketRoute

from guardrail import Guard
from guardrail.adapters.asgi import GuardMiddleware
from tests.adapters.uvicorn_server import PATIENCE, serving
from tests.adapters.wire import inside

CONNECTIONS, AT_ONCE = 3_000, 60
PLACES = {"name": "places", "resource": "GET /{way}", "kind": "bulkhead", "max_concurrent": AT_ONCE}
BREAKER = {"name": "backend", "resource": "GET /{way}", "kind": "breaker", "consecutive_failures": 1}
PER_CLIENT = {"name": "per-client", "resource": "GET /{way}", "kind": "limit", "rate": "1000000/s", "key": "client.ip"}
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: what is closed is reset
HTTP = b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"
WEBSOCKET = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def app_with(guard):
    async def stream(request):
        async def chunks():
            for number in count():
                yield f"{number}\n"
                await asyncio.sleep(0.001 * (number > 0))

        return StreamingResponse(chunks())

    async def talk(connection):
        await connection.accept()
        await connection.send_text("0")
        async for text in connection.iter_text():
            await connection.send_text(text)

    return GuardMiddleware(Starlette(routes=[Route("/stream", stream), WebSocketRoute("/ws", talk)]), guard)


async def connected(address, number):
    """Return a connection that has got the first bytes of what will not end."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(HTTP if number % 3 else WEBSOCKET)
    await reader.readuntil(b"\r\n0\n" if number % 3 else b"\x81\x010")
    return writer


async def rage(address, guard):
    for first in range(0, CONNECTIONS, AT_ONCE):
        writers = await asyncio.gather(*(connected(address, number) for number in range(first, first + AT_ONCE)))
        assert AT_ONCE == inside(guard, "places", "GET /stream")
        for number, writer in enumerate(writers):
            if number % 2:
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.close()
        async with asyncio.timeout(PATIENCE):
            while inside(guard, "places", "GET /stream"):
                await asyncio.sleep(0.001)


def test_thousands_of_sockets_that_are_closed_in_the_middle_leave_the_bulkhead_empty():
    guard = Guard([PLACES, BREAKER, PER_CLIENT])
    with serving(app_with(guard)) as address:
        asyncio.run(rage(address, guard))
    assert ["closed", 0] == [guard.breakers["backend/GET /stream"].state, inside(guard, "places", "GET /stream")]
