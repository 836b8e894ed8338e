"""The store: its URL, and what is looked at on its server, in order.

Law: a server that is away, hangs, refuses or is none ends the looks with a finding, in bounded time. No finding shows a
password.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from guardrail.cli.doctor.facts import Facts
from guardrail.cli.doctor.finding import Finding, Severity, fine
from guardrail.cli.doctor.headroom import headroom_findings
from guardrail.cli.doctor.keyspace import keys_finding, processes_finding
from guardrail.cli.doctor.persistence import persistence_findings
from guardrail.cli.doctor.privacy import missing_files, privacy_findings
from guardrail.cli.doctor.reach import clock_finding, connecting_finding, round_trip_finding, trips
from guardrail.cli.doctor.rights import rights_findings
from guardrail.cli.doctor.role import role_findings
from guardrail.cli.doctor.scripting import scripting_finding
from guardrail.options import IN_PROCESS
from guardrail.stores.contact import Fault, fault_of_reply, rights_of
from guardrail.stores.resp import ErrorReply
from guardrail.stores.url import StoreUrl, parse_store_url

if TYPE_CHECKING:
    from guardrail.cli.doctor.visit import Visit
    from guardrail.rules.model import LimitRule

_AWAY = "no limit is shared: each is decided by its on_store_error"
_ADVICE = {  # where the fault itself does not say
    "timeout": "see whether it is overloaded, stopped, or behind a firewall; SLOWLOG GET shows what kept it busy",
    "connection": "see that it runs and listens there, and that host and port are right",
}
_CLOSED = "it may speak TLS only (rediss://), be in protected mode, have no room (maxclients), or be no Redis at all: see its log"


def is_named(text: str | None) -> bool:
    """Tell whether a store is named at all."""
    return bool(text) and text != IN_PROCESS


def store_findings(text: str | None, limits: Sequence[LimitRule]) -> Iterator[Finding]:
    """Look at the store that *text* names.

    Args:
        limits: The shared limits in files.
    """
    if text is None or not is_named(text):
        yield fine("store.url", "no store is named: GUARDRAIL_STORE is not set, and --store not given")
        return
    try:
        url = parse_store_url(text)
    except ValueError as wrong:
        advice = "write it as redis://user:password@host:6379/0, rediss://... for TLS, or unix:///path/of/the.sock"
        yield Finding(Severity.ERROR, "store.url", f"{wrong}", "no guard can be built with it", advice)
        return
    yield fine("store.url", f"{url.shown}, keys begin with {url.prefix}:", {"url": url.shown, "prefix": url.prefix})
    try:
        from guardrail.cli.doctor.dial import VisitError
        from guardrail.cli.doctor.visit import visiting
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "redis":
            raise
        advice = 'pip install "guardrail-py[redis]"'
        yield Finding(Severity.ERROR, "store.client", "redis-py is not installed", "no guard can be built", advice)
        return
    wrong_files = list(missing_files(url))
    if wrong_files:
        yield from wrong_files
        return
    code = "store.connection"
    try:
        with visiting(url) as visit:
            code = "store.answers"
            yield from looks(visit, url, limits)
    except VisitError as ended:
        yield fault_finding(code, ended.fault)


def looks(visit: Visit, url: StoreUrl, limits: Sequence[LimitRule]) -> Iterator[Finding]:
    """Look at a server that is connected.

    Raises:
        VisitError: It does not answer any more.
    """
    yield connecting_finding(visit.connecting_us, visit.dial_us, url.timeout_us)
    greeting = visit.ask(b"TIME")
    if isinstance(greeting, ErrorReply):
        fault = fault_of_reply(greeting.text, rights_of(url.prefix, url.settings))
        if fault.word == "password":
            yield fault_finding("store.answers", fault)
            return
    made = trips(visit)
    yield round_trip_finding(made, url.timeout_us)
    if clock := clock_finding(made):
        yield clock
    yield from privacy_findings(visit, url)
    facts = Facts(visit.ask(b"INFO"))
    yield from role_findings(facts)
    yield from headroom_findings(facts)
    yield from persistence_findings(facts, limits)
    may = list(rights_findings(visit, url))
    yield from may
    if all(finding.severity is not Severity.ERROR for finding in may):  # or the same would be said twice
        yield scripting_finding(visit, url)
    if keys := keys_finding(visit, url, facts):
        yield keys
    if processes := processes_finding(visit, url):
        yield processes


def fault_finding(code: str, fault: Fault) -> Finding:
    """Say why a server could not be asked, or not any more."""
    found, _, advice = fault.message.rpartition("; ")
    if not found:
        hung_up = re.search("closed|reset", fault.message, re.IGNORECASE)
        found, advice = fault.message, _CLOSED if hung_up else _ADVICE.get(fault.word, "see the server's log")
    return Finding(Severity.ERROR, code, found.rstrip("."), _AWAY, advice, {"fault": fault.word})
