"""Guard: the face of it all. Holds the rules in force, their states and where the rules come from.

Law: a change of rules is checked whole before anything moves; then states are carried over and one reference is swapped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from guardrail.admission.ambient import getter
from guardrail.admission.breakers import Breakers
from guardrail.admission.call import Call, keys_for
from guardrail.admission.entry import Entry
from guardrail.admission.forks import follow_forks
from guardrail.admission.host import Host
from guardrail.admission.in_force import Effective, in_force, taken_over
from guardrail.admission.ledger import Ledger
from guardrail.admission.permit import Permit, aenter, checked_cost, enter, peek
from guardrail.admission.stock import Stock
from guardrail.clock import Advanceable, Clock, SystemClock
from guardrail.decorators.face import Decorators
from guardrail.errors import Problem, RuleError
from guardrail.telemetry.events import RulesRejected, RulesReloaded
from guardrail.telemetry.notify import notify

if TYPE_CHECKING:
    from types import TracebackType

    from guardrail.admission.gate import Gate
    from guardrail.core.verdict import Decision
    from guardrail.decorators.options import Duration
    from guardrail.rules.model import Rule
    from guardrail.rules.ruleset import RuleSet
    from guardrail.sources.live import Live
    from guardrail.telemetry.events import Listener

MODES = ("enforce", "shadow", "off")
MOST_PLANS = 10_000  # resources whose plans are kept; beyond that they are made anew

RuleSource: TypeAlias = "str | os.PathLike[str] | RuleSet | Sequence[Mapping[str, Any]] | Mapping[str, Any]"


class Snapshot:
    """Hold one revision of the rules, and the plans made for it: the epoch of every decorated function's plan."""

    __slots__ = ("named", "plans", "rules")

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules
        self.plans: dict[str, tuple[Gate, ...]] = {}
        self.named: Mapping[str, Effective] | None = None


