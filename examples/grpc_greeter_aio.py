"""Guard a gRPC service and its client with asyncio: a stream holds its place until it is over.

Prints:
    tick, tick, tick
    UNAVAILABLE: /demo.Clock/Tick: bulkhead 'watchers' is full (1 at once)
    RESOURCE_EXHAUSTED: client /demo.Clock/Tick: 2/min exceeded by rule 'polite' (RateLimited)
"""

import asyncio

import grpc
import grpc.aio

from guardrail import Guard
from guardrail.adapters.grpc_aio import ClientGuard, ServerGuard

RULES = """
version: 1
rules:
  - { name: watchers, kind: bulkhead, resource: /demo.Clock/*, max_concurrent: 1 }
  - { name: polite, kind: limit, resource: client /demo.Clock/*, rate: 2/min }
"""


async def tick(_request: bytes, _context: grpc.aio.ServicerContext):
    while True:
        yield b"tick"


async def main():
    guard = Guard(RULES)
    server = grpc.aio.server(interceptors=[ServerGuard(guard)])
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("demo.Clock", {"Tick": grpc.unary_stream_rpc_method_handler(tick)})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=[ClientGuard(guard)]) as channel:
        watch = channel.unary_stream("/demo.Clock/Tick")
        ticks = watch(b"")
        print(", ".join([(await ticks.read()).decode() for _ in range(3)]))
        try:
            await watch(b"").read()
        except grpc.aio.AioRpcError as error:  # the server has no place for a second watcher
            print(f"{error.code().name}: {error.details()}")
        try:
            await watch(b"").read()
        except grpc.aio.AioRpcError as error:  # a third call is not sent at all
            print(f"{error.code().name}: {error.details().partition(';')[0]} ({type(error.__cause__).__name__})")
        ticks.cancel()
    await server.stop(None)


asyncio.run(main())
