"""Routes: what can be asked of a guard and done to it.

    GET  /v1/snapshot[?show_keys=1]                        what can be seen of it; keys are hashed unless asked for
    GET  /v1/health                                        503 when it is failing
    POST /v1/breakers/{name}/{open|close|reset}            open and close hold until reset; a key may be given as its hash
    GET  /v1/rules/{rule}/standing[?key=..[&key=..]]       what a rule would say to a call with this key; takes nothing
    POST /v1/rules/{rule}/reset[?key=..[&key=..]]          forget one key, or all

Law: a parameter that is not known is refused rather than overlooked: a misspelt `key` must not reset all keys. What is
named by hand is there already: a misspelt key makes no breaker. Every write is logged, without the key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from http import HTTPStatus
from logging import getLogger
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import parse_qsl, unquote

from guardrail.admission.call import bounded
from guardrail.control.answers import Answer, Unanswerable, problem
from guardrail.errors import StoreError
from guardrail.rules.spelling import closest
from guardrail.telemetry.entry import hidden

if TYPE_CHECKING:
    from guardrail.core.breaker_state import BreakerSnapshot
    from guardrail.core.verdict import Verdict
    from guardrail.telemetry.health import Health
    from guardrail.telemetry.snapshot import Snapshot

MOST_PARAMETERS = 20

logger = getLogger("guardrail.control")

Parameters = Mapping[str, list[str]]


class Lever(Protocol):
    """Move one breaker by hand."""

    def force_open(self) -> None: ...

    def force_closed(self) -> None: ...

    def reset(self) -> None: ...

    def snapshot(self) -> BreakerSnapshot: ...


class Keyed(Protocol):
    """Be what an endpoint needs of a rule."""

    @property
    def key(self) -> tuple[tuple[str, ...], ...]: ...


class Rules(Protocol):
    """Find rules by name."""

    def get(self, name: str, /) -> Keyed | None: ...


class Served(Protocol):
    """Be what an endpoint needs of a guard."""

    @property
    def rules(self) -> Rules: ...

    @property
    def breakers(self) -> Mapping[str, Lever]: ...

    def snapshot(self, *, show_keys: bool = False) -> Snapshot: ...

    def health(self) -> Health: ...

    def standing(self, rule: str, key: object = None) -> Verdict: ...

    def reset(self, rule: str, key: object = None) -> None: ...


class Asked(NamedTuple):
    """Hold a question: of whom, the name in its path if there is one, and its parameters."""

    guard: Served
    name: str
    parameters: Parameters

    @property
    def key(self) -> str | list[str] | None:
        """The key of a rule, a list where it has several parts; None: no key, or all of them."""
        values = self.parameters.get("key")
        return values[0] if values is not None and len(values) == 1 else values


Answering = Callable[[Asked], Answer]


class Route(NamedTuple):
    """Hold what answers to one path; `*` stands for a name."""

    method: str
    path: tuple[str, ...]
    parameters: frozenset[str]
    answer: Answering


def answered(method: str, target: str, guard: Served) -> Answer:
    """Answer a request that has been let in."""
    path, _, query = target.partition("?")
    try:
        root, version, *names = [unquote(part, errors="strict") for part in path.split("/")]
        parameters = _parameters(query)
    except ValueError:
        return problem(HTTPStatus.BAD_REQUEST, "the path or the query cannot be read")
    found = [route for route in ROUTES if _fits(route.path, names)]
    if (root, version) != ("", "v1") or not found:
        return problem(HTTPStatus.NOT_FOUND, "there is nothing here; /v1/snapshot is where to begin")
    route = found[0]
    if method != route.method:
        return problem(HTTPStatus.METHOD_NOT_ALLOWED, f"this takes {route.method} only", ("Allow", route.method))
    if not parameters.keys() <= route.parameters:
        known = " and ".join(sorted(route.parameters)) or "none"
        return problem(HTTPStatus.BAD_REQUEST, f"there is a parameter that is not known here; known: {known}")
    name = next((name for name, wanted in zip(names, route.path, strict=True) if wanted == "*"), "")
    try:
        return route.answer(Asked(guard, name, parameters))
    except Unanswerable as wrong:
        return wrong.answer


def _snapshot(asked: Asked) -> Answer:
    show_keys = asked.parameters.get("show_keys", ["0"])
    if show_keys not in (["0"], ["1"]):
        return problem(HTTPStatus.BAD_REQUEST, "show_keys must be 0 or 1")
    return Answer(HTTPStatus.OK, asked.guard.snapshot(show_keys=show_keys == ["1"]).to_dict())


def _health(asked: Asked) -> Answer:
    health = asked.guard.health()
    return Answer(HTTPStatus.OK if health else HTTPStatus.SERVICE_UNAVAILABLE, health.to_dict())


def _breaker(change: Callable[[Lever], None], what: str) -> Answering:
    def answer(asked: Asked) -> Answer:
        try:
            lever = asked.guard.breakers[_living(asked)]
            change(lever)
            snapshot = lever.snapshot()
        except KeyError:
            return _no_breaker(asked)
        logger.info("by hand: breaker '%s' was %s", _rule_of(asked), what)
        return Answer(HTTPStatus.OK, asdict(snapshot))

    return answer


def _standing(asked: Asked) -> Answer:
    with _in_our_words(asked):
        return Answer(HTTPStatus.OK, asdict(asked.guard.standing(asked.name, asked.key)))


def _reset(asked: Asked) -> Answer:
    with _in_our_words(asked):
        asked.guard.reset(asked.name, asked.key)
    what, word = ("all that it had counted", "all") if asked.key is None else ("one key", "key")
    logger.info("by hand: rule '%s' forgot %s", asked.name, what)
    return Answer(HTTPStatus.OK, {"forgotten": word})


ROUTES = (
    Route("GET", ("snapshot",), frozenset({"show_keys"}), _snapshot),
    Route("GET", ("health",), frozenset(), _health),
    Route("POST", ("breakers", "*", "open"), frozenset(), _breaker(lambda lever: lever.force_open(), "forced open")),
    Route("POST", ("breakers", "*", "close"), frozenset(), _breaker(lambda lever: lever.force_closed(), "held closed")),
    Route("POST", ("breakers", "*", "reset"), frozenset(), _breaker(lambda lever: lever.reset(), "reset")),
    Route("GET", ("rules", "*", "standing"), frozenset({"key"}), _standing),
    Route("POST", ("rules", "*", "reset"), frozenset({"key"}), _reset),
)


def _fits(wanted: tuple[str, ...], names: list[str]) -> bool:
    return len(wanted) == len(names) and all(one in {"*", name} for one, name in zip(wanted, names, strict=True))


def _parameters(query: str) -> Parameters:
    found: dict[str, list[str]] = {}
    if query:
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MOST_PARAMETERS
        )
        for name, value in pairs:
            found.setdefault(name, []).append(value)
    return found


@contextmanager
def _in_our_words(asked: Asked) -> Iterator[None]:
    """Say what is wrong with a question about a rule. What a guard says of it quotes the question."""
    try:
        yield
    except KeyError:
        meant = closest(asked.name, tuple(one.name for one in asked.guard.snapshot().rules))
        raise Unanswerable(problem(HTTPStatus.NOT_FOUND, "there is no such rule", meant=meant)) from None
    except ValueError:
        raise Unanswerable(problem(HTTPStatus.BAD_REQUEST, _key_wanted(asked))) from None
    except StoreError:
        detail = "the rule is shared, and its store does not answer"
        raise Unanswerable(problem(HTTPStatus.SERVICE_UNAVAILABLE, detail)) from None


def _key_wanted(asked: Asked) -> str:
    rule = asked.guard.rules.get(asked.name)
    parts = [" or ".join(part) for part in rule.key] if rule is not None else []
    if not parts:
        return "the rule has no key: give none"
    many = "1 part" if len(parts) == 1 else f"{len(parts)} parts, each given by itself"
    return f"the key of this rule has {many}: {', '.join(parts)}"


def _living(asked: Asked) -> str:
    """Return the name of a breaker that exists: the one asked for, or the one whose key has the hash asked for.

    Raises:
        KeyError: There is none.
    """
    names, rule = frozenset(asked.guard.breakers), _rule_of(asked)
    key = asked.name.removeprefix(f"{rule}/")
    if asked.name in names or f"{rule}/{bounded(key)}" in names:
        return asked.name
    keyed = (name for name in names if name.startswith(f"{rule}/"))
    found = next((name for name in keyed if hidden(name.removeprefix(f"{rule}/")) == key), None)
    if found is None:
        raise KeyError(rule)
    return found


def _no_breaker(asked: Asked) -> Answer:
    rules = tuple(one.rule for one in asked.guard.snapshot().breakers)
    rule = _rule_of(asked)
    if asked.name != rule and rule not in {"?", *asked.guard.breakers}:
        detail = "no breaker is kept for this key yet; a key that has been called has one"
        return problem(HTTPStatus.NOT_FOUND, detail)
    if asked.name in rules:
        return problem(HTTPStatus.NOT_FOUND, "this rule has a breaker for each key: name it as rule/key")
    return problem(HTTPStatus.NOT_FOUND, "there is no such breaker", meant=closest(asked.name, rules))


def _rule_of(asked: Asked) -> str:
    """Return the rule of a breaker that is asked for: its name as the log may have it."""
    rules = (one.rule for one in asked.guard.snapshot().breakers)
    return max(
        (rule for rule in rules if asked.name == rule or asked.name.startswith(f"{rule}/")), key=len, default="?"
    )
