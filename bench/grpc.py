"""What a guard adds to a unary call over loopback, against an empty interceptor on the same server, in the same run.

Each round calls all subjects, one after another in short turns, and the best turn of each counts, so that whatever else
the machine does cannot favour one of them. Only on a quiet machine the differences say anything.

    python bench/grpc.py [--rounds N] [--write]      --write puts the table into bench/RESULTS.md
"""

import argparse
import asyncio
import platform
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

sys.path.remove(str(Path(__file__).parent))  # this file is not the `grpc` that others import

import grpc
import grpc.aio

from guardrail import Guard
from guardrail.adapters import grpc as on_threads
from guardrail.adapters import grpc_aio as on_asyncio

CALLS = 50
BUDGET_US = 15.0
METHOD = "/bench.Echo/Echo"
HEADING = "## gRPC"
RESULTS = Path(__file__).with_name("RESULTS.md")
EMPTY = "empty interceptor"
LIMIT = {"name": "per-client", "kind": "limit", "rate": "1000000/s", "burst": 1_000_000}
SERVED = [{**LIMIT, "resource": "/bench.Echo/*", "key": "client.ip"}]
SENT = [{**LIMIT, "resource": "client /bench.Echo/*"}]


class Empty(grpc.ServerInterceptor):
    """Do nothing."""

    def intercept_service(self, continuation, details):
        return continuation(details)


class EmptyClient(grpc.UnaryUnaryClientInterceptor):
    """Do nothing."""

    def intercept_unary_unary(self, continuation, details, request):
        return continuation(details, request)


class AioEmpty(grpc.aio.ServerInterceptor):
    """Do nothing."""

    async def intercept_service(self, continuation, details):
        return await continuation(details)


class AioEmptyClient(grpc.aio.UnaryUnaryClientInterceptor):
    """Do nothing."""

    async def intercept_unary_unary(self, continuation, details, request):
        return await continuation(details, request)


def echo(request, _context):
    return request


async def aio_echo(request, _context):
    return request


def handlers(function):
    return [grpc.method_handlers_generic_handler("bench.Echo", {"Echo": grpc.unary_unary_rpc_method_handler(function)})]


def threaded(stack: ExitStack, interceptor, client) -> Callable[[], float]:
    """Return what times a turn of calls to a server of threads."""
    pool = stack.enter_context(ThreadPoolExecutor(1))
    server = grpc.server(pool, handlers(echo), interceptors=[interceptor])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    stack.callback(lambda: server.stop(None).wait())
    channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}"))
    call = grpc.intercept_channel(channel, client).unary_unary(METHOD)

    def turn() -> float:
        begun = time.perf_counter()
        for _ in range(CALLS):
            call(b"x")
        return (time.perf_counter() - begun) / CALLS

    return turn


async def looped(interceptor, client):
    """Return what times a turn of calls to a server of asyncio, and what ends it."""
    server = grpc.aio.server(handlers=handlers(aio_echo), interceptors=[interceptor])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=[client])
    call = channel.unary_unary(METHOD)

    async def turn() -> float:
        begun = time.perf_counter()
        for _ in range(CALLS):
            await call(b"x")
        return (time.perf_counter() - begun) / CALLS

    async def end() -> None:
        await channel.close()
        await server.stop(None)

    return turn, end


def on_pools(rounds: int) -> dict[str, float]:
    with ExitStack() as stack:
        turns = {
            EMPTY: threaded(stack, Empty(), EmptyClient()),
            "ServerGuard": threaded(stack, on_threads.ServerGuard(Guard(SERVED)), EmptyClient()),
            "ClientGuard": threaded(stack, Empty(), on_threads.ClientGuard(Guard(SENT))),
        }
        best = dict.fromkeys(turns, float("inf"))
        for _ in range(rounds):
            for name, turn in turns.items():
                best[name] = min(best[name], turn())
        return best


async def on_loops(rounds: int) -> dict[str, float]:
    made = {
        EMPTY: await looped(AioEmpty(), AioEmptyClient()),
        "ServerGuard": await looped(on_asyncio.ServerGuard(Guard(SERVED)), AioEmptyClient()),
        "ClientGuard": await looped(AioEmpty(), on_asyncio.ClientGuard(Guard(SENT))),
    }
    best = dict.fromkeys(made, float("inf"))
    for _ in range(rounds):
        for name, (turn, _) in made.items():
            best[name] = min(best[name], await turn())
    for _, end in made.values():
        await end()
    return best


def rows(kind: str, best: dict[str, float]) -> list[tuple[str, str, float, float]]:
    """Return for each subject its cost and what it adds, in microseconds."""
    return [(kind, name, seconds * 1e6, (seconds - best[EMPTY]) * 1e6) for name, seconds in best.items()]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=200)
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    measured = [*rows("threads", on_pools(chosen.rounds)), *rows("asyncio", asyncio.run(on_loops(chosen.rounds)))]
    lines = ["| | subject | us a call | added | budget |", "|---|---|---:|---:|---:|"]
    for kind, name, cost, added in measured:
        budget = "" if name == EMPTY else f"{BUDGET_US:.0f}"
        lines.append(f"| {kind} | {name} | {cost:.0f} | {'' if name == EMPTY else f'{added:.1f}'} | {budget} |")
    machine = f"Python {platform.python_version()}, {platform.machine()}, grpcio {grpc.__version__}"
    text = "\n".join(lines) + f"\n\n{machine}; best of {chosen.rounds} rounds of {CALLS} calls, one at a time.\n"
    print(text)
    if chosen.write:
        before, _, after = RESULTS.read_text(encoding="utf-8").partition(f"\n{HEADING}\n")
        _, mark, others = after.partition("\n## ")
        body = f"\n{HEADING}\n\n`make bench`: {__doc__.splitlines()[0]}\n\n{text}\n"
        RESULTS.write_text(f"{before.rstrip()}\n{body}{mark}{others}", encoding="utf-8")
    over = [(kind, name) for kind, name, _, added in measured if name != EMPTY and added > BUDGET_US]
    for kind, name in over:
        print(f"over budget: {name}, {kind}", file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
