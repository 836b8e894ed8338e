"""What a guard adds to a unary call over loopback, against an empty interceptor, in the same run.

A difference of 10 us between calls of 400 us drowns in one long measurement on a machine that others use too, and a second
server is no comparison: threads stay where they happen to begin. So all subjects share one server and one channel, in which
an interceptor hands each call to the subject whose turn it is. They take turns, in another order each round; of each subject
the tenth of its turns counts that were quickest: those in which the machine kept still. Servers and channels are built anew
many times, and what is said is the median over all builds. The empty interceptor takes part twice: the others are compared
with the mean of both, whose distance is what is left of the noise. The column for the CPU is the time of all threads of this
process, client, server and gRPC's own: it does not mind who else is running.

    python bench/grpc.py [--builds N] [--rounds N] [--write]      --write puts the table into bench/RESULTS.md
"""

import argparse
import asyncio
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

sys.path.remove(str(Path(__file__).parent))  # this file is not the `grpc` that others import

import grpc
import grpc.aio

from guardrail import Guard
from guardrail.adapters import grpc as on_threads
from guardrail.adapters import grpc_aio as on_asyncio

CALLS = 10  # of one turn: short enough to pass between two interruptions
BUDGET_US = 15.0
METHOD = "/bench.Echo/Echo"
HEADING = "## gRPC"
RESULTS = Path(__file__).with_name("RESULTS.md")
EMPTY, AGAIN = "empty interceptor", "empty interceptor, again"
IN_BUDGET = "a limit"
LIMIT = {"kind": "limit", "rate": "1000000/s", "burst": 1_000_000}
RULES = {  # of a server, per client, and of a client, whose calls all go to one server
    IN_BUDGET: ({**LIMIT, "key": "client.ip"}, LIMIT),
    "a breaker": ({"kind": "breaker"}, {"kind": "breaker"}),
    "no rule": (None, None),
}
Interceptors = tuple[Any, Any]  # of the server, and of the channel
Turns = dict[str, list[tuple[float, float]]]  # us a call, and us of CPU, of each turn


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


class Turn(grpc.ServerInterceptor, grpc.UnaryUnaryClientInterceptor):
    """Hand each call to the subject whose turn it is, on both sides. It returns what they return: also what is awaited."""

    def give(self, subject: Interceptors) -> None:
        server, client = subject
        self.intercept_service = server.intercept_service
        self._client = client.intercept_unary_unary

    def intercept_service(self, continuation, details):
        raise AssertionError("nobody has a turn")

    def intercept_unary_unary(self, continuation, details, request):
        return self._client(continuation, details, request)


class AioTurn(Turn, grpc.aio.ServerInterceptor):
    """Do the same on a server of asyncio."""


