"""One call, and the keys under which rules count it.

Law: two calls share a state exactly when the values of the rule's `key:` are equal. Long values are kept as a digest with
a secret of this process, so that no value can be made up that lands in somebody else's state. A value without a text of
its own is missing: its address would be another key at every call, which no limit ever stops.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import AsyncGeneratorType, BuiltinFunctionType, CoroutineType, FunctionType, GeneratorType, MethodType
from typing import Any, NamedTuple

Get = Callable[[str], object]
KeyParts = tuple[tuple[str, ...], ...]

_SECRET = os.urandom(16)
DIGEST = "\0"  # begins what stands for a longer key
LONGEST_KEY = 128  # characters; what is longer is kept as a digest, so that a key costs bounded memory
WARNINGS = 256  # that are remembered, so that each is given once
_ROUTINES = frozenset([AsyncGeneratorType, BuiltinFunctionType, CoroutineType, FunctionType, GeneratorType, MethodType])


@dataclass(frozen=True, slots=True)
class Call:
    """Hold what rules may look at.

    Attributes:
        get: Looks up an attribute by its name; None where it is missing.
        cost: Tokens the call takes from limits that do not say otherwise.
        max_wait_us: The longest time that all waits together may take; None leaves it to the rules.
    """

    resource: str
    get: Get
    cost: int = 1
    max_wait_us: int | None = None


class KeyReader(NamedTuple):
    """Read a rule's key from the arguments of a call.

    Attributes:
        position: Where a key that is one plain argument stands, as text or a number; None: only `read` finds it.
        read: Finds it in every case.
    """

    position: int | None
    read: Callable[[tuple[Any, ...], dict[str, Any]], str]


def text_of(value: object, name: str = "") -> str:
    """Write an attribute's value as text. A missing one is the empty string, and so is one without a text of its own.

    Args:
        name: The attribute, for the log.
    """
    if type(value) is str:
        return value
    if value is None:
        return ""
    try:
        if _has_text(value):
            return str(value)
    except Exception as error:  # noqa: BLE001  objects of a service raise what they like; no call fails for its key
        if issubclass(type(value), int):  # of more digits than Python writes
            return f"{value:x}"
        _warn_once(name, type(value).__qualname__, f"cannot be written as text ({type(error).__name__})")
    else:
        _warn_once(name, value.__class__.__qualname__, "has no text of its own")
    return ""


def _has_text(value: object) -> bool:
    kind, behind = type(value), value.__class__  # a proxy is written as what is behind it
    return _is_written(kind) and (behind is kind or _is_written(behind))


def _is_written(kind: Any) -> bool:
    if kind.__str__ is not object.__str__:
        return True
    return kind.__repr__ is not object.__repr__ and kind not in _ROUTINES


@lru_cache(WARNINGS)
def _warn_once(name: str, kind: str, why: str) -> None:
    from logging import getLogger  # only such a value needs it

    getLogger("guardrail.keys").warning(
        "%s is of type %s, which %s, so it counts as missing; name a part of it, such as %s",
        f"attribute {name!r}" if name else "an attribute",
        kind,
        why,
        f"{name or 'user'}.id",
    )


def key_of(parts: KeyParts, get: Get) -> str:
    """Encode the values of a rule's `key:` as one string, which names a state of this process."""
    return bounded(subject_of(parts, get))


def subject_of(parts: KeyParts, get: Get) -> str:
    """Encode the values of a rule's `key:` as one string, however long."""
    if len(parts) == 1:
        return _value(parts[0], get)
    return joined([_value(part, get) for part in parts])


def values_of(parts: KeyParts, get: Get) -> str | tuple[str, ...]:
    """Return the values of a rule's `key:` as people know them: one text, or a tuple for a composite key."""
    values = tuple(_value(part, get) for part in parts)
    return values if len(values) > 1 else "".join(values)


def subjects_for(parts: KeyParts, values: Sequence[object]) -> list[str]:
    """Encode values given by hand, as `Guard.reset` takes them: one key, or one for each alternative name.

    Raises:
        ValueError: There are more or fewer values than the rule's key has parts.
    """
    if len(values) != len(parts):
        raise ValueError(f"the key has {len(parts)} parts, got {len(values)} values")
    combinations: list[list[str]] = [[]]
    for part, value in zip(parts, values, strict=True):
        named = [(name, text_of(one, name)) for name, one in meant_by(part, value)]
        texts = [_tagged(name, text) if len(part) > 1 else text for name, text in named]
        combinations = [[*before, text] for before in combinations for text in texts]
    return [row[0] if len(parts) == 1 else joined(row) for row in combinations]


def meant_by(part: tuple[str, ...], value: object) -> list[tuple[str, object]]:
    """Return the names for which a value given by hand may stand, each with its value.

    Where a part of a key has alternatives, a value may say which one it is for: `client.ip=203.0.113.9`.
    """
    if len(part) > 1 and isinstance(value, str):
        for name in part:
            if value.startswith(f"{name}="):
                return [(name, value[len(name) + 1 :])]
    return [(name, value) for name in part]


def as_text(subject: str, parts: int) -> str:
    """Write a subject as people read it: the values of a composite one with commas between them."""
    if subject.startswith(DIGEST):
        return f"a long key, {subject[len(DIGEST) :]}"
    values: list[str] = []
    rest = subject
    while parts > 1 and rest:
        length, colon, rest = rest.partition(":")
        if not (colon and length.isdecimal()):  # the rule's key had fewer parts when it was counted
            return subject
        values.append(rest[: int(length)])
        rest = rest[int(length) :]
    return ", ".join(values) or subject


def joined(values: Sequence[str]) -> str:
    """Join values so that no two different lists give the same text (netstrings without the comma)."""
    return "".join(f"{len(value)}:{value}" for value in values)


def bounded(key: str) -> str:
    """Return *key*, or its digest where it is long."""
    return key if len(key) <= LONGEST_KEY else DIGEST + _digest(key, 16, _SECRET).hex()


def falls_within(share_numerator: int, share_denominator: int, rule: str, key: str) -> bool:
    """Tell whether *key* is among the share of keys for which a partly enforced rule is enforced."""
    place = int.from_bytes(_digest(joined([rule, key]), 8), "big")
    return place * share_denominator < share_numerator << 64


def _value(alternatives: tuple[str, ...], get: Get) -> str:
    if len(alternatives) == 1:
        return text_of(get(alternatives[0]), alternatives[0])
    for name in alternatives:
        if tagged := _tagged(name, text_of(get(name), name)):
            return tagged
    return ""


def _tagged(name: str, text: str) -> str:
    return f"{name}={text}" if text else ""


def _digest(text: str, size: int, secret: bytes = b"") -> bytes:
    from hashlib import blake2b  # loads OpenSSL; few calls need it

    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size, key=secret).digest()
