"""Edit a rule file while the service runs: the new rate is in force within a second, used-up tokens stay used.

Prints:
    10/h: 10 of 12 calls went through
    20/h: 10 of 12 more went through
    broken file: rules.yaml:6:5: unknown key 'rat'; did you mean 'rate'?
    and the last good rules still hold: 20/h
"""

import tempfile
from pathlib import Path
from threading import Event

from guardrail import Guard, RuleError
from guardrail.telemetry.events import RulesReloaded

RULES = """version: 1
rules:
  - name: orders
    resource: orders.create
    kind: limit
    rate: {rate}
"""


def admitted(guard: Guard, calls: int) -> int:
    """Return how many of so many calls go through."""
    permits = [guard.try_enter("orders.create") for _ in range(calls)]
    for permit in permits:
        permit.exit()
    return sum(map(bool, permits))


reloaded = Event()


def listener(event: object) -> None:
    if isinstance(event, RulesReloaded):
        reloaded.set()


with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "rules.yaml")
    path.write_text(RULES.format(rate="10/h"))
    with Guard(path, listeners=[listener]) as guard:
        print(f"10/h: {admitted(guard, 12)} of 12 calls went through")
        path.write_text(RULES.format(rate="20/h"))
        reloaded.wait(10)
        print(f"20/h: {admitted(guard, 12)} of 12 more went through")
        path.write_text(RULES.format(rate="20/h").replace("rate:", "rat:"))
        try:
            guard.reload()
        except RuleError as error:
            print(f"broken file: {error.problems[0]}".splitlines()[0].replace(f"{folder}/", ""))
        print(f"and the last good rules still hold: {guard.rules.rules[0].rate.text}")