class Guard(Decorators):
    """Decide which calls may go ahead, by rules in code and in files that are edited while it runs.

    Safe from any thread and task. A context manager, also with `async with`: leaving it ends the watch over the files.

    Args:
        rules: A file or folder (watched), a RuleSet, or a list of rule mappings. None: the path in GUARDRAIL_RULES, if set.
        store: Where state that several processes share is kept. None or `memory://`: in this process.
        clock: The source of time; default: the system's monotonic clock.
        listeners: Callables that receive events: refusals, breakers that move, reloads.
        overrides: Rates from elsewhere, by the names of rules: a callable over the key's value (a tuple for a composite
            key; `user=u1` where the key is `user|client.ip`) that returns a rate, or None for the rule's own. Asked at most
            once a minute for a key.
        mode: `enforce`, `shadow` (no rule refuses) or `off`. GUARDRAIL_MODE, where set, wins: a kill switch.
        max_keys: Most states that one limit keeps.

    Raises:
        RuleError: The rules cannot be used; all mistakes are listed.
        ValueError: Another argument is wrong.
    """

    def __init__(
        self,
        rules: RuleSource | None = None,
        *,
        store: str | None = None,
        clock: Clock | None = None,
        listeners: Sequence[Listener] = (),
        overrides: Mapping[str, Callable[[Any], object]] | None = None,
        mode: str = "enforce",
        max_keys: int = 250_000,
        host: Host | None = None,
    ) -> None:
        super().__init__(Host() if host is None else host)
        self._mode = checked_mode(os.environ.get("GUARDRAIL_MODE") or mode)
        check_store(os.environ.get("GUARDRAIL_STORE") if store is None else store)
        if max_keys < 1:
            raise ValueError(f"max_keys must be at least 1, got {max_keys}")
        self.ledger = Ledger(SystemClock() if clock is None else clock, max_keys, tuple(listeners))
        self._stock = Stock(self.ledger, overrides or {})
        self.breakers = Breakers(self._stock, self.named)
        self._swapping = Lock()
        self._live: Live[RuleSet] | None = None
        given = os.environ.get("GUARDRAIL_RULES") or None if rules is None else rules
        self._swap(self._first(given))
        self.take_seat()
        follow_forks(self)
        if isinstance(clock, Advanceable):
            clock.subscribe(self.ledger.expire_waiters)
        if self._live is not None:
            self._live.start()

    def enter(
        self,
        resource: str,
        attributes: Mapping[str, object] | None = None,
        *,
        cost: int = 1,
        max_wait: Duration | None = None,
    ) -> Entry:
        """Admit one call to *resource*, as `with` or `async with`.

        Waits as long as the rules' `max_wait` allows. Safe from any thread or task.

        Args:
            attributes: What the rules' `key:` and `when:` name, such as `{"user": "u1"}`.
            cost: Tokens this call takes from its limits. 0 takes none.
            max_wait: Caps the rules' own waits: seconds, or `"250ms"`; 0 never waits.

        Raises:
            Refused: On entering the block: a rule said no. `retry_after` is in seconds.
        """
        return Entry(self._gates(resource), self._call(resource, attributes, cost, max_wait), self.ledger)

    def try_enter(
        self,
        resource: str,
        attributes: Mapping[str, object] | None = None,
        *,
        cost: int = 1,
        max_wait: Duration | None = None,
    ) -> Permit:
        """Admit one call, as `enter` does, without raising Refused: the permit is false where a rule said no.

        A granted permit has to be ended by `permit.exit()`.
        """
        return enter(self._gates(resource), self._call(resource, attributes, cost, max_wait), self.ledger)

    async def atry_enter(
        self,
        resource: str,
        attributes: Mapping[str, object] | None = None,
        *,
        cost: int = 1,
        max_wait: Duration | None = None,
    ) -> Permit:
        """Admit one call from a task, as `try_enter` does from a thread."""
        return await aenter(self._gates(resource), self._call(resource, attributes, cost, max_wait), self.ledger)

    def peek(
        self,
        resource: str,
        attributes: Mapping[str, object] | None = None,
        *,
        cost: int = 1,
        max_wait: Duration | None = None,
    ) -> Decision:
        """Return the decision that such a call would get now. Consumes nothing and never waits."""
        return peek(self._gates(resource), self._call(resource, attributes, cost, max_wait), self.ledger)

    async def apeek(
        self,
        resource: str,
        attributes: Mapping[str, object] | None = None,
        *,
        cost: int = 1,
        max_wait: Duration | None = None,
    ) -> Decision:
        """Return what `peek` returns."""
        return self.peek(resource, attributes, cost=cost, max_wait=max_wait)

    def reset(self, rule: str, key: object = None) -> None:
        """Forget what a rule has counted: for one key (a list for a composite one), or for all.

        A breaker closes. A bulkhead has nothing to forget: the calls inside are inside.

        Raises:
            KeyError: There is no such rule.
            ValueError: The key has another number of parts, or the rule has none.
        """
        found = self.named().get(rule)
        if found is None:
            from guardrail.rules.spelling import did_you_mean

            raise KeyError(f"no rule '{rule}'{did_you_mean(rule, self.named())}")
        if key is not None and not found.rule.key:
            raise ValueError(f"rule '{rule}' has no key, so there is one state: leave out {key!r} to forget it")
        values = list(key) if isinstance(key, list | tuple) else [key]
        self._stock.forget(found, None if key is None else keys_for(found.rule.key, values))

    async def areset(self, rule: str, key: object = None) -> None:
        """Forget what `reset` forgets."""
        self.reset(rule, key)

    @property
    def rules(self) -> RuleSet:
        """The rules of the files, as they are in force."""
        return self._snapshot.rules

    @property
    def mode(self) -> str:
        """`enforce`, `shadow` or `off`; may be set while the service runs."""
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        self._mode = checked_mode(mode)
        with self._swapping:
            self._renew(self._snapshot.rules)

    def reload(self) -> RuleSet:
        """Read the rule files now, and return the rules in force.

        Raises:
            RuleError: They cannot be read or used. Everything stays as it was.
        """
        if self._live is not None:
            with readable(self._snapshot.rules.source):
                self._live.reload()
        return self._snapshot.rules

    def apply(self, rules: RuleSource) -> RuleSet:
        """Check other rules and put them in force, as a reload does. A later change of the files replaces them.

        Raises:
            RuleError: They cannot be used. Everything stays as it was.
        """
        parsed = parsed_rules(rules)
        if self._live is None:
            previous = self._snapshot.rules
            self._swap(parsed)
            self._reloaded(parsed, previous)
        else:
            self._live.apply(parsed)
        return parsed

    def close(self) -> None:
        """End the watch over the rule files. Calls are still decided, by the rules as they are."""
        if self._live is not None:
            self._live.stop()

    async def aclose(self) -> None:
        """End what `close` ends."""
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # ---- what decorated functions and breakers ask

    def take_seat(self) -> None:
        """Be the guard of the host's functions from now on.

        Raises:
            RuleError: A file contradicts what the code says by now. Functions it says it of raise the same when called.
        """
        with self._swapping:
            self._host.desk = self
            self._renew(self._snapshot.rules)
            self._carry_over(self._snapshot.rules)

    def gates_for(self, resource: str, names: Sequence[str] | None) -> tuple[object, tuple[Gate, ...]]:
        """Return the gates of a resource, and the revision they belong to.

        Args:
            names: The rules in code that count here; None: all there are for the resource.
        """
        with self._swapping:
            snapshot = self._snapshot
            inline = self._host.inline.of(resource, names)
            rules = [] if self._mode == "off" else in_force(resource, snapshot.rules, inline, self._host.inline)
            gates = self._stock.gates(rules, watch_only=self._mode == "shadow")
        return snapshot, gates

    def check_rule(self, rule: Rule) -> None:
        """Check a rule in code against the files.

        Raises:
            RuleError: A file contradicts it.
        """
        taken_over(rule, self._snapshot.rules)

    def rule_changed(self, rule: Rule) -> None:
        """Put a rule in code in force that is new, or other than before."""
        with self._swapping:
            changed = taken_over(rule, self._snapshot.rules).rule
            self._stock.carry_over({rule.name: changed}, forget=False)
            self._renew(self._snapshot.rules)

    def named(self) -> Mapping[str, Effective]:
        """Return every rule in force by its name."""
        snapshot = self._snapshot
        if snapshot.named is None:
            snapshot.named = {one.rule.name: one for one in self._everything(snapshot.rules)}
        return snapshot.named

    def after_fork(self) -> None:
        """Start again in a forked child, with the rules as they are."""
        self._swapping = Lock()
        self.ledger.after_fork()
        self._renew(self._snapshot.rules)
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

    def _carry_over(self, rules: RuleSet) -> None:
        everything = self._everything(rules)
        self._stock.carry_over({one.state_name: one.rule for one in everything}, forget=True)

    def _renew(self, rules: RuleSet) -> None:
        self._snapshot = Snapshot(rules)
        if self._host.desk is self:
            self._host.epoch = self._snapshot

    def _everything(self, rules: RuleSet) -> list[Effective]:
        inline = self._host.inline
        found = {one.state_name: one for name in inline for one in in_force(name, rules, inline.of(name), inline)}
        names = {one.rule.name for one in found.values()}
        return [*found.values(), *(Effective(rule, rule.name) for rule in rules if rule.name not in names)]

    def _reloaded(self, rules: RuleSet, previous: RuleSet) -> None:
        notify(self.ledger.listeners, [RulesReloaded(rules.source, rules.revision, previous.revision)])

    def _rejected(self, error: Exception) -> None:
        from logging import getLogger  # only a mistake needs it

        getLogger("guardrail.rules").error("rules rejected, the last good ones stay: %s", error)
        notify(self.ledger.listeners, [RulesRejected(self._snapshot.rules.source, error)])

    def _gates(self, resource: str) -> tuple[Gate, ...]:
        snapshot = self._snapshot
        gates = snapshot.plans.get(resource)
        if gates is None:
            epoch, gates = self.gates_for(resource, None)
            if epoch is snapshot:
                if len(snapshot.plans) >= MOST_PLANS:
                    snapshot.plans.clear()
                snapshot.plans[resource] = gates
        return gates

    def _call(
        self, resource: str, attributes: Mapping[str, object] | None, cost: int, max_wait: Duration | None
    ) -> Call:
        call = Call(resource, getter(resource, attributes), checked_cost(cost))
        if max_wait is None:
            return call
        from guardrail.rules.units import parse_duration_us

        try:
            return replace(call, max_wait_us=parse_duration_us(max_wait))
        except ValueError as error:
            raise ValueError(f"max_wait {error}") from None


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


def check_store(store: str | None) -> None:
    """Refuse stores that this version does not have."""
    if store not in (None, "", "memory://"):
        scheme, is_url, _ = str(store).partition("://")
        got = f"'{scheme}://...'" if is_url else repr(store)  # what follows may be a password
        raise ValueError(
            f"store must be None or 'memory://', got {got}: state is kept in this process only, so far"
            " (GUARDRAIL_STORE holds where no store is given)"
        )
