"""A branch of the shop: a process with a service and a guard of its own, on the rule file and the store of all branches.

    python -m guardrail.cli.demo.branch RULE_FILE STORE_URL

It writes a line of JSON for whatever happens, and answers each line that it reads with how it stands. It ends where its
input ends, so also when whoever started it is gone.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from threading import Lock

from guardrail import Guard, RedisStore
from guardrail.cli.demo.hearing import Hearing
from guardrail.cli.demo.service import Printer, Supplier, application, quiet, serving, shop
from guardrail.cli.demo.standing import standing
from guardrail.telemetry.events import Event, Immediate, StoreBack, StoreLost

_writing = Lock()  # events happen on any thread


def tell(news: str, what: object) -> None:
    """Write one line. The time goes with it: the monotonic clock is the same for all processes of a machine."""
    with _writing:
        print(json.dumps({"news": news, "at": time.monotonic(), "what": what}), flush=True)


def tell_of_store(event: Event) -> None:
    """Write down what happens to the store."""
    match event:
        case StoreLost():
            tell("lost", event.error)
        case StoreBack():
            tell("back", event.seconds)
        case _:
            pass


def main(rule_file: str, url: str) -> None:
    """Keep the shop open until the input ends."""
    supplier, printer = Supplier(), Printer()
    hearing = Hearing(supplier)
    store = RedisStore(url)
    with quiet(), Guard(Path(rule_file), store=store, listeners=[hearing, Immediate(tell_of_store)]) as guard:
        guard.mode = "enforce"  # whatever GUARDRAIL_MODE says
        with serving(application(guard, shop(guard, supplier, printer))) as address:
            tell("open", address)
            tell("stands", standing(guard, supplier, printer, hearing))
            for _ in sys.stdin:
                tell("stands", standing(guard, supplier, printer, hearing, store.live_processes()))
        tell("stands", standing(guard, supplier, printer, hearing))
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
