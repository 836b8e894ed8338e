"""Guard: the face of it all. Takes calls in, shows what would happen to them, and forgets what was counted.

Law: everything that decides is elsewhere; a guard finds the gates of a resource and hands the call to the flow.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from guardrail.admission.alone import aasked_alone, asked_alone
from guardrail.admission.ambient import getter
from guardrail.admission.breakers import Breakers
from guardrail.admission.by_name import rule_named, subjects_of, values_of_key
from guardrail.admission.entry import Entry
from guardrail.admission.forks import follow_forks
from guardrail.admission.host import Host
from guardrail.admission.ledger import Ledger
from guardrail.admission.permit import Permit, checked_cost
from guardrail.admission.survey import Survey
from guardrail.clock import Advanceable, Clock, SystemClock
from guardrail.options import check_arguments, check_listeners, store_of, wait_us_of
from guardrail.rulebook import Rulebook, RuleSource
from guardrail.telemetry.background import aflush_all, all_but, flush_all, in_background
from guardrail.telemetry.health import health_of

if TYPE_CHECKING:
    from types import TracebackType

    from guardrail.core.verdict import Decision, Verdict
    from guardrail.decorators.options import Duration
    from guardrail.stores.protocol import Store
    from guardrail.telemetry.events import Listener
    from guardrail.telemetry.health import Health
    from guardrail.telemetry.log import EventLog
    from guardrail.telemetry.snapshot import Snapshot


class Guard(Rulebook):
    """Decide which calls may go ahead, by rules in code and in files that are edited while it runs.

    Safe from any thread and task. A context manager, also with `async with`: leaving it ends the watch over the files, and waits up to a
    second for listeners.

    Args:
        rules: A file or folder (watched), a RuleSet, or a list of rule mappings. None: the path in GUARDRAIL_RULES, if set.
        store: Where limits are counted that several processes share: a URL such as `redis://localhost:6379/0`, or a
            RedisStore. None: the URL in GUARDRAIL_STORE, if set; `memory://`: in this process.
        clock: The source of time; default: the system's monotonic clock.
        listeners: Callables that receive events: refusals, breakers that move, reloads. Each on a thread of its own, but
            for an `Immediate`.
        overrides: Rates from elsewhere, by the names of rules: a callable over the key's value (a tuple for a composite
            key; `user=u1` where the key is `user|client.ip`) that returns a rate, or None for the rule's own. Asked at most
            once a minute for a key.
        mode: `enforce`, `shadow` (no rule refuses) or `off`. GUARDRAIL_MODE, where set, wins: a kill switch.
        max_keys: Most states that one limit keeps.
        measure_latency: Count how long calls take, by resource: p50, p95 and p99 in `snapshot()`. Every call then goes
            through the flow, which takes some 10 us.
        log: What writes events to the loggers `guardrail.*`; default: an EventLog, which hashes keys.

    Raises:
        RuleError: The rules cannot be used; all mistakes are listed.
        ValueError: Another argument is wrong.
    """

    def __init__(
        self,
        rules: RuleSource | None = None,
        *,
        store: str | Store | None = None,
        clock: Clock | None = None,
        listeners: Sequence[Listener] = (),
        overrides: Mapping[str, Callable[[Any], object]] | None = None,
        mode: Literal["enforce", "shadow", "off"] = "enforce",
        max_keys: int = 250_000,
        measure_latency: bool = False,
        log: EventLog | None = None,
        _host: Host | None = None,
    ) -> None:
        check_arguments(max_keys, listeners, clock, log)
        ticking = SystemClock() if clock is None else clock
        ledger = Ledger(ticking, max_keys, tuple(map(in_background, listeners)), log, measures_latency=measure_latency)
        shared_store = store_of(store)
        mode_in_force = os.environ.get("GUARDRAIL_MODE") or mode
        rules = os.environ.get("GUARDRAIL_RULES") or None if rules is None else rules
        super().__init__(
            Host() if _host is None else _host, ledger, rules, overrides or {}, mode_in_force, shared_store
        )
        self._owns_store = shared_store is not store  # made here from a URL, and closed here
        if shared_store is not None:
            shared_store.follow(lambda event: ledger.announce(event, logged=False))  # the store has its own log
        self.breakers = Breakers(self._stock, self.named)
        follow_forks(self)
        if isinstance(clock, Advanceable):
            clock.subscribe(self.ledger.expire_waiters)
        if os.environ.get("GUARDRAIL_CONTROL"):
            from guardrail.control.environment import attendance

            attendance.attend(self)

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
        return Entry(self._plan(resource), getter(resource, attributes), checked_cost(cost), wait_us_of(max_wait))

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
        plan = self._plan(resource)
        return plan.enter(getter(resource, attributes), checked_cost(cost), wait_us_of(max_wait))

    def at_once(self, resource: str, attributes: Mapping[str, object], *, bare: bool = False) -> Permit | None:
        """Admit one call, as `try_enter` does, where that needs neither a wait nor a store.

        Args:
            bare: Nobody looks at the permit: where it holds nothing, it is `BARE`, the same for all calls, which need not
                be ended.

        Returns:
            The permit; None: ask `try_enter` or `atry_enter`, nothing has been taken.
        """
        plan = self._in_force.plans.get(resource) or self._plan(resource)
        return plan.at_once(attributes, bare=bare)

    async def atry_enter(
        self,
        resource: str,
        attributes: Mapping[str, object] | None = None,
        *,
        cost: int = 1,
        max_wait: Duration | None = None,
    ) -> Permit:
        """Admit one call from a task, as `try_enter` does from a thread."""
        plan = self._plan(resource)
        return await plan.aenter(getter(resource, attributes), checked_cost(cost), wait_us_of(max_wait))

    def peek(
        self,
        resource: str,
        attributes: Mapping[str, object] | None = None,
        *,
        cost: int = 1,
        max_wait: Duration | None = None,
    ) -> Decision:
        """Return the decision that such a call would get now. Consumes nothing and never waits."""
        plan = self._plan(resource)
        return plan.peek(getter(resource, attributes), checked_cost(cost), wait_us_of(max_wait))

    async def apeek(
        self,
        resource: str,
        attributes: Mapping[str, object] | None = None,
        *,
        cost: int = 1,
        max_wait: Duration | None = None,
    ) -> Decision:
        """Return what `peek` returns."""
        plan = self._plan(resource)
        return await plan.apeek(getter(resource, attributes), checked_cost(cost), wait_us_of(max_wait))

    def reset(self, rule: str, key: object = None) -> None:
        """Forget what a rule has counted: for one key (a list for a composite one), or for all.

        A breaker closes. A bulkhead has nothing to forget: the calls inside are inside.

        Raises:
            KeyError: There is no such rule.
            ValueError: The key has another number of parts, or the rule has none.
            StoreError: The rule is shared, and its store cannot be asked.
        """
        found = rule_named(self.named(), rule)
        subjects = subjects_of(found, key)
        shared = self._stock.forget(found, subjects)
        if shared is not None:
            shared.forget(subjects)

    async def areset(self, rule: str, key: object = None) -> None:
        """Forget what `reset` forgets, asking a store from this task."""
        found = rule_named(self.named(), rule)
        subjects = subjects_of(found, key)
        shared = self._stock.forget(found, subjects)
        if shared is not None:
            await shared.aforget(subjects)

    def standing(self, rule: str, key: object = None) -> Verdict:
        """Return what a rule would say now to a call, asked alone. Consumes nothing, and counts nothing.

        Args:
            key: As for `reset`.

        Raises:
            KeyError: There is no such rule.
            ValueError: The key has another number of parts, is missing, or the rule has none.
            StoreError: The rule is shared, and its store cannot be asked.
        """
        found = rule_named(self.named(), rule)
        return asked_alone(self._stock, found, values_of_key(found, key))

    async def astanding(self, rule: str, key: object = None) -> Verdict:
        """Return what `standing` returns, asking a store from this task."""
        found = rule_named(self.named(), rule)
        return await aasked_alone(self._stock, found, values_of_key(found, key))

    def snapshot(self, *, show_keys: bool = False) -> Snapshot:
        """Return all that can be seen of the guard: rules, counts, breakers, bulkheads, the hottest keys, its store.

        Args:
            show_keys: Name the hottest keys as they are; default: by hashes.
        """
        return self._look(show_keys=show_keys)

    def health(self) -> Health:
        """Return whether the service can rely on this guard, for a readiness endpoint. Asks nobody, and never waits."""
        return health_of(self._look(show_keys=False, hot_keys=False))

    def add_listener(self, listener: Listener) -> None:
        """Tell one more listener the events from now on.

        Raises:
            TypeError: It cannot be called.
        """
        check_listeners([listener])
        told = in_background(listener)
        with self.ledger:
            self.ledger.listeners = (*self.ledger.listeners, told)

    def remove_listener(self, listener: Listener) -> None:
        """Tell a listener of nothing new; what waits for it, it still hears. One that was added twice is told once less."""
        with self.ledger:
            self.ledger.listeners = all_but(self.ledger.listeners, listener)

    def close(self) -> None:
        """End the watch over the rule files, and the connections to a store given as a URL.

        Calls are still decided, by the rules as they are. Waits at most a second for listeners to hear what was told.
        """
        self._step_back()
        if self._owns_store and self._stock.store is not None:
            self._stock.store.close()
        flush_all(self.ledger.listeners)

    async def aclose(self) -> None:
        """End what `close` ends, from a task."""
        self._step_back()
        if self._owns_store and self._stock.store is not None:
            await self._stock.store.aclose()
        await aflush_all(self.ledger.listeners)

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

    def _look(self, *, show_keys: bool, hot_keys: bool = True) -> Snapshot:
        while True:
            current = self._in_force
            survey = Survey(self._stock, self.mode, current.rules, self.named())
            store = None if self._stock.store is None else self._stock.store.snapshot()
            seen = survey.snapshot(self._reload_snapshot(), store, show_keys=show_keys, hot_keys=hot_keys)
            if current is self._in_force:  # else a reload came in between
                return seen

    def _step_back(self) -> None:
        """Follow no rule files any more, and answer nobody from outside."""
        if self._live is not None:
            self._live.stop()
        if os.environ.get("GUARDRAIL_CONTROL"):
            from guardrail.control.environment import attendance

            attendance.step_back(self)
