"""A gateway to a language model: each team has requests per minute and tokens per minute, shared by all its instances.

What an answer costs is known only when it is there. So a call takes what it may cost at most, and settles for what it
has cost: the rest comes back at once. A call that either limit refuses has charged neither.

Needs a Redis, by default the one on this machine: GUARDRAIL_STORE=redis://host:6379/0 python examples/llm_gateway.py

Prints:
    blue  asks for  400 tokens, gets  120; about 900 left
    blue  asks for  800 tokens, gets  700; about 200 left
    blue  asks for  400 tokens: refused by tokens-per-minute, try again in about 10 s
    green asks for  400 tokens, gets  120; about 900 left
    blue  asks for  100 tokens, gets   90; about 100 left
    blue  asks for   50 tokens: refused by requests-per-minute, try again in about 20 s
"""

import asyncio
import os

from guardrail import Guard, Refused

RULES = [
    {
        "name": "requests-per-minute",
        "resource": "llm.answer",
        "kind": "limit",
        "rate": "3/min",
        "key": "team",
        "cost": 1,
    },
    {"name": "tokens-per-minute", "resource": "llm.answer", "kind": "limit", "rate": "1000/min", "key": "team"},
]


async def ask_model(most_tokens: int) -> int:
    """Stand in for the model; return the number of tokens it has used."""
    await asyncio.sleep(0)
    return {400: 120, 800: 700}.get(most_tokens, 90)


async def answer(guard: Guard, team: str, most_tokens: int) -> None:
    """Answer one prompt of a team."""
    asked = f"{team:5} asks for {most_tokens:4} tokens"
    try:
        async with guard.enter("llm.answer", {"team": team}, cost=most_tokens) as permit:
            used = await ask_model(most_tokens)
            permit.settle(used)
    except Refused as refused:
        print(f"{asked}: refused by {refused.rule}, try again in about {round(refused.retry_after or 0, -1):.0f} s")
        return
    _requests, tokens = (await guard.apeek("llm.answer", {"team": team}, cost=0)).verdicts
    print(f"{asked}, gets {used:4}; about {round(tokens.remaining or 0, -2)} left")


async def main() -> None:
    """Let two teams ask."""
    url = os.environ.get("GUARDRAIL_STORE", "redis://localhost:6379/0")
    # a service takes the default timeout of 50 ms; an example is to show the same on a busy machine
    async with Guard(RULES, store=f"{url}?prefix=example-{os.getpid()}&timeout=2s") as guard:
        for team, most_tokens in [
            ("blue", 400),
            ("blue", 800),
            ("blue", 400),
            ("green", 400),
            ("blue", 100),
            ("blue", 50),
        ]:
            await answer(guard, team, most_tokens)
        await guard.areset("requests-per-minute")
        await guard.areset("tokens-per-minute")


if __name__ == "__main__":
    asyncio.run(main())
