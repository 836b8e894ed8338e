"""How a shop stands: which rules are in force there, and what they have done.

Law: to look takes nothing: no limit is asked, and no store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from guardrail import Guard
from guardrail.cli.demo.hearing import Hearing
from guardrail.cli.demo.service import Printer, Supplier
from guardrail.rules.model import BulkheadRule, LimitRule

SEARCH, LOGIN, EACH = "shop.search/limit", "shop.login/limit", "per-client"
SUPPLIER, REPORT = "supplier.price/breaker", "shop.report/bulkhead"
EVERY_PAGE = ("/search", "/login", "/price", "/report")
PAGES = {SEARCH: ("/search",), LOGIN: ("/login",), SUPPLIER: ("/price",), REPORT: ("/report",), EACH: EVERY_PAGE}


class Standing(NamedTuple):
    """Hold how one shop stands.

    Attributes:
        revision: That of its rules.
        in_force: What each rule says, by its name.
        refused: How many calls each rule has refused, by its name.
        sharers: How many processes it believes to share its limits.
    """

    revision: str
    in_force: Mapping[str, str]
    refused: Mapping[str, int]
    supplier_calls: int
    sharers: int = 1


def standing(guard: Guard, supplier: Supplier, printer: Printer, hearing: Hearing, sharers: int = 1) -> Standing:
    """Look at a shop."""
    in_force = {}
    for name, effective in guard.named().items():
        match effective.rule:
            case LimitRule() as limit:
                in_force[name] = f"{limit.rate.text} per client"
            case BulkheadRule() as bulkhead:
                in_force[name] = f"{printer.inside} of {bulkhead.max_concurrent} places"
            case _:
                in_force[name] = guard.breakers[name].state.replace("_", "-")
    return Standing(guard.rules.revision, in_force, dict(hearing.refused), supplier.calls, sharers)
