"""One rule set for all callers: keys, plans, overrides from elsewhere, and a rule that only watches.

Prints:
    free: 2 of 5
    big: 5 of 5
    watching, not refusing: 4 refusals foreseen
"""

from collections.abc import Mapping

from guardrail import Guard, attributes
from guardrail.telemetry.events import CallRefused, Immediate

PLANS: Mapping[str, str] = {"big": "1000/min"}  # in real life a look-up in a database

foreseen = []


def listener(event: object) -> None:
    if isinstance(event, CallRefused) and event.shadow:
        foreseen.append(event)


guard = Guard(
    [
        {"name": "per-tenant", "resource": "search.**", "kind": "limit", "rate": "2/min", "key": "tenant"},
        {"name": "total", "resource": "search.**", "kind": "limit", "rate": "3/min", "mode": "shadow"},
    ],
    overrides={"per-tenant": PLANS.get},
    listeners=[Immediate(listener)],  # told before the call goes on; others hear it on a thread of their own
)


@guard.guarded("search.products", fallback=None)
def search(words: str) -> str | None:
    return f"results for {words}"


for tenant in ("free", "big"):
    with attributes(tenant=tenant):
        answers = [search("shoes") for _ in range(5)]
    print(f"{tenant}: {sum(answer is not None for answer in answers)} of 5")
print(f"watching, not refusing: {len(foreseen)} refusals foreseen")
