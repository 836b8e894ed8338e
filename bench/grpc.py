"""What a guard adds to a unary call over loopback, against an empty interceptor, in the same run.

A difference of 10 us between calls of 400 us drowns in whatever else a machine does meanwhile. So the calls are real, and
what an interceptor takes of them is clocked in place: by one before it and, on a channel, one behind it. On a server that is
the time in which its handler is found, and that around the service's own function; on a channel, the time around the call that
it lets go. Of each subject the median counts, over several servers that take turns, and that of the empty interceptor is
taken off. What a guard costs those who come after it, by what it leaves in their caches, is not in it.

    python bench/grpc.py [--calls N] [--builds N] [--write]      --write puts the table into bench/RESULTS.md
"""

import argparse
import asyncio
import platform
import statistics
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from time import perf_counter_ns as now
from typing import Any

sys.path.remove(str(Path(__file__).parent))  # this file is not the `grpc` that others import

import grpc
import grpc.aio

from guardrail import Guard
from guardrail.adapters import grpc as on_threads
from guardrail.adapters import grpc_aio as on_asyncio

WARMING_UP = 200  # calls
BUDGET_US = 15.0
METHOD = "/bench.Echo/Echo"
HEADING = "## gRPC"
RESULTS = Path(__file__).with_name("RESULTS.md")
EMPTY = "an empty interceptor"
IN_BUDGET = "a limit"
LIMIT = {"kind": "limit", "rate": "1000000/s", "burst": 1_000_000}
RULES = {  # of a server, per client, and of a client, whose calls all go to one server
    EMPTY: (None, None),
    "no rule": (None, None),
    IN_BUDGET: ({**LIMIT, "key": "client.ip"}, LIMIT),
    "a breaker": ({"kind": "breaker"}, {"kind": "breaker"}),
}
Row = tuple[str, str, str, float, float]  # where, on which side, guarded by, us of it, us of the whole call


class Watch:
    """Collect what calls of one subject took, in nanoseconds: on the server, on the channel, and as a whole."""

    def __init__(self) -> None:
        self.finding = self.serving = self.sending = self.beyond = 0
        self.server: list[int] = []
        self.client: list[int] = []
        self.whole: list[int] = []

    def note(self) -> None:
        """Note one call that is over."""
        self.server.append(self.finding + self.serving)
        self.client.append(self.sending - self.beyond)
        self.whole.append(self.sending)

    def clocked(self, function):
        def answer(request, context):
            began = now()
            message = function(request, context)
            self.serving = now() - began
            return message

        return answer

    def aio_clocked(self, function):
        async def answer(request, context):
            began = now()
            message = await function(request, context)
            self.serving = now() - began
            return message

        return answer


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


class Before(grpc.ServerInterceptor, grpc.UnaryUnaryClientInterceptor):
    """Clock what comes after."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def intercept_service(self, continuation, details):
        began = now()
        method = continuation(details)
        self.watch.finding = now() - began
        return grpc.unary_unary_rpc_method_handler(self.watch.clocked(method.unary_unary))

    def intercept_unary_unary(self, continuation, details, request):
        began = now()
        call = continuation(details, request)
        self.watch.sending = now() - began
        return call


class Behind(grpc.UnaryUnaryClientInterceptor):
    """Clock the call itself."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def intercept_unary_unary(self, continuation, details, request):
        began = now()
        call = continuation(details, request)
        self.watch.beyond = now() - began
        return call


