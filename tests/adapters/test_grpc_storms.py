"""However a call ends, its permit comes back: streams that are cancelled, dropped, timed out or finished, by the dozen."""

import asyncio
import gc
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import grpc.aio
import pytest

from guardrail import Guard
from guardrail.adapters import grpc as on_threads
from guardrail.adapters import grpc_aio as on_asyncio
from tests.adapters.grpc_functions import eventually, in_tasks, in_threads
from tests.adapters.grpc_scene import NAME, Log, calling, guarded, looped, service, threaded

MOST = 1_000
STREAMS = 120
SERVED = {"name": "places", "kind": "bulkhead", "resource": f"/{NAME}/*", "key": "no.such", "max_concurrent": MOST}
OUTGOING = {**SERVED, "resource": f"client /{NAME}/*"}


def inside(guard, resource):
    """Return how many calls hold a place."""
    remaining = guard.peek(resource).remaining
    return MOST - 1 - remaining


@pytest.mark.parametrize("kind", ["threads", "tasks", "writers"])
def test_streams_that_are_abandoned_leave_the_servers_bulkheads_empty(kind):
    guard, log, seed = Guard([SERVED]), Log(), random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    with guarded(kind, guard, log) as client:

        def abandon(how):
            if how == "deadline":
                with pytest.raises(grpc.RpcError):
                    list(client.stream("endless", timeout=0.05))
                return
            stream = client.stream("endless")
            assert b"x" == next(stream)
            if how == "cancelled":
                stream.cancel()
            del stream

        ways = [chance.choice(["deadline", "cancelled", "dropped"]) for _ in range(STREAMS)]
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(abandon, ways))
        eventually(lambda: inside(guard, f"/{NAME}/endless") == 0, "all places to be free")
        eventually(lambda: len(log.said) == log.said.count("closed") >= STREAMS // 3, "handlers to clean up")


def test_calls_of_a_client_that_are_abandoned_leave_its_bulkheads_empty():
    guard, log, seed = Guard([OUTGOING]), Log(), random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    with threaded(service(in_threads(log))) as target, calling(target, on_threads.ClientGuard(guard)) as client:

        def abandon(how):
            match how:
                case "deadline":
                    with pytest.raises(grpc.RpcError):
                        list(client.stream("endless", timeout=0.05))
                case "future":
                    assert client.channel.unary_unary(f"/{NAME}/wait").future(b"").cancel()
                case "dropped future":
                    client.channel.unary_unary(f"/{NAME}/wait").future(b"")
                case _:
                    stream = client.stream("endless")
                    assert b"x" == next(stream)
                    if how == "cancelled":
                        stream.cancel()

        hows = ["deadline", "future", "dropped future", "cancelled", "dropped"]
        ways = [chance.choice(hows) for _ in range(STREAMS)]
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(abandon, ways))
        log.go_on.set()
        for method in ("endless", "wait"):
            eventually(lambda method=method: inside(guard, f"client /{NAME}/{method}") == 0, "all places to be free")


def test_calls_of_an_asyncio_client_that_are_abandoned_leave_its_bulkheads_empty():
    guard, log, seed = Guard([OUTGOING]), Log(), random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)

    async def abandon(channel, how):
        match how:
            case "deadline":
                with pytest.raises(grpc.aio.AioRpcError):
                    async for _ in channel.unary_stream(f"/{NAME}/endless")(b"", timeout=0.05):
                        pass
            case "unary":
                call = channel.unary_unary(f"/{NAME}/wait")(b"")
                await asyncio.sleep(0)
                call.cancel()
            case _:
                stream = channel.unary_stream(f"/{NAME}/endless")(b"")
                assert b"x" == await stream.read()
                if how == "cancelled":
                    stream.cancel()

    async def main(target):
        guarding = [on_asyncio.ClientGuard(guard)]
        async with grpc.aio.insecure_channel(target, interceptors=guarding) as channel:
            ways = [chance.choice(["deadline", "unary", "cancelled", "dropped"]) for _ in range(STREAMS)]
            await asyncio.gather(*(abandon(channel, how) for how in ways))
            for method in ("endless", "wait"):
                resource = f"client /{NAME}/{method}"
                await asyncio.to_thread(
                    eventually, lambda resource=resource: gc.collect() >= 0 and inside(guard, resource) == 0
                )

    with looped(service(in_tasks(log))) as target:
        asyncio.run(main(target))
        log.go_on.set()


STREAMS_IN_THREADS = f"""
import asyncio, os, sys
import grpc
from guardrail import Guard
from guardrail.adapters.grpc_aio import ServerGuard
from concurrent.futures import ThreadPoolExecutor
from tests.adapters.grpc_functions import eventually, in_threads
from tests.adapters.grpc_scene import Log, service

guard = Guard([{SERVED!r}])
log = Log()

async def main():
    server = grpc.aio.server(migration_thread_pool=ThreadPoolExecutor(16), interceptors=[ServerGuard(guard)])
    server.add_generic_rpc_handlers((service(in_threads(log)),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{{port}}") as channel:
        for _ in range(8):
            stream = channel.unary_stream("/{NAME}/endless")(b"")
            assert b"x" == await stream.read()
            stream.cancel()
        await asyncio.to_thread(eventually, lambda: guard.peek("/{NAME}/endless").remaining == {MOST - 1})
    print("empty")
    sys.stdout.flush()
    os._exit(0)

asyncio.run(main())
"""


def test_streams_in_threads_of_an_asyncio_server_give_back_what_their_threads_never_will():
    """grpcio leaves the thread of a cancelled stream waiting for ever: hence a process of its own, which just ends."""
    run = subprocess.run(
        [sys.executable, "-c", STREAMS_IN_THREADS],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert "empty" == run.stdout.strip(), run.stderr
