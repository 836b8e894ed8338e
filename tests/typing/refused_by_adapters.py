"""What a user's type checker refuses to pass to adapters. Checked in `make types`, never run.

Each ignored line is a mistake. mypy and pyright both report an ignore comment that has nothing to ignore, so `make types`
fails as soon as one of these mistakes passes.
"""

import httpx
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from guardrail import Guard
from guardrail.adapters import aiohttp, asgi, celery, grpc, grpc_aio, httpx2, requests, wsgi
from guardrail.adapters.fastapi import install
from guardrail.adapters.httpx import AsyncGuardTransport, GuardTransport


async def app(scope: Scope, receive: Receive, send: Send) -> None: ...


def servers(guard: Guard) -> None:
    asgi.GuardMiddleware()  # type: ignore[call-arg]
    asgi.GuardMiddleware(app, "rules.yaml")  # type: ignore[arg-type]
    asgi.GuardMiddleware(app, guard, header="off")  # type: ignore[call-arg]
    asgi.GuardMiddleware(app, guard, headers="draft-10")  # type: ignore[arg-type]
    asgi.GuardMiddleware(app, guard, trusted_proxies=10)  # type: ignore[arg-type]
    asgi.GuardMiddleware(app, guard, exempt=5)  # type: ignore[arg-type]
    asgi.GuardMiddleware(app, guard, user="u1")  # type: ignore[arg-type]
    asgi.GuardMiddleware(app, guard, on_refused=429)  # type: ignore[arg-type]
    wsgi.GuardMiddleware(app, guard)  # type: ignore[arg-type]
    wsgi.GuardMiddleware(lambda environ, start_response: [], guard, trusted_proxy=[])  # type: ignore[call-arg]
    install(app, guard)  # type: ignore[arg-type]
    install(FastAPI(), guard, user="u1")  # type: ignore[arg-type]
    install(FastAPI(), guard, headers=None)  # type: ignore[arg-type]
    install(FastAPI(), guard, prefix="/v1")  # type: ignore[call-arg]
    grpc.ServerGuard("rules.yaml")  # type: ignore[arg-type]
    grpc.ServerGuard(guard, exempted=["/pkg.Health/*"])  # type: ignore[call-arg]
    grpc.ServerGuard(guard, exempt=5)  # type: ignore[arg-type]
    grpc_aio.ServerGuard(guard, user="u1")  # type: ignore[arg-type]
    grpc_aio.ServerGuard(guard, resource="orders")  # type: ignore[arg-type]


def clients(guard: Guard) -> None:
    grpc.ClientGuard(guard, resource=lambda method: 5)  # type: ignore[arg-type,return-value]
    grpc_aio.ClientGuard(guard, hold="off")  # type: ignore[call-arg]
    GuardTransport("https://example.com")  # type: ignore[arg-type]
    GuardTransport(httpx.AsyncHTTPTransport(), guard)  # type: ignore[arg-type]
    GuardTransport(guard=guard, hold="never")  # type: ignore[arg-type]
    GuardTransport(guard=guard, max_hold=["1m"])  # type: ignore[arg-type]
    GuardTransport(guard=guard, retries=1)  # type: ignore[call-arg]
    GuardTransport(guard=guard, resource=5)  # type: ignore[arg-type]
    GuardTransport(guard=guard, resource={"api.example.com": 5})  # type: ignore[dict-item]
    GuardTransport(guard=guard, user="u1")  # type: ignore[arg-type]
    httpx2.AsyncGuardTransport(guard=guard, resourc="client orders")  # type: ignore[call-arg]
    requests.GuardAdapter(guard, resourc="client orders")  # type: ignore[call-arg]
    aiohttp.GuardMiddleware(guard, resourc="client orders")  # type: ignore[call-arg]
    AsyncGuardTransport(httpx.HTTPTransport(), guard)  # type: ignore[arg-type]
    httpx2.GuardTransport(httpx.HTTPTransport(), guard)  # type: ignore[arg-type]
    httpx.AsyncClient(transport=GuardTransport(guard=guard))  # type: ignore[arg-type]
    requests.GuardAdapter(guard, hold=False)  # type: ignore[arg-type]
    requests.GuardAdapter(guard, pool_size=5)  # type: ignore[call-arg]
    aiohttp.GuardMiddleware(guard, user="u1")  # type: ignore[arg-type]
    celery.retry_refused(50)  # type: ignore[call-overload]
    celery.retry_refused(max_refusals="many")  # type: ignore[call-overload]