class AioClientTurn(grpc.aio.UnaryUnaryClientInterceptor):
    """Do the same on its channel, which takes nothing that guards both sides."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn

    def intercept_unary_unary(self, continuation, details, request):
        return self._turn.intercept_unary_unary(continuation, details, request)


def subjects(adapters, server: type, client: type, rule: str) -> dict[str, Interceptors]:
    """Return the interceptors of each subject."""

    def guard(rule: dict | None, resource: str) -> Guard:
        return Guard([] if rule is None else [{"name": "bench", "resource": resource, **rule}])

    served, sent = RULES[rule]
    client_guard = adapters.ClientGuard(guard(sent, f"client {METHOD}"))
    return {
        EMPTY: (server(), client()),
        AGAIN: (server(), client()),
        f"ServerGuard, {rule}": (adapters.ServerGuard(guard(served, METHOD)), client()),
        # On asyncio it is one interceptor for each arity, unary calls first.
        f"ClientGuard, {rule}": (server(), next(iter(client_guard)) if adapters is on_asyncio else client_guard),
    }


def handlers(function):
    return [grpc.method_handlers_generic_handler("bench.Echo", {"Echo": grpc.unary_unary_rpc_method_handler(function)})]


def echo(request, _context):
    return request


async def aio_echo(request, _context):
    return request


def threaded(stack: ExitStack, turn: Turn) -> Callable[[bytes], object]:
    """Return what calls a server of threads."""
    pool = stack.enter_context(ThreadPoolExecutor(1))
    server = grpc.server(pool, handlers(echo), interceptors=[turn])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    stack.callback(lambda: server.stop(None).wait())
    channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}"))
    return grpc.intercept_channel(channel, turn).unary_unary(METHOD)


async def looped(stack: AsyncExitStack, turn: AioTurn) -> Callable[[bytes], object]:
    """Return what calls a server of asyncio."""
    server = grpc.aio.server(handlers=handlers(aio_echo), interceptors=[turn])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stack.push_async_callback(server.stop, None)
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=[AioClientTurn(turn)])
    return (await stack.enter_async_context(channel)).unary_unary(METHOD)


def shuffled(names: Iterable[str], rounds: int) -> Iterable[str]:
    """Return the names in another order each round."""
    names, chance = list(names), random.Random(1)
    for _ in range(rounds):
        chance.shuffle(names)
        yield from names


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def since(begun: tuple[float, float]) -> tuple[float, float]:
    wall, cpu = now()
    return (wall - begun[0]) / CALLS * 1e6, (cpu - begun[1]) / CALLS * 1e6


def on_pools(rule: str, builds: int, rounds: int) -> list[Turns]:
    measured = []
    for _ in range(builds):
        made = subjects(on_threads, Empty, EmptyClient, rule)
        with ExitStack() as stack:
            turns: Turns = {name: [] for name in made}
            turn = Turn()
            call = threaded(stack, turn)
            for name in shuffled(made, rounds):
                turn.give(made[name])
                call(b"x")
                begun = now()
                for _ in range(CALLS):
                    call(b"x")
                turns[name].append(since(begun))
            measured.append(turns)
    return measured


async def on_loops(rule: str, builds: int, rounds: int) -> list[Turns]:
    measured = []
    for _ in range(builds):
        made = subjects(on_asyncio, AioEmpty, AioEmptyClient, rule)
        async with AsyncExitStack() as stack:
            turns: Turns = {name: [] for name in made}
            turn = AioTurn()
            call = await looped(stack, turn)
            for name in shuffled(made, rounds):
                turn.give(made[name])
                await call(b"x")
                begun = now()
                for _ in range(CALLS):
                    await call(b"x")
                turns[name].append(since(begun))
            measured.append(turns)
    return measured


def costs(turns: Turns) -> dict[str, tuple[float, ...]]:
    """Return for each subject of one build its cost, what it adds, and what it adds in CPU."""
    quick = {
        name: [statistics.quantiles(column, n=10)[0] for column in zip(*both, strict=True)]
        for name, both in turns.items()
    }
    empty, empty_cpu = map(statistics.mean, zip(quick[EMPTY], quick[AGAIN], strict=True))
    return {name: (us, us - empty, cpu - empty_cpu) for name, (us, cpu) in quick.items()}


def rows(kind: str, measured: list[Turns]) -> list[tuple[str, str, float, float, float]]:
    """Return for each subject its cost, what it adds, and what it adds in CPU, in microseconds."""
    builds = [costs(turns) for turns in measured]
    return [
        (kind, name, *map(statistics.median, zip(*(one[name] for one in builds), strict=True))) for name in builds[0]
    ]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--builds", type=int, default=8)
    options.add_argument("--rounds", type=int, default=200)
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    measured = []
    for rule in RULES:
        measured += rows("threads", on_pools(rule, chosen.builds, chosen.rounds))
        measured += rows("asyncio", asyncio.run(on_loops(rule, chosen.builds, chosen.rounds)))
    lines = ["| | subject | us a call | added | added, CPU | budget |", "|---|---|---:|---:|---:|---:|"]
    over = []
    for kind, name, cost, added, cpu in measured:
        budget = BUDGET_US if name.endswith(IN_BUDGET) else None
        if budget is not None and added > budget:
            over.append(f"over budget: {name}, {kind}")
        within = "" if budget is None else f"{budget:.0f}"
        lines.append(f"| {kind} | {name} | {cost:.0f} | {added:.1f} | {cpu:.1f} | {within} |")
    machine = f"Python {platform.python_version()}, {platform.machine()}, grpcio {grpc.__version__}"
    turns = f"median of {chosen.builds} builds, in each the quickest tenth of {chosen.rounds} turns of {CALLS} calls"
    text = "\n".join(lines) + f"\n\n{machine}; {turns}.\n"
    print(text)
    if chosen.write:
        before, _, after = RESULTS.read_text(encoding="utf-8").partition(f"\n{HEADING}\n")
        _, mark, others = after.partition("\n## ")
        body = f"\n{HEADING}\n\n`python bench/grpc.py`: {__doc__.splitlines()[0]}\n\n{text}\n"
        RESULTS.write_text(f"{before.rstrip()}\n{body}{mark}{others}", encoding="utf-8")
    print("\n".join(over), file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
