"""A rule by its name, and the key that somebody names with it by hand.

Law: what is wrong with a name or a key is said in words, before anything is looked at or forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from guardrail.admission.call import subjects_for
from guardrail.admission.stock import only_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardrail.admission.in_force import Effective


def rule_named(named: Mapping[str, Effective], rule: str) -> Effective:
    """Return the rule in force that has this name.

    Raises:
        KeyError: There is none.
    """
    found = named.get(rule)
    if found is None:
        from guardrail.rules.spelling import did_you_mean

        raise KeyError(f"no rule '{rule}'{did_you_mean(rule, named)}")
    return found


def subjects_of(found: Effective, key: object) -> list[str] | None:
    """Return the subjects that a key stands for; None: all of them.

    Raises:
        ValueError: The key has another number of parts, or the rule has none.
        TypeError: It is a mapping, a set or bytes.
    """
    if key is None:
        return None
    if not found.rule.key:
        raise ValueError(f"rule '{found.rule.name}' has no key, so there is one state: leave out {key!r}")
    return subjects_for(found.rule.key, _values(key))


def values_of_key(found: Effective, key: object) -> Sequence[object]:
    """Return the values of a key, one for each of its parts.

    Raises:
        ValueError: The key has another number of parts, is missing, or the rule has none.
        TypeError: It is a mapping, a set or bytes.
    """
    if subjects_of(found, key) is not None:
        return _values(key)
    if not found.rule.key:
        return ()
    if found.rule.kind == "breaker" and only_key(found.rule) is not None:
        return found.rule.resource
    raise ValueError(f"rule '{found.rule.name}' has a key: say which one to look at")


def _values(key: object) -> Sequence[object]:
    values = list(key) if isinstance(key, list | tuple) else [key]
    for value in values:
        if isinstance(value, bytes | bytearray | Mapping | AbstractSet):
            raise TypeError(f"a key is a value, or a list with one for each part, got a {type(value).__name__}")
    return values
