"""All rules that hold at one time, and which of them apply to a resource.

Law: a rule set never changes. The same rules in the same order have the same revision, however they were laid out; a
look-up costs what the resource costs, however many rules there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, Final

from guardrail.errors import Problem, RuleError
from guardrail.rules.folder import read_files
from guardrail.rules.gather import rules_of_files, rules_of_values
from guardrail.rules.match import Index

if TYPE_CHECKING:
    from os import PathLike

    from guardrail.rules.model import Rule

_REVISION_LENGTH = 12


class RuleSet:
    """Hold rules in the order of their files. Safe to share between threads.

    Attributes:
        source: The path it was loaded from, if any.
    """

    EMPTY: ClassVar[RuleSet]

    def __init__(self, rules: Iterable[Rule] = (), source: str | None = None) -> None:
        self.rules: Final = tuple(rules)
        self.source: Final = source
        self._by_name: Final = {rule.name: rule for rule in self.rules}
        texts = ((text, number) for number, rule in enumerate(self.rules) for text in rule.resource)
        self._index: Final = Index(texts)
        self._except: Final = {
            number: Index((text, 0) for text in rule.except_) for number, rule in enumerate(self.rules) if rule.except_
        }

    @classmethod
    def load(cls, path: str | PathLike[str]) -> RuleSet:
        """Read a rule file, or all of a folder.

        Raises:
            RuleError: Everything that is wrong with the rules, or why they cannot be read.
        """
        source = str(path)
        try:
            files = read_files(source)
        except OSError as wrong:
            raise RuleError([Problem(f"cannot be read: {wrong.strerror or wrong}", source)]) from wrong
        return cls.of_files(files, source)

    @classmethod
    def of_files(cls, files: Mapping[str, bytes | str], source: str | None = None) -> RuleSet:
        """Read rules from the contents of files, by the names that messages shall give them.

        Raises:
            RuleError: Everything that is wrong with the rules.
        """
        if not files:
            raise RuleError([Problem("there are no rule files (*.yaml, *.yml)", source)])
        return cls(rules_of_files(files), source)

    @classmethod
    def parse(cls, content: str | bytes | Mapping[str, Any] | Sequence[Any]) -> RuleSet:
        """Read rules from text, from a document as plain values, or from a list of rules.

        Raises:
            RuleError: Everything that is wrong with the rules.
        """
        if isinstance(content, str | bytes):
            return cls(rules_of_files({"<text>": content}))
        return cls(rules_of_values(content))

    @cached_property
    def revision(self) -> str:
        """Twelve hexadecimal digits that stand for the content."""
        content = sha256()
        for rule in self.rules:
            content.update(_canonical(rule).encode())
        return content.hexdigest()[:_REVISION_LENGTH]

    def match(self, resource: str) -> tuple[Rule, ...]:
        """Return the rules that apply to *resource*, in their order; whether `when` holds is not asked here."""
        rules = self.rules
        found = sorted(self._index.find(resource))
        if self._except:
            found = [number for number in found if not self._is_excepted(number, resource)]
        return tuple([rules[number] for number in found])

    def get(self, name: str) -> Rule | None:
        """Return the rule with this name."""
        return self._by_name.get(name)

    def _is_excepted(self, number: int, resource: str) -> bool:
        excepted = self._except.get(number)
        return excepted is not None and bool(excepted.find(resource))

    def __len__(self) -> int:
        return len(self.rules)

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)

    def __repr__(self) -> str:
        return f"RuleSet({len(self.rules)} rules, revision={self.revision!r}, source={self.source!r})"


def _canonical(rule: Rule) -> str:
    """Write down all that a rule says; what it leaves to built-in defaults goes without saying."""
    said = sorted((name, _ordered(getattr(rule, name))) for name in rule.model_fields_set)
    return repr((rule.kind, sorted(rule.written), said))


def _ordered(value: Any) -> str:
    return repr(sorted(value.items()) if isinstance(value, dict) else value)


RuleSet.EMPTY = RuleSet()
