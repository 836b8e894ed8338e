"""What the service of the gRPC tests does: the same in threads, in tasks, and in tasks that read and write."""

import asyncio
import threading
import time

import grpc

from guardrail import Refused
from guardrail.admission.ambient import around
from tests.adapters.client_fakes import Far, client_of

IN_TIME_S = 20


def eventually(happened, what="it to happen"):
    """Look until something has happened, in bounded time."""
    until = time.monotonic() + IN_TIME_S
    while not happened():
        assert time.monotonic() < until, f"waited for {what} in vain"
        time.sleep(0.005)
    return True


def call_twice(guard):
    """Call another service, over a client that a guard watches."""
    with client_of(guard, Far(), resource="payments") as client:
        for _ in range(2):
            client.get("https://api.example.com/")


def in_threads(log):
    """Handlers as functions."""

    def hello(request, context):
        log.said.append(around("client.ip"))
        log.threads.add(threading.current_thread().name)
        return b"hello " + request

    def answer(request, context):
        context.set_trailing_metadata((("x-mine", "1"),))
        context.abort(grpc.StatusCode[request.decode()], "as asked")

    def set_code(request, context):
        context.set_code(grpc.StatusCode[request.decode()])
        return b""

    def crash(request, context):
        raise ValueError("a bug")

    def refuse(request, context):
        context.set_trailing_metadata((("x-mine", "1"),))
        with log.inner.enter(request.decode()), log.inner.enter(request.decode()):
            return b""

    def behind(request, context):
        return call_twice(log.inner)

    def fan_out(request, context):
        failed = [ValueError("a bug")] if request == b"bug" else []
        for _ in range(3):
            try:
                log.inner.enter("fan").__enter__()
            except Refused as refused:
                failed.append(refused)
        raise ExceptionGroup("all at once", failed)

    def wait(request, context):
        log.entered.release()
        log.go_on.wait(IN_TIME_S)
        return b""

    def late(request, context):
        eventually(lambda: context.time_remaining() == 0, "the deadline")
        return b""

    def count(request, context):
        log.threads.add(threading.current_thread().name)
        yield from (b"%d" % number for number in range(int(request)))

    def endless(request, context):
        log.entered.release()
        try:
            while True:
                yield b"x"
        finally:
            log.said.append("closed")

    def total(requests, context):
        return b"".join(requests)

    def echo(requests, context):
        yield from requests

    def broken(request, context):
        yield b"0"
        context.abort(grpc.StatusCode[request.decode()], "as asked")

    return locals()


def in_tasks(log):
    """Handlers as coroutines and asynchronous generators."""

    async def hello(request, context):
        log.said.append(around("client.ip"))
        return b"hello " + request

    async def answer(request, context):
        context.set_trailing_metadata((("x-mine", "1"),))
        await context.abort(grpc.StatusCode[request.decode()], "as asked")

    async def set_code(request, context):
        context.set_code(grpc.StatusCode[request.decode()])
        return b""

    async def crash(request, context):
        raise ValueError("a bug")

    async def refuse(request, context):
        context.set_trailing_metadata((("x-mine", "1"),))
        async with log.inner.enter(request.decode()), log.inner.enter(request.decode()):
            return b""

    async def behind(request, context):
        return call_twice(log.inner)

    async def fan_out(request, context):
        async def one():
            async with log.inner.enter("fan"):
                await asyncio.Event().wait()

        async def bug():
            raise ValueError("a bug")

        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(one())
            if request == b"bug":
                tasks.create_task(bug())
        return b""

    async def wait(request, context):
        log.entered.release()
        await asyncio.to_thread(log.go_on.wait, IN_TIME_S)
        return b""

    async def count(request, context):
        for number in range(int(request)):
            yield b"%d" % number

    async def endless(request, context):
        log.entered.release()
        try:
            while True:
                yield b"x"
        finally:
            log.said.append("closed")

    async def total(requests, context):
        return b"".join([request async for request in requests])

    async def echo(requests, context):
        async for request in requests:
            yield request

    async def broken(request, context):
        yield b"0"
        await context.abort(grpc.StatusCode[request.decode()], "as asked")

    return locals()


def in_writers(log):
    """Handlers as coroutines that read and write."""

    async def count(request, context):
        for number in range(int(request)):
            await context.write(b"%d" % number)

    async def endless(request, context):
        log.entered.release()
        try:
            while True:
                await context.write(b"x")
        finally:
            log.said.append("closed")

    async def echo(requests, context):
        async for request in requests:
            await context.write(request)

    async def broken(request, context):
        await context.write(b"0")
        await context.abort(grpc.StatusCode[request.decode()], "as asked")

    return {**in_tasks(log), **{name: given for name, given in locals().items() if name != "log"}}