class AioBefore(grpc.aio.ServerInterceptor):
    """Clock what comes after, on a server of asyncio."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    async def intercept_service(self, continuation, details):
        began = now()
        method = await continuation(details)
        self.watch.finding = now() - began
        return grpc.unary_unary_rpc_method_handler(self.watch.aio_clocked(method.unary_unary))


class AioClock(grpc.aio.UnaryUnaryClientInterceptor):
    """Clock what comes after, on a channel of asyncio, where a call is let go long before it is over."""

    def __init__(self, watch: Watch, attribute: str) -> None:
        self.watch = watch
        self.attribute = attribute

    async def intercept_unary_unary(self, continuation, details, request):
        began = now()
        call = await continuation(details, request)
        setattr(self.watch, self.attribute, now() - began)
        return call


def guards(adapters: Any, rule: str) -> tuple[Any, Any]:
    """Return a guard for a server and one for a channel."""

    def guard(rule: dict | None, resource: str) -> Guard:
        return Guard([] if rule is None else [{"name": "bench", "resource": resource, **rule}])

    served, sent = RULES[rule]
    return adapters.ServerGuard(guard(served, METHOD)), adapters.ClientGuard(guard(sent, f"client {METHOD}"))


def handlers(function):
    return [grpc.method_handlers_generic_handler("bench.Echo", {"Echo": grpc.unary_unary_rpc_method_handler(function)})]


def echo(request, _context):
    return request


async def aio_echo(request, _context):
    return request


def on_pool(rule: str, calls: int) -> Watch:
    """Call a server of threads."""
    watch = Watch()
    server_guard, client_guard = (Empty(), EmptyClient()) if rule == EMPTY else guards(on_threads, rule)
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(1))
        server = grpc.server(pool, handlers(echo), interceptors=[Before(watch), server_guard])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        stack.callback(lambda: server.stop(None).wait())
        channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}"))
        call = grpc.intercept_channel(channel, Before(watch), client_guard, Behind(watch)).unary_unary(METHOD)
        for turn in range(WARMING_UP + calls):
            call(b"x")
            if turn >= WARMING_UP:
                watch.note()
    return watch


async def on_loop(rule: str, calls: int) -> Watch:
    """Call a server of asyncio."""
    watch = Watch()
    server_guard, client_guard = (AioEmpty(), AioEmptyClient()) if rule == EMPTY else guards(on_asyncio, rule)
    async with AsyncExitStack() as stack:
        server = grpc.aio.server(handlers=handlers(aio_echo), interceptors=[AioBefore(watch), server_guard])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        stack.push_async_callback(server.stop, None)
        clocks = AioClock(watch, "sending"), AioClock(watch, "beyond")
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=[clocks[0], client_guard, clocks[1]])
        call = (await stack.enter_async_context(channel)).unary_unary(METHOD)
        for turn in range(WARMING_UP + calls):
            began = now()
            await call(b"x")
            if turn >= WARMING_UP:
                watch.note()
                watch.whole[-1] = now() - began
    return watch


def rows(kind: str, watches: dict[str, list[Watch]]) -> Iterator[Row]:
    """Return what each subject took, on either side."""
    for side in ("server", "client"):
        for rule, taken in watches.items():
            us = statistics.median(one for watch in taken for one in getattr(watch, side)) / 1000
            yield kind, side, rule, us, statistics.median(one for watch in taken for one in watch.whole) / 1000


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--calls", type=int, default=2_000)
    options.add_argument("--builds", type=int, default=5)
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    threads: dict[str, list[Watch]] = {rule: [] for rule in RULES}
    tasks: dict[str, list[Watch]] = {rule: [] for rule in RULES}
    for _ in range(chosen.builds):
        for rule in RULES:
            threads[rule].append(on_pool(rule, chosen.calls))
            tasks[rule].append(asyncio.run(on_loop(rule, chosen.calls)))
    lines = ["| | side | guarded by | us in it | added | us a call | budget |", "|---|---|---|---:|---:|---:|---:|"]
    over, empty = [], 0.0
    for kind, side, rule, us, whole in [*rows("threads", threads), *rows("asyncio", tasks)]:
        empty = us if rule == EMPTY else empty
        added = us - empty
        if rule == IN_BUDGET and added > BUDGET_US:
            over.append(f"over budget: {side}, {kind}: {added:.1f} us")
        shown, budget = "" if rule == EMPTY else f"{added:.1f}", f"{BUDGET_US:.0f}" if rule == IN_BUDGET else ""
        lines.append(f"| {kind} | {side} | {rule} | {us:.1f} | {shown} | {whole:.0f} | {budget} |")
    machine = f"Python {platform.python_version()}, {platform.machine()}, grpcio {grpc.__version__}"
    text = "\n".join(lines) + f"\n\n{machine}; medians of {chosen.calls} calls to each of {chosen.builds} servers.\n"
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
