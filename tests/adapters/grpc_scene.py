"""A service in three kinds: on a server of threads, and on one of asyncio by coroutines and by functions for threads."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import grpc.aio
import pytest

from guardrail.adapters import grpc as on_threads
from guardrail.adapters import grpc_aio as on_asyncio
from tests.adapters.grpc_functions import in_tasks, in_threads, in_writers

ALONE = [("grpc.so_reuseport", 0)]  # on its port: else the server of another test run may be given the same one
NAME = "pkg.Greeter"


class Log:
    """What handlers have seen."""

    def __init__(self):
        self.said = []
        self.threads = set()
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Event()


ARITIES = {
    "count": grpc.unary_stream_rpc_method_handler,
    "endless": grpc.unary_stream_rpc_method_handler,
    "broken": grpc.unary_stream_rpc_method_handler,
    "total": grpc.stream_unary_rpc_method_handler,
    "echo": grpc.stream_stream_rpc_method_handler,
}


def service(functions, name=NAME):
    """Return what serves these functions."""
    made = {
        key: ARITIES.get(key, grpc.unary_unary_rpc_method_handler)(function)
        for key, function in functions.items()
        if callable(function)
    }
    return grpc.method_handlers_generic_handler(name, made)


@contextmanager
def threaded(*services, interceptors=(), workers=8):
    """Run a server of threads, and yield where it is."""
    with ThreadPoolExecutor(workers) as pool:
        server = grpc.server(pool, interceptors=interceptors, options=ALONE)
        server.add_generic_rpc_handlers(services)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


@contextmanager
def looped(*services, interceptors=()):
    """Run a server of asyncio in a thread, and yield where it is."""
    loop = asyncio.new_event_loop()
    with ThreadPoolExecutor(8) as pool:

        async def start():
            server = grpc.aio.server(migration_thread_pool=pool, interceptors=interceptors, options=ALONE)
            server.add_generic_rpc_handlers(services)
            port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            return server, port

        running = threading.Thread(target=loop.run_forever, name="loop")
        running.start()
        server, port = asyncio.run_coroutine_threadsafe(start(), loop).result()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(None), loop).result()
            asyncio.run_coroutine_threadsafe(loop.shutdown_asyncgens(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            running.join()
            loop.close()


KINDS = {
    "threads": (threaded, in_threads, on_threads.ServerGuard),
    "tasks": (looped, in_tasks, on_asyncio.ServerGuard),
    "writers": (looped, in_writers, on_asyncio.ServerGuard),
    "threads of asyncio": (looped, in_threads, on_asyncio.ServerGuard),
}


class Client:
    """Call the service over a channel of threads."""

    def __init__(self, channel):
        self.channel = channel

    def unary(self, method, request=b"", **options):
        return self.channel.unary_unary(f"/{NAME}/{method}")(request, **options)

    def stream(self, method, request=b"", **options):
        return self.channel.unary_stream(f"/{NAME}/{method}")(request, **options)

    def total(self, *requests, **options):
        return self.channel.stream_unary(f"/{NAME}/total")(iter(requests), **options)

    def echo(self, *requests, **options):
        return self.channel.stream_stream(f"/{NAME}/echo")(iter(requests), **options)

    def each(self):
        """Make one call of each arity, one at a time."""
        yield lambda: self.unary("hello", b"you")
        yield lambda: list(self.stream("count", b"3"))
        yield lambda: self.total(b"a", b"b")
        yield lambda: list(self.echo(b"a", b"b"))


@contextmanager
def calling(target, *interceptors):
    """Open a channel of threads."""
    with grpc.insecure_channel(target) as channel:
        yield Client(grpc.intercept_channel(channel, *interceptors))


@contextmanager
def guarded(kind, guard, log, **options):
    """Run the service behind a guard, and yield a client of it."""
    serve, handlers, server_guard = KINDS[kind]
    with (
        serve(service(handlers(log)), interceptors=[server_guard(guard, **options)]) as target,
        calling(target) as client,
    ):
        yield client


def error_of(call):
    """Return the error of gRPC that a call raises."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value
