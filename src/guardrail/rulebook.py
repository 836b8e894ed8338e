"""Rulebook: the rules a guard goes by, and how they change while it runs.

Law: a change of rules is checked whole before anything moves; then states are carried over and one reference is swapped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeAlias

from guardrail.admission.in_force import Effective, in_force, taken_over
from guardrail.admission.plan import Plan
from guardrail.admission.stock import Stock
from guardrail.decorators.face import Decorators
from guardrail.errors import Problem, RuleError
from guardrail.telemetry.entry import outline_of
from guardrail.telemetry.events import RulesRejected, RulesReloaded
from guardrail.telemetry.snapshot import ReloadSnapshot

if TYPE_CHECKING:
    from guardrail.admission.gate import Gate
    from guardrail.admission.host import Host
    from guardrail.admission.ledger import Ledger
    from guardrail.rules.model import Rule
    from guardrail.rules.ruleset import RuleSet
    from guardrail.sources.live import Live
    from guardrail.stores.protocol import Store

MODES = ("enforce", "shadow", "off")
MOST_PLANS = 10_000  # resources whose plans are kept; beyond that they are made anew

RuleSource: TypeAlias = "str | os.PathLike[str] | RuleSet | Sequence[Mapping[str, Any]] | Mapping[str, Any]"


class InForce:
    """Hold one revision of the rules, and the plans made for it: the epoch of every decorated function's plan."""

    __slots__ = ("named", "plans", "rules")

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules
        self.plans: dict[str, Plan] = {}
        self.named: Mapping[str, Effective] | None = None


