"""A FastAPI service with users and plans: one line guards it, and a rule file says who may do what.

Run it for real with `uvicorn fastapi_plans:app`, next to this file.

Prints:
    ann (free): 200 200 429
    bob (paid): 200 200 200 200
    nobody: 401 401 401 429
    export: 200 429, come back in 60 s
    told on the way: "free";r=1;t=30
    documented: 200 429 503
"""

import asyncio
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI, Header, HTTPException

from guardrail import Guard
from guardrail.adapters.fastapi import install

guard = Guard(
    """
version: 1
rules:
  - name: free
    resource: "* /v1/**"
    kind: limit
    rate: 2/min
    key: user.name
    when: {user.plan: free}

  - name: paid
    resource: "* /v1/**"
    kind: limit
    rate: 100/min
    key: user.name
    when: {user.plan: paid}

  - name: strangers                         # who knocks again and again is limited too
    resource: "* /v1/**"
    kind: limit
    rate: 3/min
    key: client.ip
    when: {user.plan: ["!free", "!paid"]}

  - name: reports                           # for all together: so many at once
    resource: GET /v1/reports/{report}
    kind: bulkhead
    max_concurrent: 4
"""
)

PLANS = {"ann": "free", "bob": "paid"}


async def current_user(x_user: Annotated[str | None, Header()] = None) -> dict[str, str]:
    """Say who is calling: rules see what this returns as `user`, and `user.name`, `user.plan`."""
    if x_user not in PLANS:
        raise HTTPException(401)
    return {"name": x_user, "plan": PLANS[x_user]}


app = FastAPI()
install(app, guard, user=current_user)  # the one line


@app.get("/v1/reports/{report}")
async def report(report: int, user: Annotated[dict[str, str], Depends(current_user)]) -> str:
    return f"report {report} for {user['name']}"


@app.get("/export")
@guard.limit("1/min", key="client.ip")  # no `request` parameter: the middleware knows who is calling
def export() -> str:
    return "everything"


async def main() -> None:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as client:

        async def ask(user: str, times: int) -> list[httpx.Response]:
            return [await client.get(f"/v1/reports/{number}", headers={"x-user": user}) for number in range(times)]

        told = await ask("ann", 3)
        print("ann (free):", *(answer.status_code for answer in told))
        print("bob (paid):", *(answer.status_code for answer in await ask("bob", 4)))
        print("nobody:", *(answer.status_code for answer in await ask("eve", 4)))
        first, second = await client.get("/export"), await client.get("/export")
        print(f"export: {first.status_code} {second.status_code}, come back in {second.headers['retry-after']} s")
        print("told on the way:", told[0].headers["ratelimit"])
    answers = app.openapi()["paths"]["/export"]["get"]["responses"]
    print("documented:", *answers)


if __name__ == "__main__":
    asyncio.run(main())
