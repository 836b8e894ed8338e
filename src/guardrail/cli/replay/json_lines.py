"""JSON lines: one object for each call, as nginx, gunicorn, uvicorn, Caddy, Traefik and ECS loggers write them.

Law: which field is meant is decided by the names in a line alone; what the user has mapped wins over what is usual.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from guardrail.adapters.http.resources import known_method
from guardrail.cli.replay.call import Call
from guardrail.cli.replay.stamps import lasting_us, stamp

# what a call has, and under which names loggers write it, the surest first; a dot goes into an object inside
USUAL: dict[str, tuple[str, ...]] = {
    "time": (
        *("time", "timestamp", "@timestamp", "ts", "time_iso8601", "time_local", "datetime", "date", "asctime"),
        *("StartUTC", "msec", "t"),
    ),
    "method": (
        *("method", "request_method", "http_method", "verb", "http.request.method", "request.method"),
        *("RequestMethod", "m"),
    ),
    "path": (
        *("path", "uri", "request_uri", "url", "request_path", "url.original", "url.path", "request.uri"),
        *("request.url", "http.path", "RequestPath", "U"),
    ),
    "query": ("query", "query_string", "request_querystring", "args", "url.query", "q"),
    "request": ("request", "request_line", "message", "r"),
    "status": (
        *("status", "status_code", "response_status", "http_status", "response_code", "response.status"),
        *("http.response.status_code", "DownstreamStatus", "s"),
    ),
    "client.ip": (
        *("client_ip", "remote_addr", "remote_ip", "client_addr", "clientip", "client.ip", "client.address"),
        *("request.client_ip", "request.remote_ip", "source.ip", "ClientHost", "client", "ip", "h"),
    ),
    "user": ("user", "remote_user", "user_id", "username", "user.id", "user.name", "ClientUsername", "u"),
    "header.user-agent": (
        *("user_agent", "http_user_agent", "agent", "user_agent.original", "request.headers.User-Agent", "a"),
    ),
    "header.referer": ("referer", "http_referer", "referrer", "http.request.referrer", "f"),
    "duration": (
        *("duration", "request_time", "duration_ms", "duration_us", "duration_ns", "duration_s", "response_time"),
        *("response_time_ms", "latency", "latency_ms", "elapsed", "elapsed_ms", "took_ms", "event.duration"),
        *("request_timetaken", "Duration", "D", "M", "L", "T"),
    ),
    "resource": ("resource",),
}
# where the unit is known from the logger and not told by the name's end
_UNITS = {"request_timetaken": "us", "D": "us", "M": "ms", "Duration": "ns", "event.duration": "ns"}
_MOST_SHAPES = 64
_OWN = frozenset(USUAL)


class Field(NamedTuple):
    """Hold where to look for something, and for a duration its unit."""

    path: tuple[str, ...]
    unit: str | None = None

    @classmethod
    def of(cls, name: str, unit: str | None = None) -> Field:
        """Find the unit of a duration in the field's name, unless it is given."""
        ending = name.rpartition("_")[2]
        return cls((name,), unit or _UNITS.get(name) or (ending if ending in {"ns", "us", "ms", "s"} else None))


class JsonLines:
    """Read lines, by the names that a user has given fields and by those that are usual.

    Args:
        given: What is where, by name: `user`, `duration` or any attribute, such as `header.x-tenant`.
        at_end: Times are those at which calls ended.
    """

    def __init__(self, given: Mapping[str, Field], *, at_end: bool = True) -> None:
        self._given = given
        self._at_end = at_end
        self._others = [name for name in given if name not in _OWN]
        self._shapes: dict[tuple[str, ...], dict[str, Field]] = {}

    def read(self, text: str, number: int) -> Call:
        """Read one line.

        Raises:
            ValueError: It cannot be read; the text says why.
        """
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError("it is no JSON") from None
        if not isinstance(line, dict):
            raise ValueError("it is no JSON object")  # noqa: TRY004  what all formats raise
        shape = tuple(line)
        fields = self._shapes.get(shape)
        if fields is None:
            fields = self._look(line)
            if len(self._shapes) < _MOST_SHAPES:
                self._shapes[shape] = fields
        return self._call(line, fields, number)

    def _look(self, line: dict[str, Any]) -> dict[str, Field]:
        """Find out what is where in lines of this shape."""
        found = {}
        for name, candidates in USUAL.items():
            usual = (Field.of(candidate) for candidate in candidates)
            field = self._given.get(name) or next((one for one in usual if _dig(line, one.path) is not None), None)
            if field is not None:
                found[name] = _split(line, field)
        return found | {name: _split(line, self._given[name]) for name in self._others}

    def _call(self, line: dict[str, Any], fields: Mapping[str, Field], number: int) -> Call:
        def value(name: str) -> Any:
            field = fields.get(name)
            if field is None:
                return None
            return line.get(field.path[0]) if len(field.path) == 1 else _dig(line, field.path)

        time = value("time")
        if time is None:
            raise ValueError("it names no time")
        at_us, coarse = stamp(time)
        duration = fields.get("duration")
        duration_us = None if duration is None else lasting_us(value("duration"), duration.unit)
        if duration_us is not None and self._at_end:
            at_us -= duration_us
        more = {name: text for name in self._others if (text := _text(value(name))) is not None}
        resource = _text(value("resource"))
        if resource is not None:
            more["resource"] = resource
        method, target = _request(_text(value("method")), _text(value("path")), _text(value("request")), resource)
        query = _text(value("query"))
        return Call(
            at_us,
            number,
            method,
            f"{target}?{query.removeprefix('?')}" if query and "?" not in target else target,
            _text(value("client.ip")),
            _text(value("user")),
            _text(value("header.user-agent")),
            _text(value("header.referer")),
            _status(value("status")),
            duration_us,
            coarse,
            more or None,
        )


def _request(method: str | None, path: str | None, request: str | None, resource: str | None) -> tuple[str, str]:
    if path is None and request is not None:
        words = request.strip('"').split(" ")
        if len(words) in {2, 3} and words[0].isupper():
            method, path = words[0], words[1]
    if path is None or method is None:
        if resource is None:
            raise ValueError("it names no method and path")
        return "OTHER", "/"
    return known_method(method.upper()), path


def _status(value: Any) -> int:
    try:
        return 200 if value is None else int(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("its status is no number") from None


def _text(value: Any) -> str | None:
    if type(value) is str:
        return None if value in {"", "-"} else value
    if value is None or isinstance(value, dict):
        return None
    if isinstance(value, list):  # a header's values
        return _text(next(iter(value), None))
    return str(value)


def _split(line: dict[str, Any], field: Field) -> Field:
    """Return the field with its path taken apart where its name leads into objects."""
    name = field.path[0]
    return field if name in line or "." not in name else field._replace(path=tuple(_steps(line, name)))


def _steps(line: Any, name: str) -> list[str]:
    """Take a dotted name apart: a part may have dots itself."""
    if isinstance(line, dict) and name not in line:
        parts = name.split(".")
        for count in range(len(parts) - 1, 0, -1):
            head = ".".join(parts[:count])
            if head in line:
                return [head, *_steps(line[head], ".".join(parts[count:]))]
    return [name]


def _dig(line: Any, path: tuple[str, ...]) -> Any:
    for step in _steps(line, path[0]) if len(path) == 1 else path:
        line = line.get(step) if isinstance(line, dict) else None
    return None if isinstance(line, dict) else line
