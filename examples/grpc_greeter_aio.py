"""Guard a gRPC service and its client with asyncio: a stream holds its place until it is over.

Prints:
    hello ann, hello ann, hello ann
    UNAVAILABLE: /demo.Greeter/Greet: bulkhead 'guests' is full (1 at once)
    RESOURCE_EXHAUSTED: client /demo.Greeter/Greet: 2/min exceeded by rule 'polite' (RateLimited)
"""

import asyncio

import grpc
import grpc.aio

from guardrail import Guard
from guardrail.adapters.grpc_aio import ClientGuard, ServerGuard

RULES = """
version: 1
rules:
  - { name: guests, kind: bulkhead, resource: /demo.Greeter/*, max_concurrent: 1 }
  - { name: polite, kind: limit, resource: client /demo.Greeter/*, rate: 2/min }
"""


async def greet(request: bytes, _context: grpc.aio.ServicerContext):
    while True:  # until the guest has had enough
        yield b"hello " + request


async def main():
    guard = Guard(RULES)
    server = grpc.aio.server(interceptors=[ServerGuard(guard)])
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("demo.Greeter", {"Greet": grpc.unary_stream_rpc_method_handler(greet)})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=[ClientGuard(guard)]) as channel:
        visit = channel.unary_stream("/demo.Greeter/Greet")
        greetings = visit(b"ann")
        print(", ".join([(await greetings.read()).decode() for _ in range(3)]))
        try:
            await visit(b"bob").read()
        except grpc.aio.AioRpcError as error:  # the server has no place for a second guest
            print(f"{error.code().name}: {error.details()}")
        try:
            await visit(b"cid").read()
        except grpc.aio.AioRpcError as error:  # the client's own rule: a third call is not sent at all
            print(f"{error.code().name}: {error.details().partition(';')[0]} ({type(error.__cause__).__name__})")
        greetings.cancel()
    await server.stop(None)


asyncio.run(main())