class Rulebook(Decorators):
    """Hold the rules in force, follow their source, and answer for them to decorated functions and breakers.

    Args:
        rules: A path, which is followed, or the rules themselves.
        overrides: Rates from elsewhere, by the names of rules.
    """

    def __init__(
        self,
        host: Host,
        ledger: Ledger,
        rules: RuleSource | None,
        overrides: Mapping[str, Callable[[Any], object]],
        mode: str,
        store: Store | None,
    ) -> None:
        super().__init__(host)
        self._mode = checked_mode(mode)
        self.ledger = ledger
        self._stock = Stock(ledger, overrides, store)
        self._swapping = RLock()  # a finalizer or a signal handler may call the guard in the middle of this
        self._live: Live[RuleSet] | None = None
        self._reloads = self._failures = 0
        self._wrong: str | None = None
        self._swap(self._first(rules))
        self._in_force_at = ledger.clock.now_us()
        self.take_seat()
        if self._live is not None:
            self._live.start()

    @property
    def rules(self) -> RuleSet:
        """The rules of the files, as they are in force."""
        return self._in_force.rules

    @property
    def mode(self) -> str:
        """`enforce`, `shadow` or `off`; may be set while the service runs."""
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        self._mode = checked_mode(mode)
        with self._swapping:
            self._renew(self._in_force.rules)

    def reload(self) -> RuleSet:
        """Read the rule files now, and return the rules in force.

        Raises:
            RuleError: They cannot be read or used. Everything stays as it was.
        """
        if self._live is not None:
            with readable(self._in_force.rules.source):
                self._live.reload()
        return self._in_force.rules

    def apply(self, rules: RuleSource) -> RuleSet:
        """Check other rules and put them in force, as a reload does. A later change of the files replaces them.

        Raises:
            RuleError: They cannot be used. Everything stays as it was.
        """
        parsed = parsed_rules(rules)
        if self._live is None:
            previous = self._in_force.rules
            self._swap(parsed)
            self._reloaded(parsed, previous)
        else:
            self._live.apply(parsed)
        return parsed

    # ---- what decorated functions and breakers ask

    def take_seat(self) -> None:
        """Be the guard of the host's functions from now on.

        Raises:
            RuleError: A file contradicts what the code says by now. Functions it says it of raise the same when called.
        """
        with self._swapping:
            with self._host.seating:
                self._host.desk = self
            self._renew(self._in_force.rules)
            self._carry_over(self._in_force.rules)
        self.ledger.tell()

    def gates_for(self, resource: str, names: Sequence[str] | None) -> tuple[object, tuple[Gate, ...]]:
        """Return the gates of a resource, and the revision they belong to.

        Args:
            names: The rules in code that count here; None: all there are for the resource.
        """
        with self._swapping:
            current = self._in_force
            inline = self._host.inline.of(resource, names)
            rules = [] if self._mode == "off" else in_force(resource, current.rules, inline, self._host.inline)
            gates = self._stock.gates(resource, rules, watch_only=self._mode == "shadow")
        self.ledger.tell()
        return current, gates

    def check_rule(self, rule: Rule) -> None:
        """Check a rule in code against the files.

        Raises:
            RuleError: A file contradicts it.
        """
        taken_over(rule, self._in_force.rules)

    def rule_changed(self, rule: Rule) -> None:
        """Put a rule in code in force that is new, or other than before."""
        with self._swapping:
            changed = taken_over(rule, self._in_force.rules).rule
            self._stock.carry_over({rule.name: changed}, forget=False)
            self._renew(self._in_force.rules)
        self.ledger.tell()

    def named(self) -> Mapping[str, Effective]:
        """Return every rule in force by its name."""
        current = self._in_force
        if current.named is None:
            current.named = {one.rule.name: one for one in self._everything(current.rules)}
        return current.named

    def after_fork(self) -> None:
        """Start again in a forked child, with the rules as they are."""
        self._swapping = RLock()
        self._host.seating = RLock()
        self.ledger.after_fork()
        if self._stock.store is not None:
            self._stock.store.after_fork()
        self._renew(self._in_force.rules)
        if self._live is not None:
            self._live.after_fork()

    # ---- how rules come into force

    def _first(self, rules: RuleSource | None) -> RuleSet:
        if isinstance(rules, str | os.PathLike) and not is_text(rules):
            from guardrail.sources.file import FileSource
            from guardrail.sources.live import Live

            path = os.fspath(rules)
            self._live = Live(
                FileSource(path),
                lambda files: parsed_files(files, path),
                self._swap,
                self._rejected,
                after_change=self._reloaded,
            )
            with readable(path):
                return self._live.load()
        return parsed_rules(() if rules is None else rules)

    def _swap(self, rules: RuleSet) -> None:
        with self._swapping:
            self._carry_over(rules)
            self._renew(rules)
        self.ledger.tell()

    def _carry_over(self, rules: RuleSet) -> None:
        everything = self._everything(rules)
        self._stock.carry_over({one.state_name: one.rule for one in everything}, forget=True)

    def _renew(self, rules: RuleSet) -> None:
        self._in_force = InForce(rules)
        with self._host.seating:
            if self._host.desk is self:
                self._host.epoch = self._in_force

    def _everything(self, rules: RuleSet) -> list[Effective]:
        inline = self._host.inline
        found = {one.state_name: one for name in inline for one in in_force(name, rules, inline.of(name), inline)}
        names = {one.rule.name for one in found.values()}
        return [*found.values(), *(Effective(rule, rule.name) for rule in rules if rule.name not in names)]

    def _reloaded(self, rules: RuleSet, previous: RuleSet) -> None:
        self._reloads += 1
        self._in_force_at, self._wrong = self.ledger.clock.now_us(), None
        self.ledger.announce(RulesReloaded(rules.source, rules.revision, previous.revision))

    def _reload_snapshot(self) -> ReloadSnapshot:
        """Show how the rules came into force."""
        rules = self._in_force.rules
        at = self._in_force_at / 1_000_000
        return ReloadSnapshot(rules.source, rules.revision, at, self._reloads, self._failures, self._wrong)

    def _rejected(self, error: Exception) -> None:
        self._failures += 1
        self._wrong = "\n".join(outline_of(error))
        self.ledger.announce(RulesRejected(self._in_force.rules.source, error))

    def _plan(self, resource: object) -> Plan:
        if not isinstance(resource, str):
            raise TypeError(f"a resource is a name, such as 'orders.create', got {resource!r}")
        current = self._in_force
        plan = current.plans.get(resource)
        if plan is None:
            epoch, gates = self.gates_for(resource, None)
            plan = Plan(resource, gates, self.ledger)
            if epoch is current:
                if len(current.plans) >= MOST_PLANS:
                    current.plans.clear()
                current.plans[resource] = plan
        return plan


def is_text(rules: object) -> bool:
    """Tell the text of rules, which has more than one line, from a path."""
    return isinstance(rules, str) and "\n" in rules


def parsed_rules(rules: RuleSource) -> RuleSet:
    """Return *rules* as a RuleSet.

    Raises:
        RuleError: They cannot be used.
    """
    from guardrail.rules.ruleset import RuleSet

    if isinstance(rules, RuleSet):
        return rules
    if isinstance(rules, str | os.PathLike):
        return RuleSet.parse(str(rules)) if is_text(rules) else RuleSet.load(rules)
    return RuleSet.parse(rules if isinstance(rules, Mapping) else list(rules))


def parsed_files(files: Mapping[str, bytes], source: str) -> RuleSet:
    """Return the rules in the contents of files.

    Raises:
        RuleError: They cannot be used.
    """
    from guardrail.rules.ruleset import RuleSet

    return RuleSet.of_files(files, source)


@contextmanager
def readable(source: str | None) -> Iterator[None]:
    """Turn an OSError into the RuleError that names the source."""
    try:
        yield
    except OSError as error:
        raise RuleError([Problem(f"cannot be read: {error.strerror or error}", source)]) from error


def checked_mode(mode: str) -> str:
    """Return *mode*, or raise ValueError with what it can be."""
    if mode not in MODES:
        raise ValueError(f"mode must be enforce, shadow or off, got {mode!r} (GUARDRAIL_MODE overrides the argument)")
    return mode
