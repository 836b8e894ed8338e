"""URLs of stores: `redis://localhost:6379/0?timeout=100ms&prefix=app`.

Law: what is wrong with a URL is said at once, in words, and never shows a password. Nothing is connected for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from guardrail.rules.durations import parse_duration_us, show_duration
from guardrail.rules.spelling import any_of, did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Scheme = Literal["redis", "rediss", "unix"]
Settings: TypeAlias = "dict[str, str | int | bool]"

SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
_BY_NAME: dict[str, Scheme] = {str(scheme): scheme for scheme in SCHEMES}
NOT_YET = {"redis+cluster": "a cluster", "redis+sentinel": "a server found by sentinels"}
TIMEOUT, PREFIX = "50ms", "guardrail"

_SHORTEST_US, _LONGEST_US = 1_000, 60_000_000
_LARGEST_DB = 2**31 - 1
_PREFIX = re.compile(r"[^\s{}\x00-\x1f\x7f]{1,128}")
_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_OURS = {  # what redis-py calls otherwise
    "socket_timeout": "write timeout=..., which bounds a whole call",
    "socket_connect_timeout": "write timeout=..., which bounds a whole call",
    "retry_on_timeout": "nothing is ever sent twice",
    "retry_on_error": "nothing is ever sent twice",
    "max_connections": "there is one connection for all threads and one for each event loop",
    "protocol": "it is always RESP2",
    "decode_responses": "nobody sees the responses",
    "health_check_interval": "a connection that has died is noticed by itself",
}


class Default(str):
    """Mark an option that nobody has written."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """Hold what a URL says.

    Attributes:
        settings: What redis-py's connections are built with. It may hold a password, so it is not shown.
        shown: The URL as it may be shown.
    """

    scheme: Scheme
    shown: str
    timeout_us: int
    prefix: str
    settings: Mapping[str, str | int | bool] = field(repr=False)


def parse_store_url(url: object, timeout: object = Default(TIMEOUT), prefix: object = Default(PREFIX)) -> StoreUrl:
    """Read a URL. An option that is passed wins over the one in the URL.

    Raises:
        ValueError: Something is wrong with it.
    """
    parts, scheme = _split(url if isinstance(url, str) else shown(url))
    options = _options(parts.query)
    written_timeout, written_prefix = options.pop("timeout", timeout), options.pop("prefix", prefix)
    timeout_us = _timeout_us(written_timeout if isinstance(timeout, Default) else timeout)
    keys_prefix = _checked_prefix(written_prefix if isinstance(prefix, Default) else prefix)
    settings = _place(parts, scheme) | _who(parts)
    settings |= {name: _read(name, text) for name, text in options.items()}
    settings["db"] = _db(parts, scheme, options.get("db"))
    if scheme == "rediss":
        settings.setdefault("ssl_cert_reqs", "required")
        settings.setdefault("ssl_check_hostname", settings["ssl_cert_reqs"] != "none")  # redis-py 5 would not check it
    elif secure := next((name for name in settings if name.startswith("ssl_")), None):
        raise ValueError(f"{secure} needs a URL that begins with rediss://")
    return StoreUrl(scheme, _as_shown(scheme, settings), timeout_us, keys_prefix, settings)


def _split(url: str) -> tuple[SplitResult, Scheme]:
    try:
        parts = urlsplit(url)
    except ValueError:  # what it says would show the password
        raise ValueError(
            "the URL of a store cannot be read: brackets are for IPv6 addresses such as [::1]; in a name or a password"
            " write what is no letter or digit as %5B and the like"
        ) from None
    forms = any_of(f"{scheme}://" for scheme in SCHEMES)
    if parts.scheme in NOT_YET:
        kind = NOT_YET[parts.scheme]
        raise ValueError(f"{parts.scheme}:// is not there yet: {kind} cannot be a store so far; {forms} can")
    if "://" not in url:
        hint = "" if "@" in url or ":" in url else f", got {shown(url)}"
        raise ValueError(f"the URL of a store must begin with {forms}{hint}")
    scheme = _BY_NAME.get(parts.scheme)
    if scheme is None:
        raise ValueError(
            f"the URL of a store must begin with {forms}, got '{parts.scheme}://'{did_you_mean(parts.scheme, SCHEMES)}"
        )
    if parts.fragment or "#" in url or "@" in parts.path or ("@" in parts.query and "@" not in parts.netloc):
        raise ValueError(
            "the URL of a store has a '#', '/' or '?' where none can be; in a name or a password write them %23, %2F, %3F"
        )
    return parts, scheme


def _place(parts: SplitResult, scheme: Scheme) -> Settings:
    if scheme == "unix":
        if parts.netloc.rpartition("@")[2] or len(parts.path) < 2:
            raise ValueError("a unix:// URL must name the path of a socket, such as unix:///run/redis/redis.sock")
        return {"path": unquote(parts.path)}
    try:
        port = parts.port
    except ValueError:
        before, _, place = parts.netloc.rpartition("@")
        port_text = place.rpartition(":")[2]
        safe = before or re.fullmatch("[0-9]{1,5}", port_text)  # else it may be a password whose @host was forgotten
        hint = f", got {shown(port_text)}" if safe else "; a password must be followed by @host"
        raise ValueError(f"the port of a store must be a number from 1 to 65535{hint}") from None
    if port == 0:
        raise ValueError("the port of a store must be a number from 1 to 65535, got '0'")
    host = unquote(parts.hostname or "localhost")
    if "," in host or re.search(r"\s", host):
        raise ValueError(f"the URL of a store must name one host, got {shown(host)}")
    return {"host": host, "port": port or 6379}


def _who(parts: SplitResult) -> Settings:
    who = {"username": parts.username, "password": parts.password}
    return {name: unquote(text) for name, text in who.items() if text}


def _db(parts: SplitResult, scheme: Scheme, option: str | None) -> int:
    path = "" if scheme == "unix" else unquote(parts.path).strip("/")
    if path and option is not None and path != option:
        raise ValueError(f"the URL of a store names two databases: {shown(path)} and {shown(option)}")
    text = option if option is not None else path or "0"
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > _LARGEST_DB:
        raise ValueError(f"the database of a store must be a number such as 0, got {shown(text)}")
    return int(text)


def _options(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ValueError("the options of a store's URL must be written ?name=value&name=value") from None
    options: dict[str, str] = {}
    for name, text in pairs:
        if name in _OURS:
            raise ValueError(f"a store has no option '{name}': {_OURS[name]}")
        if name not in _READERS and name not in {"timeout", "prefix"}:
            guess = did_you_mean(name, ("timeout", "prefix", *_READERS))
            raise ValueError(f"a store has no option {shown(name)}{guess}")
        if name in options:
            raise ValueError(f"the option '{name}' of a store is written twice")
        options[name] = text
    return options


def _timeout_us(value: object) -> int:
    try:
        timeout_us = parse_duration_us(str(value) if isinstance(value, str) else value)
    except ValueError as wrong:
        raise ValueError(f"timeout {wrong}") from None
    if not _SHORTEST_US <= timeout_us <= _LONGEST_US:
        shortest, longest = show_duration(_SHORTEST_US), show_duration(_LONGEST_US)
        raise ValueError(f"timeout must be from {shortest} to {longest}, got {shown(value)}")
    return timeout_us


def _checked_prefix(prefix: object) -> str:
    if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
        raise ValueError(
            f"prefix must be 1 to 128 characters without braces and white space, such as guardrail, got {shown(prefix)}"
        )
    return str(prefix)


def _read(name: str, text: str) -> str | int | bool:
    try:
        return _READERS[name](text)
    except ValueError as wrong:
        value = "" if "password" in name else f", got {shown(text)}"
        raise ValueError(f"the option '{name}' of a store {wrong}{value}") from None


def _text(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


def _bool(text: str) -> bool:
    if text.lower() not in _BOOLS:
        raise ValueError("must be true or false")
    return _BOOLS[text.lower()]


def _verification(text: str) -> str:
    if text not in {"none", "optional", "required"}:
        raise ValueError("must be none, optional or required")
    return text


def _tls_version(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("must be 771 for TLS 1.2, or 772 for TLS 1.3") from None


_READERS: dict[str, Callable[[str], str | int | bool]] = {
    "db": _text,  # looked at together with the path
    "username": _text,
    "password": _text,
    "client_name": _text,
    "socket_keepalive": _bool,
    "ssl_keyfile": _text,
    "ssl_certfile": _text,
    "ssl_password": _text,
    "ssl_cert_reqs": _verification,
    "ssl_ca_certs": _text,
    "ssl_ca_path": _text,
    "ssl_ca_data": _text,
    "ssl_check_hostname": _bool,
    "ssl_min_version": _tls_version,
    "ssl_ciphers": _text,
}


def _as_shown(scheme: Scheme, settings: Mapping[str, str | int | bool]) -> str:
    if scheme == "unix":
        return f"unix://{settings['path']}?db={settings['db']}"
    host = str(settings["host"])
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings['port']}/{settings['db']}"
