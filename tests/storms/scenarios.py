"""The storms: which rules hold, who calls, and what else happens meanwhile.

Law: a scenario draws everything from the scene's chance, so that its name and a seed tell all of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from guardrail import Refused, RuleSet
from tests.storms.callers import Crowd
from tests.storms.scene import METER, Scene, ruleset

Rule = dict[str, Any]
CALLERS = ("coroutine", "coroutine", "entry", "by_hand", "timed", "waited_for", "siblings", "at_once", "looked")
STREAMS = ("read", "half_read", "closed", "thrown_into", "never_started", "closed_unread", "in_a_cycle", "sync_stream")
CANCELLING = (0, 0.01, 0.05, 0.2)

INNER = {"kind": "bulkhead", "resource": "s", "name": "inner", "max_concurrent": 1, "max_wait": "5ms"}
DESK = {"kind": "bulkhead", "resource": "q", "name": "desk", "max_concurrent": 1}


def bulkhead(chance: Random, **fields: Any) -> Rule:
    wait = chance.choice(({}, {"max_wait": "20ms"}, {"max_wait": "1h"}, {"max_wait": "1h", "max_queue": 1}))
    size = chance.choice((1, 1, 2))
    return {"kind": "bulkhead", "resource": "r", "name": "places", "max_concurrent": size, **wait, **fields}


def spaced(chance: Random) -> Rule:
    """A limit that lets calls wait."""
    rate = chance.choice(({"rate": "100/s", "burst": 1}, {"rate": "100/s", "burst": 2}, {"rate": "20/s", "burst": 3}))
    return {"kind": "limit", "resource": "r", "name": "spaced", **rate, "max_wait": chance.choice(("15ms", "1s"))}


def resized(rules: list[Rule], chance: Random) -> list[Rule]:
    """The same rules with other numbers."""
    return [_changed(rule, chance) for rule in rules]


def fewer(rules: list[Rule], chance: Random) -> list[Rule]:
    """Some rules are gone, and one has another key: whoever is inside leaves a bulkhead that is no more."""
    kept = [rule for rule in rules if rule["name"] == "meter" or chance.random() < 0.5]
    return [{**rule, "key": "user"} if rule["name"] == "places" else rule for rule in kept]


def _changed(rule: Rule, chance: Random) -> Rule:
    if rule["name"] == "places":
        return {**rule, "max_concurrent": chance.choice((1, 2, 3))}
    if rule["name"] == "health":
        return chance.choice((rule, {**rule, "consecutive_failures": 3}))
    return rule


def leaky(chance: Random) -> Rule:
    rate, algorithm = chance.choice(("50/s", "300/s")), "leaky_bucket"
    return {"kind": "limit", "resource": "r", "name": "leaky", "rate": rate, "algorithm": algorithm, "max_wait": "1s"}


def brisk(chance: Random) -> Rule:
    """A limit that lets nobody wait, and has to be asked by a closure where it is alone."""
    return {"kind": "limit", "resource": "r", "name": "brisk", "rate": chance.choice(("100/s", "200/s")), "burst": 3}


def breaker(chance: Random) -> Rule:
    trigger = chance.choice(
        ({"consecutive_failures": 1}, {"consecutive_failures": 2}, {"window_calls": 3, "min_calls": 2})
    )
    probes = chance.choice((1, 1, 2))
    patience = {"open_for": chance.choice(("1ms", "10ms")), "half_open_calls": probes, "probe_timeout": "1d"}
    return {"kind": "breaker", "resource": "r", "name": "health", **trigger, **patience}


@dataclass(frozen=True)
class Scenario:
    """Say what one kind of storm is made of.

    Attributes:
        rules: Draws the rules.
        callers: Ways to call, of `Crowd`.
        events: What else may happen, of `EVENTS`.
        fails: The share of calls that fail.
        change: Draws the rules of a reload.
    """

    rules: Callable[[Random], list[Rule]]
    callers: tuple[str, ...] = CALLERS
    events: tuple[str, ...] = ()
    fails: float = 0.2
    change: Callable[[list[Rule], Random], list[Rule]] = resized
    inline: bool = False

    def storm(self, seed: str) -> Scene:
        """Live through one seed, and return the scene when it is over."""
        chance = Random(f"{seed}, rules")
        rules = self.rules(chance)
        revisions = []
        if "reload" in self.events:
            revisions = [ruleset(*self.change(rules, chance)) for _ in range(3)]
        scene = Scene(seed, ruleset(*([] if self.inline else rules)), chance.choice(CANCELLING))
        scene.are_gone = self.change is fewer
        crowd = Crowd(scene, self.fails, _inline(scene, rules) if self.inline else None)
        with scene.told(seed):
            scene.run([*self._calls(scene, crowd), *(EVENTS[event](scene, revisions) for event in self.events)])
        return scene

    def _calls(self, scene: Scene, crowd: Crowd) -> Iterator[Any]:
        kept = 0
        for _ in range(scene.random.randint(3, 7)):
            kind = scene.random.choice(self.callers)
            kept += kind == "kept"
            yield crowd.call("closed" if kind == "kept" and kept > 1 else kind)


def _inline(scene: Scene, rules: list[Rule]) -> Callable[..., Any]:
    """Return a decorator that says in code what *rules* say."""

    def decorate(**options: Any) -> Callable[..., Any]:
        def decorator(function: Any) -> Any:
            for index, rule in enumerate(rules):
                fields = {name: value for name, value in rule.items() if name not in ("kind", "resource", "name")}
                more = options if index == 0 else {}
                function = getattr(scene.guard, rule["kind"])(name="r", **fields, **more)(function)
            return function

        return decorator

    return decorate


# -- what happens meanwhile


async def reload(scene: Scene, revisions: list[RuleSet]) -> None:
    """Other rules, one set of them after the other."""
    for number, rules in enumerate(revisions):
        await asyncio.sleep(scene.random.choice((0, 0.001, 0.01)))  # so that there is one in a step
        scene.guard.apply(rules)
        scene.tell(f"reloaded {number}")


async def by_hand(scene: Scene, _: list[RuleSet]) -> None:
    """Somebody opens, closes and resets the breaker."""
    health = scene.guard.breakers["health"]
    for _ in range(3):
        await asyncio.sleep(scene.random.choice((0, 0.002, 0.02)))
        scene.random.choice((health.force_open, health.force_closed, health.reset, health.reset))()
        scene.tell(f"{health} by hand")
    health.reset()


async def step_back(scene: Scene, _: list[RuleSet]) -> None:
    """The clock is set back."""
    for _ in range(2):
        await asyncio.sleep(scene.random.choice((0.001, 0.02)))
        scene.clock.behind_us += scene.random.choice((1, 5_000, 3_600_000_000))
        scene.tell("the clock steps back")


async def burst(scene: Scene, _: list[RuleSet]) -> None:
    """Many at once, none of whom waits."""
    for _ in range(2):
        await asyncio.sleep(scene.random.choice((0, 0.01)))
        for _ in range(3):
            try:
                with scene.guard.enter("r", max_wait=0), scene.call():
                    pass
            except Refused as refused:
                scene.tell(f"in a burst: {refused.reason}")


EVENTS = {"reload": reload, "by hand": by_hand, "step back": step_back, "burst": burst}

SCENARIOS = {
    "bulkheads": Scenario(lambda chance: [METER, bulkhead(chance)], fails=0.1),
    "two bulkheads": Scenario(lambda chance: [bulkhead(chance), METER, bulkhead(chance, name="rooms")]),
    "limits": Scenario(
        lambda chance: [METER, spaced(chance), *([leaky(chance)] if chance.random() < 0.5 else [])],
        (*CALLERS, "settled", "settled"),
        ("burst",),
    ),
    "returning": Scenario(lambda chance: [METER, spaced(chance), bulkhead(chance)], (*CALLERS, "settled")),
    "probes": Scenario(lambda chance: [METER, breaker(chance), bulkhead(chance)], fails=0.5),
    "by hand": Scenario(lambda chance: [METER, breaker(chance), bulkhead(chance)], events=("by hand",)),
    "stacks": Scenario(
        lambda chance: [breaker(chance), bulkhead(chance), brisk(chance), INNER],
        ("coroutine", "with_fallback", "nested", "timed"),
    ),
    "in code": Scenario(
        lambda chance: [breaker(chance), bulkhead(chance), brisk(chance)],
        ("coroutine", "coroutine", "with_fallback", "timed"),
        inline=True,
    ),
    "streams": Scenario(lambda chance: [METER, breaker(chance), bulkhead(chance), DESK], (*STREAMS, "kept")),
    "reloads": Scenario(
        lambda chance: [METER, spaced(chance), bulkhead(chance), breaker(chance)], (*CALLERS, "read"), ("reload",)
    ),
    "rules that go": Scenario(
        lambda chance: [METER, bulkhead(chance), breaker(chance)], (*CALLERS, "read"), ("reload", "burst"), change=fewer
    ),
    "steps back": Scenario(lambda chance: [METER, spaced(chance), bulkhead(chance)], events=("step back", "burst")),
}
