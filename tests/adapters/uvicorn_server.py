"""A real server: uvicorn on the loopback, in a thread, until the block ends."""

import asyncio
import socket
from contextlib import contextmanager
from threading import Event, Thread

import uvicorn

PATIENCE = 30


class _Server(uvicorn.Server):
    def __init__(self, config):
        super().__init__(config)
        self.is_up = Event()

    async def startup(self, sockets=None):
        await super().startup(sockets)
        self.is_up.set()


@contextmanager
def serving(app, **options):
    """Serve *app*, and give the address, such as `127.0.0.1:40001`."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, log_level="critical", lifespan="off", proxy_headers=False, ws="websockets-sansio", **options
        )
        server = _Server(config)
        thread = Thread(target=lambda: asyncio.run(server.serve([listener])))
        thread.start()
        try:
            assert server.is_up.wait(PATIENCE)
            yield "{}:{}".format(*listener.getsockname())
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            assert not thread.is_alive()
