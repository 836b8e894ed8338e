"""The kill switch: GUARDRAIL_MODE, which wins over whatever the code says."""

from __future__ import annotations

import os

from guardrail.cli.doctor.finding import Finding, Severity, fine

MODE = "GUARDRAIL_MODE"


def mode_finding() -> Finding:
    """Look at the kill switch: it is easily forgotten."""
    from guardrail.rulebook import checked_mode

    code, mode = "rules.mode", os.environ.get(MODE) or "enforce"
    measured = {"mode": mode}
    try:
        checked_mode(mode)
    except ValueError as wrong:
        advice = f"unset {MODE}, or set it to enforce, shadow or off"
        return Finding(Severity.ERROR, code, f"{wrong}", "no guard can be built", advice, measured)
    found, advice = f"the kill switch is on: {MODE}={mode}", f"unset {MODE} and restart the service once it is over"
    match mode:
        case "off":
            means = "no rule is asked at all: nothing is limited, and no breaker opens"
            return Finding(Severity.ERROR, code, found, means, advice, measured)
        case "shadow":
            means = "rules count and decide, and nobody is refused"
            return Finding(Severity.WARNING, code, found, means, advice, measured)
        case _:
            return fine(code, f"no kill switch is on: {MODE} leaves rules enforced", measured)
