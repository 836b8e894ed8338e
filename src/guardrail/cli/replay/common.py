"""The common and the combined log format of nginx, Apache, gunicorn and uvicorn behind them.

Law: a line costs time in proportion to its length, whatever it holds. What stands behind the known fields is left alone.
"""

from __future__ import annotations

import re

from guardrail.adapters.http.resources import known_method
from guardrail.cli.replay.call import Call
from guardrail.cli.replay.stamps import clf_stamp

_QUOTED = r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_LINE = re.compile(
    rf"(\S{{1,256}}) \S{{1,256}} (.{{1,256}}?) \[([^\]]{{1,40}})\] {_QUOTED} (\d{{3}}) (?:\d+|-)(?: {_QUOTED} {_QUOTED})?"
)


def read_common(text: str, number: int) -> Call:
    """Read one line.

    Raises:
        ValueError: It cannot be read; the text says why.
    """
    found = _LINE.match(text)
    if found is None:
        raise ValueError("it is neither the common nor the combined log format, nor JSON")
    client, user, time, request, status, referer, agent = found.groups()
    at_us, coarse = clf_stamp(time)
    method, _, rest = request.partition(" ")
    target, _, protocol = rest.rpartition(" ")
    if not protocol.startswith("HTTP/"):
        target = rest
    if not target:
        raise ValueError("its request names no path")
    return Call(
        at_us,
        number,
        known_method(method),
        target,
        client,
        None if user == "-" else user,
        None if agent == "-" else agent,
        None if referer == "-" else referer,
        int(status),
        None,
        coarse,
        None,
    )
