"""`guardrail breaker` and `guardrail key` operate a running service, in each of its processes."""

import json
import socket

import pytest

from tests.cli.remote.scene import typed
from tests.control.scene import guard_of, served
from tests.ports import free_ports


@pytest.fixture
def guard():
    return guard_of()


@pytest.fixture
def url(guard):
    with served(guard) as control:
        yield control.url


@pytest.fixture
def two():
    """Two processes' worth of guards behind a range of three ports."""
    first = free_ports(3)
    address = f"127.0.0.1:{first}-{first + 2}"
    guards = guard_of(), guard_of()
    with served(guards[0], address=address), served(guards[1], address=address):
        yield guards, address


def called(guard, times=1, **attributes):
    for _ in range(times):
        guard.try_enter("orders", attributes).exit()


@pytest.mark.parametrize(
    ("action", "state", "said"),
    [
        ("open", "forced_open", "forced open: every call is refused until 'reset'"),
        ("close", "forced_closed", "held closed: every call is let through until 'reset'"),
        ("reset", "closed", "closed, and what it had counted is forgotten"),
    ],
)
def test_a_breaker_is_moved_by_hand(guard, url, action, state, said):
    guard.breakers["payments"].force_open()
    done = typed("breaker", "payments", action, url=url)
    assert (0, f"breaker 'payments': {said}\n") == (done.code, done.out)
    assert state == guard.breakers["payments"].state


def test_a_breaker_with_a_key_is_named_by_both(guard, url):
    guard.try_enter("payments.charge", {"bank": "acme & co/ü"}).exit()
    assert 0 == typed("breaker", "per-bank/acme & co/ü", "open", url=url).code
    assert "forced_open" == guard.breakers["per-bank/acme & co/ü"].state


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["breaker", "paymnts", "open"], "breaker 'paymnts': there is no such breaker; did you mean 'payments'?"),
        (["breaker", "zzz", "open"], "breaker 'zzz': there is no such breaker"),
        (
            ["breaker", "per-bank", "open"],
            "breaker 'per-bank': this rule has a breaker for each key: name it as rule/key",
        ),
        (["key", "per-usr", "u1", "show"], "rule 'per-usr': there is no such rule; did you mean 'per-user'?"),
        (["key", "per-usr", "u1", "reset"], "rule 'per-usr': there is no such rule; did you mean 'per-user'?"),
        (["key", "per-usr", "reset"], "rule 'per-usr': there is no such rule; did you mean 'per-user'?"),
        (
            ["key", "two parts", "u1", "show"],
            "rule 'two parts': the key of this rule has 2 parts, each given by itself: user, client.ip",
        ),
        (["key", "per-user", "show"], "rule 'per-user': the key of this rule has 1 part: user"),
    ],
)
def test_what_is_not_there_is_answered_with_what_was_meant(url, words, why):
    done = typed(*words, url=url)
    assert (1, "", f"guardrail: {why}\n") == done


@pytest.mark.parametrize("words", [["breaker", "payments", "shut"], ["breaker", "payments"], ["key", "per-user", "u1"]])
def test_another_action_is_refused_with_those_there_are(url, words):
    done = typed(*words, url=url)
    assert 2 == done.code
    assert "reset" in done.err or "Missing argument" in done.err


def test_a_key_is_shown_and_nothing_is_taken(guard, url):
    called(guard, 2, user="u1")
    for _ in range(2):
        done = typed("key", "per-user", "u1", "show", url=url)
        assert (0, "rule 'per-user': lets the next call in, which leaves 2 of 5 (5/min)\n") == (done.code, done.out)
    called(guard, 3, user="u1")
    done = typed("key", "per-user", "u1", "show", url=url)
    assert "rule 'per-user': refuses the next call: rate (5/min); lets one in in 12 s\n" == done.out


def test_other_kinds_of_rules_have_a_standing_too(guard, url):
    done = typed("key", "payments", "show", url=url)
    assert "rule 'payments': lets the next call in\n" == done.out
    guard.breakers["payments"].force_open()
    done = typed("key", "payments", "show", url=url)
    assert "rule 'payments': refuses the next call: breaker_forced\n" == done.out


