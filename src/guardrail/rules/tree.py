"""Plain values, and where each of them stands.

Law: every value that was written can be pointed at by its path, such as `("rules", 2, "burst")`; what was left out is
pointed at by what it should have stood in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from guardrail.errors import Problem
from guardrail.rules.model import MODELS
from guardrail.rules.scalars import is_nothing
from guardrail.rules.spelling import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardrail.rules.page import Page

Path = tuple[str | int, ...]
_FIELDS = {field.alias or name for model in MODELS.values() for name, field in model.model_fields.items()}
_NAMES: Final = frozenset[str | int]({"version", "defaults", "rules", *MODELS, *_FIELDS})
MOST_PROBLEMS = 1_000  # in one file, or in all; then nobody reads on


class Unreadable:
    """Stand for a value whose mistake is already reported."""

    __slots__ = ()


UNREADABLE: Final = Unreadable()


class Mark(Protocol):
    """Hold a place in a file, counted from 0."""

    @property
    def line(self) -> int: ...

    @property
    def column(self) -> int: ...


class Place(NamedTuple):
    """Hold where a key and its value begin."""

    key: Mark
    value: Mark


class Origin(Protocol):
    """Hold what rules are made of, and say where in it a mistake is."""

    root: Any
    problems: list[Problem]
    complete: bool

    def report(self, path: Path, message: str, *, at_key: bool = False) -> None: ...

    def where(self, path: Path) -> str: ...


class Tree:
    """Hold the values of one file.

    Attributes:
        complete: The file could be read to its end.
        places: For each mapping and list, by its id, where what it holds stands.
        held: The mappings and lists; while they live, so do their ids.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.root: Any = None
        self.start: Mark | None = None
        self.complete = True
        self.problems: list[Problem] = []
        self.places: dict[int, dict[str | int, Place]] = {}
        self.held: list[Any] = []

    def add(self, message: str, line: int, column: int) -> None:
        """Report a mistake that has a place but no path."""
        if len(self.problems) <= MOST_PROBLEMS:
            self.problems.append(self.page.problem(message, line, column))

    def report(self, path: Path, message: str, *, at_key: bool = False) -> None:
        """Point at the value at *path*, or at its key; where it is not there, at the innermost of its surroundings."""
        mark = self._mark(path, at_key)
        self.add(message, mark.line if mark else 0, mark.column if mark else 0)

    def where(self, path: Path) -> str:
        """Name a place as `file:line`."""
        mark = self._mark(path, at_key=False)
        return f"{self.page.name}:{mark.line + 1 if mark else 1}"

    def _mark(self, path: Path, at_key: bool) -> Mark | None:
        value, mark = self.root, self.start
        for number, step in enumerate(path, start=1):
            place = self.places.get(id(value), {}).get(step)
            if place is None:
                break
            value = value[step]
            mark = place.key if is_nothing(value) or (at_key and number == len(path)) else place.value
        return mark


class Literal:
    """Hold the values a program passed; a mistake is named by its path, such as `rules[2].burst`."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.complete = True
        self.problems: list[Problem] = []

    def report(self, path: Path, message: str, *, at_key: bool = False) -> None:
        """Add a mistake, its path in front."""
        self.problems.append(Problem(f"{self.where(path)}: {message}" if path else message))

    def where(self, path: Path) -> str:
        """Name a place as one would in code."""
        return name_path(path)


def name_path(path: Sequence[str | int]) -> str:
    """Write a path as one would in code: `rules[2].burst`; what somebody made up is quoted: `rules[2].when['plan']`."""
    return "".join(_step(step) for step in path).lstrip(".")


def _step(step: str | int) -> str:
    if step in _NAMES:
        return f".{step}"
    return f"[{shown(step)}]"
