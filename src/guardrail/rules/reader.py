"""YAML text -> plain values that know where they stand.

Law: any text gives values or problems, never another exception, in time and memory bounded by its size. The tree is
built from parser events on a stack of our own, so that size, depth and all that YAML can do beyond plain data are
judged before they cost anything. Nothing is constructed: a scalar is text or a whole number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from yaml import events

from guardrail.rules.expand import Expansion
from guardrail.rules.scalars import Bare, read_plain, read_variable
from guardrail.rules.spelling import in_quotes, shown
from guardrail.rules.syntax import explain, quote_it
from guardrail.rules.tree import UNREADABLE, Place, Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from guardrail.rules.page import Page

MOST_NODES = 200_000
MOST_LEVELS = 20
_MOST_REPAIRS = 20
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(page: Page, environ: Mapping[str, str]) -> Tree:
    """Read one file. What is no plain data in it is among the tree's problems, and `UNREADABLE` in its values."""
    text, repaired = page.text, set[int]()
    while True:
        reading = _Reading(page, repaired, environ)
        try:
            reading.build(yaml.parse(text, Loader=_Loader))
        except (yaml.YAMLError, ValueError, OverflowError) as wrong:
            problem = explain(wrong, text)
            if problem.special and len(repaired) < _MOST_REPAIRS:
                # An unquoted *.orders stops the parser; put a letter there and read on for the other mistakes.
                repaired.add(problem.offset)
                text = f"{text[: problem.offset]}x{text[problem.offset + 1 :]}"
                continue
            reading.tree.add(problem.message, problem.line, problem.column)
            reading.abandon()
        return reading.tree


class _Open:
    """Hold a mapping or list whose end has not come."""

    __slots__ = ("awaits_key", "key", "key_mark", "places", "values")

    def __init__(self, values: dict[str, Any] | list[Any], places: dict[str | int, Place]) -> None:
        self.values = values
        self.places = places
        self.awaits_key = isinstance(values, dict)
        self.key: str | None = None
        self.key_mark: Any = None

    @property
    def is_nowhere(self) -> bool:
        """Tell whether what comes belongs to a key that was refused."""
        return isinstance(self.values, dict) and not self.awaits_key and self.key is None


class _Reading:
    """Build the tree of one text from parser events."""

    def __init__(self, page: Page, repaired: set[int], environ: Mapping[str, str]) -> None:
        self.tree = Tree(page)
        self.repaired = repaired
        self.expansion = Expansion(environ)
        self.open: list[_Open] = []
        self.plain: dict[str, str | int] = {}

    def build(self, stream: Iterable[events.Event]) -> None:
        nodes = documents = 0
        for event in stream:
            kind = type(event)
            if kind is events.ScalarEvent:
                self._put(self._scalar(event), event)
            elif kind is events.MappingStartEvent or kind is events.SequenceStartEvent:
                self._begin(event, {} if kind is events.MappingStartEvent else [])
            elif kind is events.MappingEndEvent or kind is events.SequenceEndEvent:
                self.open.pop()
                continue
            elif kind is events.AliasEvent:
                self._put(self._alias(event), event)
            elif kind is events.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    return self._report(event, "one file holds one document; put the other one into a file of its own")
                continue
            else:
                continue
            nodes += 1
            if nodes > MOST_NODES or len(self.open) > MOST_LEVELS:
                self.tree.root = UNREADABLE
                what = f"{MOST_NODES:,} values" if nodes > MOST_NODES else f"{MOST_LEVELS} levels"
                return self._report(event, f"the file has more than {what}; make it smaller")
        return None

    def abandon(self) -> None:
        """Drop the rule in which the text broke off, so that those before it are still judged."""
        self.tree.complete = False
        if not self.open:
            self.tree.root = UNREADABLE
        elif len(self.open) > 1 and isinstance(rules := self.open[1].values, list) and rules:
            rules.pop()

    def _report(self, event: Any, message: str) -> None:
        self.tree.add(message, event.start_mark.line, event.start_mark.column)

    def _begin(self, event: Any, values: dict[str, Any] | list[Any]) -> None:
        if event.tag is not None:
            self._report(event, f"tags are not used here; leave out {in_quotes(_short(event.tag))}")
        self._put(values, event)
        places: dict[str | int, Place] = {}
        self.tree.places[id(values)] = places
        self.tree.held.append(values)
        self.open.append(_Open(values, places))

    def _put(self, value: Any, event: Any) -> None:
        """Give *value* its place in whatever is open."""
        if not self.open:
            self.tree.root, self.tree.start = value, event.start_mark
            return
        parent = self.open[-1]
        if parent.awaits_key:
            parent.key, parent.key_mark, parent.awaits_key = self._key(parent, value, event), event.start_mark, False
            return
        mark = event.start_mark
        if isinstance(parent.values, list):
            parent.places[len(parent.values)] = Place(mark, mark)
            parent.values.append(value)
            return
        parent.awaits_key = True
        if parent.key is not None:
            parent.places[parent.key] = Place(parent.key_mark, mark)
            parent.values[parent.key] = value

    def _key(self, parent: _Open, value: Any, event: Any) -> str | None:
        """Return a mapping's next key; None where there can be none of this kind."""
        if value is UNREADABLE:
            return None
        wrong = self._wrong_key(parent, event)
        if wrong is not None:
            self._report(event, wrong)
            return None
        text: str = event.value
        return Bare(text) if event.implicit[0] and isinstance(self._plain(text), Bare) else text

    def _wrong_key(self, parent: _Open, event: Any) -> str | None:
        if type(event) is not events.ScalarEvent:
            return "a key is plain text, not a mapping or a list"
        if event.implicit[0] and event.value == "<<":
            return "'<<' merges nothing here; write the fields out, or put them under defaults"
        first = parent.places.get(event.value)
        if first is not None:
            return f"duplicate key {shown(event.value)}; the first is on line {first.key.line + 1}"
        if "${" in event.value:
            return f"variables are filled into values, not into keys: {shown(event.value)}"
        return None

    def _alias(self, event: Any) -> Any:
        if not (self.open and self.open[-1].is_nowhere):
            self._report(event, quote_it(self.tree.page.text, event.start_mark.index))
        return UNREADABLE

    def _scalar(self, event: Any) -> Any:
        text, plain = event.value, event.implicit[0]
        if event.tag is not None:
            tag = _short(event.tag)
            whole = f"{tag}{' ' * bool(text)}{_short(text)}"
            self._report(event, f"text that begins with '!' is quoted: {in_quotes(whole)}")
            return UNREADABLE
        if self.repaired and event.start_mark.index in self.repaired:
            self._report(event, quote_it(self.tree.page.text, event.start_mark.index))
            return UNREADABLE
        if "$" in text and not (self.open and self.open[-1].awaits_key):
            return self._expanded(text, event)
        return self._plain(text) if plain else text

    def _plain(self, text: str) -> str | int:
        value = self.plain.get(text)
        if value is None:
            value = self.plain[text] = read_plain(text)
        return value

    def _expanded(self, text: str, event: Any) -> Any:
        try:
            return read_variable(self.expansion.expand(text)) if "${" in text else self.expansion.expand(text)
        except ValueError as wrong:
            self._report(event, str(wrong))
            return UNREADABLE


def _short(text: str) -> str:
    text = text.replace("tag:yaml.org,2002:", "!!")
    return text if len(text) <= 60 else f"{text[:60]}..."
