"""Refusals that another middleware lets escape: Django makes a page for them, as for any error, before we get to see them.

Law: such a refusal is answered like any other, and is no error: not in Django's log either, which is mailed to people.
"""

from __future__ import annotations

import sys
from logging import LogRecord, getLogger
from typing import TYPE_CHECKING, Any

from django.core.signals import got_request_exception

if TYPE_CHECKING:
    from guardrail.adapters.django.exchange import Exchange

EXCHANGE = "_guardrail"  # where a request has what we know of it


def watch() -> None:
    """Hear of what Django makes pages for. Doing it again changes nothing."""
    got_request_exception.connect(hear, dispatch_uid="guardrail")
    getLogger("django.request").addFilter(is_error)


def hear(*, request: Any = None, **_: object) -> None:
    """Note what was raised, while Django deals with it."""
    exchange, error = exchange_of(request), sys.exc_info()[1]
    if exchange is not None and error is not None:
        exchange.note(error)


def is_error(record: LogRecord) -> bool:
    """Tell whether a line of Django's log is about anything else than a refusal that is answered."""
    exchange = exchange_of(getattr(record, "request", None))
    return not record.exc_info or exchange is None or exchange.escaped is None


def exchange_of(request: object) -> Exchange | None:
    """Return what is known of a request; None: it never came by."""
    return getattr(request, EXCHANGE, None)
