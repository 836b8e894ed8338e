"""Proxies: whose word is taken for who is calling.

Law: what an adapter would refuse is refused here, in the same words.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from guardrail.cli.doctor.finding import Finding, Severity, fine, some
from guardrail.cli.words import number
from guardrail.rules.spelling import any_of

if TYPE_CHECKING:
    from guardrail.rules.model import Rule
    from guardrail.rules.ruleset import RuleSet

ADDRESS = "client.ip"
_WIDE = {4: 8, 6: 7}  # fc00::/7 and 10.0.0.0/8 are the widest private networks; what is wider is the world


def proxy_findings(rules: RuleSet | None) -> Iterator[Finding]:
    """Look at GUARDRAIL_TRUSTED_PROXIES, and at which rules rely on it."""
    from guardrail.adapters.http.address import UNIX, network_of
    from guardrail.adapters.http.options import ENVIRONMENT, options_of

    try:
        options_of("doctor", {})
    except ValueError as wrong:
        yield Finding(
            Severity.ERROR,
            "proxies.unreadable",
            f"{wrong}",
            "an adapter that is not given trusted_proxies in code does not start",
            f"write addresses and networks with commas between: {ENVIRONMENT}=10.0.0.0/8,unix",
        )
        return
    words = os.environ.get(ENVIRONMENT, "").replace(",", " ").split()
    measured = {"trusted": words}
    networks = {word: network_of(word) for word in words if word != UNIX}
    wide = [word for word, network in networks.items() if network.prefixlen < _WIDE[network.version]]
    if wide:
        yield Finding(
            Severity.WARNING,
            "proxies.everybody",
            f"{ENVIRONMENT} trusts {', '.join(wide)}: as good as everybody",
            "whoever calls may write any address into X-Forwarded-For, and so choose whose limit to spend, and never run out",
            "name the addresses or networks of your own proxies only",
            measured,
        )
    elif words:
        yield fine("proxies.trusted", f"forwarding headers are believed of {any_of(words)}", measured)
    asking = [rule.name for rule in rules or () if asks_for_address(rule)]
    if asking and not words:
        yield Finding(
            Severity.NOTE,
            "proxies.none",
            f"{number(len(asking), 'rule')} ({some(asking)}) look at {ADDRESS}, and no proxy is trusted",
            "behind a proxy all clients have its address, and share one limit",
            f"if there is one: {ENVIRONMENT}=10.0.0.0/8 with its address, or trusted_proxies=[...] where the adapter is built",
            {"rules": asking},
        )
    elif not words:
        yield fine("proxies.none", f"no proxy is trusted, and no rule in files looks at {ADDRESS}", measured)


def asks_for_address(rule: Rule) -> bool:
    """Tell whether a rule depends on who is calling."""
    return rule.mode != "off" and (ADDRESS in rule.when or any(ADDRESS in part for part in rule.key))