def test_a_composite_key_is_given_in_its_parts(guard, url):
    called(guard, 5, user="u1", **{"client.ip": "10.0.0.7"})
    assert "leaves 3 of 9" in typed("key", "two parts", "u1", "10.0.0.7", "show", url=url).out
    assert "leaves 8 of 9" in typed("key", "two parts", "10.0.0.7", "u1", "show", url=url).out


def test_one_key_is_forgotten(guard, url):
    for user in ("u1", "u2"):
        called(guard, 5, user=user)
    done = typed("key", "per-user", "u1", "reset", url=url)
    assert (0, "rule 'per-user': what it had counted is forgotten for this key\n") == (done.code, done.out)
    assert [True, False] == [guard.standing("per-user", user).allowed for user in ("u1", "u2")]


def test_all_keys_are_forgotten_only_where_that_is_said(guard, url):
    called(guard, 5, user="u1")
    done = typed("key", "per-user", "reset", url=url)
    assert 1 == done.code
    assert "counts each key apart: name the key, or say --all to forget all of them" in done.err
    assert not guard.standing("per-user", "u1").allowed
    assert 2 == typed("key", "per-user", "u1", "reset", "--all", url=url).code
    assert 0 == typed("key", "per-user", "reset", "--all", url=url).code
    assert guard.standing("per-user", "u1").allowed


def test_a_rule_without_a_key_needs_none(guard, url):
    rule = "GET /v1/orders/{id}/limit"
    for _ in range(5):
        guard.try_enter("GET /v1/orders/{id}").exit()
    assert "refuses the next call" in typed("key", rule, "show", url=url).out
    assert 0 == typed("key", rule, "reset", url=url).code
    assert "leaves 4 of 5" in typed("key", rule, "show", url=url).out


def test_a_key_may_look_like_an_option_or_an_action(guard, url):
    called(guard, 5, user="show")
    assert "refuses" in typed("key", "per-user", "show", "show", url=url).out
    called(guard, 5, user="--all")
    done = typed(
        "key", "--url", url, "--token", "canary-token-0123456789", "--", "per-user", "--all", "reset", token=None
    )
    assert (0, "rule 'per-user': what it had counted is forgotten for this key\n") == (done.code, done.out)


def test_every_process_of_a_range_is_operated(two):
    guards, address = two
    done = typed("breaker", "payments", "open", url=address)
    assert 0 == done.code
    assert ["forced_open"] * 2 == [guard.breakers["payments"].state for guard in guards]
    assert done.out.startswith("breaker 'payments': forced open: every call is refused until 'reset' [127.0.0.1:")
    assert 1 == done.out.count("\n")


def test_processes_that_stand_differently_are_told_apart(two):
    guards, address = two
    called(guards[0], 5, user="u1")
    lines = typed("key", "per-user", "u1", "show", url=address).out.splitlines()
    assert ["refuses the next call", "lets the next call in"] == [
        line.partition(": ")[2].partition(", which")[0].partition(":")[0] for line in lines
    ]


def test_a_process_that_could_not_be_reached_is_not_passed_over(guard, url, monkeypatch):
    monkeypatch.setattr("guardrail.cli.remote.client.PATIENCE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hung = f"127.0.0.1:{silent.getsockname()[1]}"
        done = typed("breaker", "payments", "open", "--url", hung, url=url)
    assert 1 == done.code
    assert "forced_open" == guard.breakers["payments"].state
    assert f"{hung} does not answer within" in done.out
    assert "forced open" in done.out


def test_programs_get_what_each_process_said(two):
    guards, address = two
    called(guards[0], 5, user="u1")
    shown = json.loads(typed("key", "per-user", "u1", "show", "--json", url=address).out)
    assert shown["ok"]
    assert [(True, False, "rate"), (True, True, None)] == [
        (one["ok"], one["allowed"], one["reason"]) for one in shown["processes"]
    ]
    opened = json.loads(typed("breaker", "payments", "open", "--json", url=address).out)
    assert ["forced_open"] * 2 == [one["state"] for one in opened["processes"]]
    done = typed("breaker", "paymnts", "open", "--json", url=address)
    failed = json.loads(done.out)
    assert (1, False) == (done.code, failed["ok"])
    assert "did you mean 'payments'" in failed["processes"][0]["problem"]
