"""The setting GUARDRAIL of a Django project.

Law: whatever is wrong with it fails when Django starts, and is named with the word that stands in the settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django.utils.module_loading import import_string

from guardrail.adapters.http.options import HttpOptions, options_of
from guardrail.guard import Guard

SETTING = "GUARDRAIL"


def settings_of(given: object) -> tuple[Guard | None, HttpOptions]:
    """Return the guard of a project, None for the default one, and its options.

    Raises:
        ImportError: The guard is not where it is said to be.
        TypeError: The setting, or a part of it, is of a wrong kind or does not exist.
        ValueError: A part has a wrong value.
    """
    if given is not None and not isinstance(given, Mapping):
        hint = '; the options go into it, such as {"guard": "shop.guarding.guard"}'
        raise TypeError(f"{SETTING} must be a dict, got {given!r}{hint}")
    options = dict(cast("Mapping[str, Any]", given or {}))
    named = options.pop("guard", None)
    guard = _found(named) if isinstance(named, str) else named
    if guard is not None and not isinstance(guard, Guard):
        at = f" at {named!r}" if guard is not named else ""
        raise TypeError(f"{SETTING}: guard must be a Guard, or where one is found, got {guard!r}{at}")
    try:
        return guard, options_of(SETTING, options, guard=guard)
    except (TypeError, ValueError) as error:
        text = str(error)
        raise type(error)(text if text.startswith(SETTING) else f"{SETTING}: {text}") from error


def _found(place: str) -> object:
    try:
        return import_string(place)
    except ImportError as error:
        raise ImportError(
            f"{SETTING}: guard must be a Guard, or where one is found, such as 'shop.guarding.guard', got {place!r}: {error}"
        ) from error
