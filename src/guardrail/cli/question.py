"""What `guardrail explain` is asked: one call, as it is typed.

Law: whatever is typed becomes a call or a sentence that says how to type it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Question:
    """Hold the call to explain."""

    resource: str
    attributes: Mapping[str, str]
    cost: int = 1

    @classmethod
    def of(cls, words: Sequence[str], attributes: Sequence[str], cost: int) -> Question:
        """Read the call.

        Args:
            words: The resource; two words where `GET /v1/orders` was not quoted.
            attributes: `name=value`, each.

        Raises:
            typer.BadParameter: It is not typed as it should be.
        """
        return cls(_resource(words), _attributes(attributes), cost)

    def attribute(self, name: str) -> str | None:
        """Look up an attribute of the call."""
        return self.resource if name == "resource" else self.attributes.get(name)


def _resource(words: Sequence[str]) -> str:
    from guardrail.rules.readers import read_text

    if len(words) == 2 and (words[0].isupper() or words[0] in {"client", "*"}):
        words = [" ".join(words)]  # the shell took it apart
    if len(words) > 1:
        listed = ", ".join(map(repr, words))
        raise typer.BadParameter(
            f"one resource at a time, got {listed}; quote one that has spaces, and name the folder of several rule files",
            param_hint="RESOURCE",
        )
    try:
        return read_text(words[0])
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong), param_hint="RESOURCE") from None


def _attributes(texts: Sequence[str]) -> dict[str, str]:
    from guardrail.rules.readers import read_attribute

    found = dict[str, str]()
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise _wrong_attribute(f"must be name=value, such as user=u1, got {text!r}")
        try:
            read_attribute(name)
        except ValueError as wrong:
            raise _wrong_attribute(f"{wrong} in {text!r}") from None
        if name == "resource":
            raise _wrong_attribute("resource is always there: it is RESOURCE itself")
        if name in found:
            raise _wrong_attribute(f"{name} is given twice: {found[name]!r} and {value!r}")
        found[name] = value
    return found


def _wrong_attribute(sentence: str) -> typer.BadParameter:
    return typer.BadParameter(sentence, param_hint="--attr")
