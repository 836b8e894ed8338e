"""The control endpoint that the environment asks for: a service goes on without it, so a mistake is easily overlooked.

Law: it is read as a service reads it, and no token is in a finding.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from guardrail.cli.doctor.finding import Finding, Severity, fine
from guardrail.cli.words import number
from guardrail.control.address import read_address
from guardrail.control.tokens import MAKE_ONE, checked_token

ADDRESS, TOKEN = "GUARDRAIL_CONTROL", "GUARDRAIL_CONTROL_TOKEN"
_WITHOUT = "a service goes on without: guardrail top, breaker and key do not reach it"


def control_findings() -> Iterator[Finding]:
    """Look at GUARDRAIL_CONTROL and GUARDRAIL_CONTROL_TOKEN."""
    text = os.environ.get(ADDRESS)
    if not text:
        yield fine("control.address", f"no control endpoint is asked for: {ADDRESS} is not set")
        return
    try:
        address = read_address(text)
    except ValueError as wrong:
        advice = f"write {ADDRESS}=127.0.0.1:9911, or 127.0.0.1:9911-9918 for several processes"
        yield Finding(Severity.WARNING, "control.address", f"{ADDRESS} {wrong}", _WITHOUT, advice)
    else:
        yield fine("control.address", f"a service listens at {address}", {"address": str(address)})
        yield _ports(len(address.ports), any_port=address.ports[0] == 0)
    try:
        checked_token(os.environ.get(TOKEN), TOKEN)
    except ValueError as wrong:
        found = str(wrong).partition("; ")[0]
        yield Finding(Severity.WARNING, "control.token", found, _WITHOUT, f"make one with: {MAKE_ONE}")
    else:
        yield fine("control.token", f"{TOKEN} is set")


def _ports(count: int, *, any_port: bool) -> Finding:
    code, measured = "control.ports", {"ports": count}
    if any_port:
        found, means = "each process takes any free port", "no command can be told where that is; the log says it"
        return Finding(Severity.NOTE, code, found, means, f"name a port: {ADDRESS}=127.0.0.1:9911-9918", measured)
    return Finding(
        Severity.NOTE,
        code,
        f"{number(count, 'port')}, for as many processes",
        "a process without a port is not seen by guardrail top, and not operated by guardrail breaker",
        "give each process a port, and one more where a parent preloads (gunicorn --preload, a Celery prefork pool)",
        measured,
    )
