"""A Starlette service that can be watched: metrics for Prometheus, readiness for Kubernetes, a page for people.

Run it for real with `uvicorn observed_service:app`, next to this file.

Prints:
    orders: 200 200 429
    ready: 200 ok
    payments: 502
    ready: 200 degraded: breaker 'payments' keeps calls out
    status: orders 2 allowed, 1 refused
    metrics: 200
    guardrail_decisions_total{outcome="allow",resource="GET /orders/{order}",rule="orders"} 2.0
    guardrail_decisions_total{outcome="refuse",resource="GET /orders/{order}",rule="orders"} 1.0
"""

import asyncio

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from guardrail import Guard
from guardrail.adapters.asgi import GuardMiddleware

guard = Guard(
    [
        {"name": "orders", "resource": "GET /orders/{order}", "kind": "limit", "rate": "2/min", "key": "client.ip"},
        {"name": "payments", "resource": "payments", "kind": "breaker", "consecutive_failures": 1, "open_for": "30s"},
    ]
)


async def order(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"order {request.path_params['order']}")


@guard.guarded("payments")
async def ask_the_bank() -> str:
    raise ConnectionError("the bank does not answer")


async def pay(_: Request) -> PlainTextResponse:
    try:
        return PlainTextResponse(await ask_the_bank())
    except ConnectionError as error:
        return PlainTextResponse(str(error), 502)


async def ready(_: Request) -> JSONResponse:
    """Be ready unless a rule refuses every call; an open breaker is for people to look at, and no reason to stop."""
    health = guard.health()
    return JSONResponse(health.to_dict(), 200 if health else 503)


async def status(_: Request) -> JSONResponse:
    return JSONResponse(guard.snapshot().to_dict())  # keys in it are hashed


app = Starlette(
    routes=[
        Route("/orders/{order}", order),
        Route("/pay", pay, methods=["POST"]),
        Route("/readyz", ready),
        Route("/status", status),
    ]
)
app.add_middleware(GuardMiddleware, guard=guard, metrics="/metrics")  # keep this path off the public side


async def main() -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.example") as client:
        print("orders:", *[(await client.get(f"/orders/{number}")).status_code for number in range(3)])
        await show_readiness(client)
        print("payments:", (await client.post("/pay")).status_code)
        await show_readiness(client)
        seen = (await client.get("/status")).json()["rules"][0]
        print(f"status: {seen['name']} {seen['allowed']} allowed, {seen['refused']} refused")
        page = await client.get("/metrics")
        print("metrics:", page.status_code)
        for line in page.text.splitlines():
            if (
                'rule="orders"' in line
                and line.endswith((" 1.0", " 2.0"))
                and line.startswith("guardrail_decisions_total")
            ):
                print(line)


async def show_readiness(client: httpx.AsyncClient) -> None:
    answer = await client.get("/readyz")
    told = answer.json()
    print("ready:", answer.status_code, ": ".join([told["status"], *told["reasons"]]))


if __name__ == "__main__":
    asyncio.run(main())
