"""Guard a gRPC service and its client with threads: who is refused learns when to come back, and so does its caller.

Prints:
    hello ann
    RESOURCE_EXHAUSTED: /demo.Greeter/Hello: 1/min exceeded by rule 'per-caller'; retry after 60 s
    come back in 60 s
    hello bob
    UNAVAILABLE: client /demo.Greeter/Hello: breaker 'peer' is open (BreakerOpen)
"""

from concurrent.futures import ThreadPoolExecutor

import grpc
from google.rpc.error_details_pb2 import RetryInfo
from grpc_status import rpc_status

from guardrail import Guard
from guardrail.adapters.grpc import ClientGuard, ServerGuard
from guardrail.testing import FakeClock

RULES = """
version: 1
rules:
  - { name: per-caller, kind: limit, resource: /demo.Greeter/*, rate: 1/min, key: metadata.x-caller }
  - { name: peer, kind: breaker, resource: client /demo.Greeter/Hello, key: resource, failure_rate: 0.3, min_calls: 3 }
"""

guard = Guard(RULES, clock=FakeClock())  # a clock that stands still prints the same on every machine


def hello(request: bytes, _context: grpc.ServicerContext):
    return b"hello " + request


server = grpc.server(ThreadPoolExecutor(4), interceptors=[ServerGuard(guard)])
server.add_generic_rpc_handlers(
    [grpc.method_handlers_generic_handler("demo.Greeter", {"Hello": grpc.unary_unary_rpc_method_handler(hello)})]
)
port = server.add_insecure_port("127.0.0.1:0")
server.start()

with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
    greet = grpc.intercept_channel(channel, ClientGuard(guard)).unary_unary("/demo.Greeter/Hello")

    def call(name: str):
        print(greet(name.encode(), metadata=(("x-caller", name),)).decode())

    call("ann")
    try:
        call("ann")
    except grpc.RpcError as error:
        print(f"{error.code().name}: {error.details()}")
        info = RetryInfo()
        if any(detail.Unpack(info) for detail in rpc_status.from_call(error).details):
            print(f"come back in {info.retry_delay.seconds} s")
    call("bob")
    try:
        call("cid")  # one of the three calls before failed: nothing is sent
    except grpc.RpcError as error:
        print(f"{error.code().name}: {error.details().partition(';')[0]} ({type(error.__cause__).__name__})")

server.stop(None).wait()
