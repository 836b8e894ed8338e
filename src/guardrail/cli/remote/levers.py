"""`guardrail breaker` and `guardrail key`: operate one rule in every process that runs it.

Law: what was done where is said for each process; one that could not be reached is never passed over in silence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from guardrail.cli.exits import OK, WRONG, say, stop
from guardrail.cli.remote.client import Client, Unanswered
from guardrail.cli.remote.restoring import MOST, OtherVersion, restored
from guardrail.cli.words import lasting, plainly
from guardrail.rules.spelling import shown

if TYPE_CHECKING:
    from guardrail.cli.remote.places import Place
    from guardrail.telemetry.snapshot import Snapshot

DONE = {
    "open": "forced open: every call is refused until 'reset'",
    "close": "held closed: every call is let through until 'reset'",
    "reset": "closed, and what it had counted is forgotten",
}


class Done(NamedTuple):
    """Hold what became of one process: what it answered, or why not."""

    place: str
    result: dict[str, Any] | Unanswered


def breaker(name: str, action: str, places: Sequence[Place], token: str, *, as_json: bool) -> int:
    """Force a breaker open or closed, or reset it, in every process, and return the exit code."""
    done = _everywhere(places, token, lambda client: client.post("breakers", name, action))
    return _report(done, f"breaker {shown(name)}", lambda _answer: DONE[action], as_json=as_json)


def show_key(rule: str, key: Sequence[str], places: Sequence[Place], token: str, *, as_json: bool) -> int:
    """Show how a rule stands with a key in every process, and return the exit code."""
    query = [("key", part) for part in key]
    done = _everywhere(places, token, lambda client: client.get("rules", rule, "standing", query=query))
    return _report(done, f"rule {shown(rule)}", standing_text, as_json=as_json)


def reset_key(
    rule: str, key: Sequence[str], places: Sequence[Place], token: str, *, everything: bool, as_json: bool
) -> int:
    """Let a rule forget a key, or all, in every process, and return the exit code."""

    def forget(client: Client) -> dict[str, Any]:
        if not key and not everything and _has_keys(client, rule):
            raise Unanswered("counts each key apart: name the key, or say --all to forget all of them", 400)
        return client.post("rules", rule, "reset", query=[("key", part) for part in key])

    what = "what it had counted is forgotten" + (" for this key" if key else "")
    return _report(_everywhere(places, token, forget), f"rule {shown(rule)}", lambda _answer: what, as_json=as_json)


def standing_text(verdict: dict[str, Any]) -> str:
    """Say how a rule stands, from the verdict it would give to a call now."""
    limit, left = verdict.get("limit"), verdict.get("remaining")
    what = f" ({plainly(str(verdict['text']))})" if verdict.get("kind") == "limit" and verdict.get("text") else ""
    wait_s, retry_after_s = _number(verdict.get("wait")), _number(verdict.get("retry_after"))
    counted = isinstance(limit, int) and isinstance(left, int)
    if verdict.get("allowed"):
        wait = f" after a wait of {_seconds(wait_s)}" if wait_s else ""
        said = [f"lets the next call in{wait}" + (f", which leaves {left:,} of {limit:,}{what}" if counted else "")]
    else:
        said = [f"refuses the next call: {plainly(str(verdict.get('reason')))}{what}"]
        if retry_after_s:
            said.append(f"lets one in in {_seconds(retry_after_s)}")
    if verdict.get("shadow"):
        said.append("only watches")
    return "; ".join(said)


def _everywhere(places: Sequence[Place], token: str, ask: Callable[[Client], dict[str, Any]]) -> list[Done]:
    done = []
    for place in places:
        try:
            done.append(Done(str(place), ask(Client(place, token))))
        except Unanswered as wrong:
            if not (wrong.free and place.may_be_free):
                done.append(Done(str(place), wrong))
    if not done:
        stop(f"nobody listens at {places[0]} to {places[-1].port}: is the service running?", WRONG)
    return done


def _report(done: Sequence[Done], subject: str, text: Callable[[dict[str, Any]], str], *, as_json: bool) -> int:
    code = WRONG if any(isinstance(one.result, Unanswered) for one in done) else OK
    if as_json:
        processes = [
            {"place": one.place, "ok": False, "problem": _wrong(one.result)}
            if isinstance(one.result, Unanswered)
            else {"place": one.place, "ok": True, **one.result}
            for one in done
        ]
        say(json.dumps({"ok": code == OK, "processes": processes}, indent=2))
        return code
    said: dict[str, list[str]] = {}
    for one in done:
        sentence = _wrong(one.result) if isinstance(one.result, Unanswered) else text(one.result)
        said.setdefault(sentence, []).append(one.place)
    if code != OK and len(done) == 1:
        stop(f"{subject}: {next(iter(said))}", WRONG)
    for sentence, at in said.items():
        say(f"{subject}: {sentence}" + (f" [{', '.join(at)}]" if len(done) > 1 else ""))
    return code


def _wrong(wrong: Unanswered) -> str:
    if wrong.free:
        return f"{wrong}; is the service running?"
    return f"{wrong}; did you mean '{wrong.meant}'?" if wrong.meant else str(wrong)


def _has_keys(client: Client, rule: str) -> bool:
    return any(one.name == rule and one.keys is not None for one in _snapshot(client).rules)


def _snapshot(client: Client) -> Snapshot:
    try:
        return restored(client.get("snapshot"))
    except OtherVersion as wrong:
        raise Unanswered(f"{client.place}: {wrong}") from None


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -MOST < value < MOST:  # nor a NaN
        return 0.0
    return max(0.0, float(value))


def _seconds(seconds: float) -> str:
    return lasting(round(seconds * 1_000_000))
