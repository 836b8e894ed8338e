"""What a user's type checker sees of the adapters. Checked by mypy and pyright in `make types`, never run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, assert_type
from wsgiref.types import StartResponse

import aiohttp
import celery
import grpc
import grpc.aio
import httpx
import httpx2
import requests
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

import guardrail.adapters.aiohttp
import guardrail.adapters.asgi
import guardrail.adapters.fastapi
import guardrail.adapters.grpc
import guardrail.adapters.grpc_aio
import guardrail.adapters.httpx
import guardrail.adapters.httpx2
import guardrail.adapters.requests
import guardrail.adapters.wsgi
from guardrail import Guard, Refused
from guardrail.adapters.celery import RetryRefused, retry_refused

guard = Guard()

# ASGI: an app in, an app out; every option by its name, hooks plain or async.


async def app(scope: Scope, receive: Receive, send: Send) -> None: ...


def user_of(scope: Scope) -> str | None:
    return str(scope["user"])


async def loaded_user(scope: Scope) -> object:
    return scope["user"]


def answered(scope: Scope, refused: Refused) -> Response | None:
    return JSONResponse({"rule": refused.rule}, 429)


async def later(scope: Scope, refused: Refused) -> Response:
    return JSONResponse({"rule": refused.rule}, 429)


guarded: Callable[[Scope, Receive, Send], Awaitable[None]] = guardrail.adapters.asgi.GuardMiddleware(app, guard)
guardrail.adapters.asgi.GuardMiddleware(
    app,
    guard,
    trusted_proxies=["10.0.0.0/8"],
    headers="both",
    exempt=["/healthz", "GET /static/**"],
    user=user_of,
    resource="GET /everything",
    on_refused=answered,
)
guardrail.adapters.asgi.GuardMiddleware(app, user=loaded_user, on_refused=later, exempt=lambda scope: False)
guardrail.adapters.asgi.GuardMiddleware(app, resource=lambda scope: None, user=None, on_refused=None)
guardrail.adapters.asgi.GuardMiddleware(guardrail.adapters.asgi.GuardMiddleware(Starlette()))

# Starlette and FastAPI: as their own middleware.

starlette = Starlette(middleware=[Middleware(guardrail.adapters.asgi.GuardMiddleware, guard=guard, headers="legacy")])
starlette.add_middleware(guardrail.adapters.asgi.GuardMiddleware, guard=guard, user=user_of)


async def current_user(x_user: str) -> dict[str, str]:
    return {"name": x_user}


fastapi = FastAPI()
guardrail.adapters.fastapi.install(fastapi)
guardrail.adapters.fastapi.install(fastapi, guard, user=current_user, headers="off", trusted_proxies=("10.0.0.1",))

# WSGI and Flask.


def page(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b""]


guardrail.adapters.wsgi.GuardMiddleware(page, guard, user=lambda environ: environ["REMOTE_USER"], headers="ietf-10")
flask = Flask(__name__)
wsgi_app: Callable[[dict[str, Any], StartResponse], Iterable[bytes]] = guardrail.adapters.wsgi.GuardMiddleware(
    flask.wsgi_app, guard
)

# gRPC: interceptors of grpcio, sync and aio.


def caller_of(context: grpc.ServicerContext) -> object:
    return dict(context.invocation_metadata())["x-caller"]


server_guard = guardrail.adapters.grpc.ServerGuard(guard, exempt=["/pkg.Health/*"], user=caller_of)
interceptor: grpc.ServerInterceptor = server_guard
client_guard = guardrail.adapters.grpc.ClientGuard(guard, resource=lambda method: "client orders")
assert_type(grpc.intercept_channel(grpc.insecure_channel("localhost:1"), client_guard), grpc.Channel)
aio_interceptor: grpc.aio.ServerInterceptor = guardrail.adapters.grpc_aio.ServerGuard(guard, user=caller_of)
grpc.aio.server(interceptors=[guardrail.adapters.grpc_aio.ServerGuard()])
grpc.aio.insecure_channel("localhost:1", interceptors=[guardrail.adapters.grpc_aio.ClientGuard(guard)])

# Clients: transports and adapters of their libraries; what stands behind may be given, before or after the guard.


def named(request: httpx.Request) -> str | None:
    return f"client {request.url.host}"


httpx.Client(transport=guardrail.adapters.httpx.GuardTransport(guard=guard))
httpx.Client(transport=guardrail.adapters.httpx.GuardTransport(guard, httpx.HTTPTransport(retries=1)))
httpx.AsyncClient(transport=guardrail.adapters.httpx.AsyncGuardTransport(httpx.AsyncHTTPTransport(), guard))
guardrail.adapters.httpx.GuardTransport(resource=named, hold="retry-after", max_hold="2m", user=lambda request: "u1")
guardrail.adapters.httpx.GuardTransport(resource={"api.example.com/v1/*": "/v1/{id}"}, max_hold=30)
guardrail.adapters.httpx.AsyncGuardTransport(guard=guard, resource="client payments", user=None)
httpx2.Client(transport=guardrail.adapters.httpx2.GuardTransport(httpx2.HTTPTransport(), guard))
httpx2.AsyncClient(transport=guardrail.adapters.httpx2.AsyncGuardTransport(guard=guard, hold="off"))

session = requests.Session()
session.mount("https://", guardrail.adapters.requests.GuardAdapter(guard, hold="all", pool_maxsize=20, max_retries=2))


async def fetch(refused: Refused) -> bytes:
    assert_type(refused.is_outgoing, bool)
    middleware = guardrail.adapters.aiohttp.GuardMiddleware(guard, max_hold="1m")
    async with aiohttp.ClientSession(middlewares=[middleware]) as session, session.get("https://example.com") as answer:
        return await answer.read()


# Celery: a task keeps its type.

tasks = celery.Celery()


@retry_refused
def plain(account: str, *, amount: int) -> bool:
    return amount > len(account)


@retry_refused(max_refusals=50)
def patient(account: str) -> int:
    return len(account)


assert_type(plain("a", amount=1), bool)
assert_type(patient("a"), int)
tasks.task(plain)


@tasks.task(base=RetryRefused, max_refusals=3)
def based(account: str) -> int:
    return len(account)


based.delay("a")
