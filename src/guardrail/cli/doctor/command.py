"""`guardrail doctor`: all looks, one after the other, and the exit code.

Law: what is wrong out there is a finding, never an exception; all looks together end in bounded time.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from guardrail.cli.exits import OK, WRONG, say
from guardrail.cli.terminal import drawn, on_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardrail.cli.doctor.finding import Finding


def doctor(store: str | None, rules: str | None, form: str) -> int:
    """Look at everything, print what was found, the worst last, and return the exit code."""
    from guardrail.cli.doctor.finding import Severity
    from guardrail.cli.doctor.report import coloured, lines, plain_values

    found = sorted(look_around(store, rules), key=lambda finding: finding.severity)
    if form == "json":
        say(json.dumps(plain_values(found), indent=2))
    elif on_terminal():
        say(drawn(map(coloured, lines(found)), wrap=False))
    else:
        say("\n".join(lines(found)))
    return WRONG if any(finding.severity is Severity.ERROR for finding in found) else OK


def look_around(store: str | None, path: str | None) -> Iterator[Finding]:
    """Yield what there is to say of everything around a deployment.

    Args:
        store: The store's URL.
        path: The rule file or folder.
    """
    from guardrail.cli.doctor.control import control_findings
    from guardrail.cli.doctor.files import file_findings
    from guardrail.cli.doctor.interpreter import interpreter_findings
    from guardrail.cli.doctor.libraries import library_findings
    from guardrail.cli.doctor.proxies import proxy_findings
    from guardrail.cli.doctor.rules import read_rules
    from guardrail.cli.doctor.sharing import shared_limits, sharing_findings
    from guardrail.cli.doctor.store import is_named, store_findings
    from guardrail.cli.doctor.switch import mode_finding

    yield from interpreter_findings()
    yield from library_findings()
    yield mode_finding()
    yield from control_findings()
    rules, found = read_rules(path)
    yield from found
    if rules is not None:
        if path and path != "-":
            yield from file_findings(path)
        yield from sharing_findings(rules, has_store=is_named(store))
    yield from proxy_findings(rules)
    yield from store_findings(store, shared_limits(rules))
