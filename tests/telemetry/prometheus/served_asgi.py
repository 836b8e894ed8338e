"""The same as an ASGI app; it flushes when it is shut down, because uvicorn ends its workers without exit handlers."""

import asyncio
import os

from guardrail.telemetry.prometheus import flush
from tests.telemetry.prometheus.served_wsgi import guard, hold, page


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    status, fields, body = 200, [], str(os.getpid()).encode()
    if scope["path"] == "/metrics":
        accept = dict(scope["headers"]).get(b"accept", b"").decode()
        status, fields, body = await page.aanswer(accept)
    elif scope["path"] == "/hold":
        await asyncio.to_thread(hold, scope["query_string"].decode())
    else:
        async with guard.enter("work"):
            pass
    headers = [(name.lower().encode(), value.encode()) for name, value in fields]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def lifespan(receive, send):
    while True:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            flush()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
