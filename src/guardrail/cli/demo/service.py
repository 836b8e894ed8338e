"""The shop of the demo: handlers guarded by decorators, and a server that answers for them.

Law: a refusal of a handler is answered by the middleware: 429 for a limit, 503 for a bulkhead or breaker; the answer names
the rule, and says in `Retry-After` when to come back wherever that can be said.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from logging import NullHandler, getLogger
from threading import Thread

import uvicorn

from guardrail import Guard
from guardrail.adapters.asgi import GuardMiddleware
from guardrail.adapters.asgi.exchange import App, Receive, Scope, Send

Handler = Callable[[str], Awaitable[str]]

PAGE_S = 0.01
MOST_PAGES = 800
LONGEST_GOODBYE_S = 5.0


class Supplier:
    """Know the prices: what the shop depends on. While it is not well, it keeps callers waiting and then fails.

    Attributes:
        calls: How often it was asked.
        stood_in: How often the last known price stood in for its answer.
    """

    def __init__(self) -> None:
        self.well = True
        self.calls = 0
        self.stood_in = 0

    async def price(self) -> str:
        """Return the price of a lamp.

        Raises:
            ConnectionError: The supplier is not well.
        """
        self.calls += 1
        await asyncio.sleep(0.005 if self.well else 0.1)
        if not self.well:
            raise ConnectionError("the supplier does not answer")
        return "9.90 EUR"


class Printer:
    """Print reports: one page each, and while `jammed` the same page again and again, to an end.

    Attributes:
        inside: How many reports are being printed.
        most_inside: Most of them at once, so far.
    """

    def __init__(self) -> None:
        self.jammed = False
        self.inside = 0
        self.most_inside = 0

    async def report(self) -> str:
        """Return a printed report."""
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        for _ in range(MOST_PAGES):
            await asyncio.sleep(PAGE_S)
            if not self.jammed:
                break
        self.inside -= 1
        return "42 lamps sold"


def shop(guard: Guard, supplier: Supplier, printer: Printer) -> dict[str, Handler]:
    """Return the guarded handlers, by path."""

    @guard.limit("30/s", key="client", name="shop.search")
    async def search(client: str) -> str:
        return f"one lamp for {client}"

    @guard.limit("3/min", key="client", name="shop.login")
    async def login(client: str) -> str:
        return f"wrong password, {client}"

    def last_known_price() -> str:
        supplier.stood_in += 1
        return "last known 9.80 EUR"

    @guard.breaker(
        window_calls=10, open_for="5s", name="supplier.price", fallback=last_known_price, fallback_on=ConnectionError
    )
    async def supplier_price() -> str:
        return await supplier.price()

    @guard.guarded("shop.price")
    async def price(client: str) -> str:
        return f"{await supplier_price()}, for {client}"

    @guard.bulkhead(3, name="shop.report")
    async def report(client: str) -> str:
        return f"{await printer.report()}, says {client}"

    return {"/search": search, "/login": login, "/price": price, "/report": report}


def application(guard: Guard, handlers: Mapping[str, Handler]) -> App:
    """Return an ASGI app that takes the name of the caller from the header `x-client`, behind guardrail's middleware."""

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        client = dict(scope["headers"]).get(b"x-client", b"").decode("latin-1")
        content = json.dumps({"page": await handlers[scope["path"]](client)}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return GuardMiddleware(app, guard)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep logs off the screen inside the block; whoever has configured logging gets them all the same."""
    silence = NullHandler()
    loggers = getLogger("guardrail"), getLogger("uvicorn")
    for logger in loggers:
        logger.addHandler(silence)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(silence)


@contextmanager
def serving(app: App) -> Iterator[str]:
    """Serve *app* on a free port of this machine only; yield its address. The server ends with the block."""
    # Only where the protocol is named does asyncio turn Nagle's algorithm off, which costs 40 ms a request.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                timeout_keep_alive=60,  # longer than the demo: no request may meet a connection that is being closed
                timeout_graceful_shutdown=1,
            )
        )
        thread = Thread(target=server.run, args=([listener],), name="guardrail-demo-server", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(LONGEST_GOODBYE_S)
