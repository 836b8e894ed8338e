"""A Starlette chat: WebSockets are limited when they connect, and rooms hold so many and no more.

Run it for real with `uvicorn starlette_websocket:app`, next to this file.

Prints:
    ann is in
    bob is in
    cid is turned away: 503
    ann leaves
    cid is in
    page: 200 200 429
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from guardrail import Guard
from guardrail.adapters.asgi import GuardMiddleware

guard = Guard(
    [
        {
            "name": "room",
            "resource": "GET /chat/{room}/ws",  # the full template, mounts included
            "kind": "bulkhead",
            "max_concurrent": 2,
            "max_wait": "300ms",  # at the door, in the order in which they came
            "key": "path.room",
        },
        {"name": "pages", "resource": "GET /chat/{room}", "kind": "limit", "rate": "2/min", "key": "client.ip"},
    ]
)


async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"welcome to {request.path_params['room']}")


async def chat(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(f"you said {text}")


app = Starlette(routes=[Mount("/chat", routes=[Route("/{room}", page), WebSocketRoute("/{room}/ws", chat)])])
app.add_middleware(GuardMiddleware, guard=guard)


async def enter(address: str, name: str) -> ClientConnection | None:
    try:
        connection = await connect(f"ws://{address}/chat/kitchen/ws")
    except InvalidStatus as refused:
        print(f"{name} is turned away: {refused.response.status_code}")
        return None
    await connection.send(name)
    assert await connection.recv() == f"you said {name}"
    print(f"{name} is in")
    return connection


async def main() -> None:
    async with serving() as address:
        ann, _bob, _cid = [await enter(address, name) for name in ("ann", "bob", "cid")]
        assert ann is not None
        print("ann leaves")
        await ann.close()
        await enter(address, "cid")
        async with httpx.AsyncClient(base_url=f"http://{address}") as client:
            print("page:", *[(await client.get("/chat/kitchen")).status_code for _ in range(3)])


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """Serve the app on a free port of the loopback."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="websockets-sansio"))
        task = asyncio.create_task(server.serve([listener]))
        listener.listen()  # who connects before the server is up waits for it
        try:
            yield "{}:{}".format(*listener.getsockname())
        finally:
            server.should_exit = True
            await task


if __name__ == "__main__":
    asyncio.run(main())
