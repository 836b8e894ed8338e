"""What can be asked of a guard and done to it, through its endpoint."""

import logging
from dataclasses import asdict
from urllib.parse import quote

import pytest

from guardrail import StoreError
from guardrail.telemetry.entry import hidden
from guardrail.testing import FakeClock
from tests.control.scene import CANARY, START_US, ask, guard_of, served


@pytest.fixture
def guard():
    return guard_of()


@pytest.fixture
def control(guard):
    with served(guard) as control:
        yield control


def called(guard, times, **attributes):
    for _ in range(times):
        guard.try_enter("orders", attributes).exit()


def test_a_snapshot_is_what_the_guard_shows(guard, control):
    called(guard, 7, user="u1")
    said = ask(control, path="/v1/snapshot")
    assert (200, "application/json") == (said.status, said.headers["content-type"])
    [rule] = [one for one in said.content["rules"] if one["name"] == "per-user"]
    assert (5, 2, "5/min", "enforce") == (rule["allowed"], rule["refused"], rule["text"], rule["mode"])
    assert guard.snapshot().to_dict()["rules"][0]["refused"] == rule["refused"]


def test_keys_are_shown_only_where_they_are_asked_for(guard, control):
    called(guard, 9, user=CANARY)
    assert CANARY not in ask(control, path="/v1/snapshot").text
    assert CANARY not in ask(control, path="/v1/snapshot?show_keys=0").text
    assert CANARY in ask(control, path="/v1/snapshot?show_keys=1").text


@pytest.mark.parametrize(
    "query", ["show_keys=yes", "show_keys=", "show_keys=1&show_keys=0", "show_keys", "keys=1", "&"]
)
def test_a_parameter_that_is_not_understood_is_refused(control, query):
    assert 400 == ask(control, path=f"/v1/snapshot?{query}").status


def test_breakers_are_named_with_their_keys_only_where_that_is_asked_for(guard, control):
    guard.breakers[f"per-bank/{CANARY}"].force_open()
    assert CANARY not in ask(control, path="/v1/snapshot").text
    assert f"per-bank/{CANARY}" in ask(control, path="/v1/snapshot?show_keys=1").content["breakers"][1]["notable"]


def test_a_service_that_is_degraded_is_still_ready(guard, control):
    assert (200, "ok") == (ask(control).status, ask(control).content["status"])
    guard.breakers["payments"].force_open()
    said = ask(control)
    assert (200, "degraded") == (said.status, said.content["status"])
    assert ["breaker 'payments' keeps calls out"] == said.content["reasons"]


def test_a_service_that_is_failing_is_not(guard, control, monkeypatch):
    from guardrail.telemetry.health import Health

    monkeypatch.setattr(guard, "health", lambda: Health("failing", ("its store is away",)))
    said = ask(control)
    assert (503, {"status": "failing", "reasons": ["its store is away"]}) == (said.status, said.content)


def test_a_breaker_is_opened_held_closed_and_reset(guard, control):
    states = [ask(control, "POST", f"/v1/breakers/payments/{action}").content["state"] for action in ("open", "close")]
    assert ["forced_open", "forced_closed"] == states
    assert "forced_closed" == guard.breakers["payments"].state
    assert "closed" == ask(control, "POST", "/v1/breakers/payments/reset").content["state"]


def test_a_breaker_with_a_key_is_named_by_both(guard, control):
    guard.try_enter("payments.charge", {"bank": "acme & co"}).exit()
    assert 200 == ask(control, "POST", "/v1/breakers/per-bank%2Facme%20%26%20co/open").status
    assert "forced_open" == guard.breakers["per-bank/acme & co"].state
    assert "closed" == guard.breakers["per-bank/other"].state


@pytest.mark.parametrize("key", ["acme", "a/b", "x" * 500])
def test_a_breaker_is_named_by_the_hash_that_the_snapshot_shows(guard, control, key):
    guard.breakers[f"per-bank/{key}"].force_open()
    [name] = ask(control, path="/v1/snapshot").content["breakers"][1]["notable"]
    assert key not in name
    assert "forced_closed" == ask(control, "POST", f"/v1/breakers/{quote(name, safe='')}/close").content["state"]
    assert "forced_closed" == guard.breakers[f"per-bank/{key}"].state
    assert 200 == ask(control, "POST", f"/v1/breakers/{quote(f'per-bank/{key}', safe='')}/reset").status
    assert 1 == len([name for name in guard.breakers if name.startswith("per-bank/")])


def test_a_key_without_a_breaker_is_not_given_one(guard, control):
    for key in ("acme", hidden("acme")):
        said = ask(control, "POST", f"/v1/breakers/per-bank%2F{key}/open")
        assert (404, "no breaker is kept for this key yet; a key that has been called has one") == (
            said.status,
            said.content["detail"],
        )
    assert ["payments"] == list(guard.breakers)


@pytest.mark.parametrize(
    ("path", "detail", "meant"),
    [
        ("/v1/breakers/payment/open", "there is no such breaker", "payments"),
        ("/v1/breakers/zzz/open", "there is no such breaker", None),
        ("/v1/breakers/per-bank/open", "this rule has a breaker for each key: name it as rule/key", None),
        ("/v1/breakers/per-user/open", "there is no such breaker", None),
        ("/v1/rules/per-usr/reset", "there is no such rule", "per-user"),
        ("/v1/rules/zzz/reset?key=1", "there is no such rule", None),
    ],
)
def test_an_unknown_name_is_answered_with_the_one_that_was_meant(control, path, detail, meant):
    said = ask(control, "POST", path)
    assert (404, detail, meant) == (said.status, said.content["detail"], said.content.get("did_you_mean"))


def test_a_standing_takes_nothing(guard, control):
    called(guard, 2, user="u1")
    said = [ask(control, path="/v1/rules/per-user/standing?key=u1").content for _ in range(3)]
    assert [asdict(guard.standing("per-user", "u1"))] * 3 == said
    assert said[0]["remaining"] < ask(control, path="/v1/rules/per-user/standing?key=u2").content["remaining"]


def test_names_and_keys_are_percent_encoded(guard, control):
    guard.try_enter("GET /v1/orders/{id}").exit()
    path = "/v1/rules/GET%20%2Fv1%2Forders%2F%7Bid%7D%2Flimit/standing"
    assert asdict(guard.standing("GET /v1/orders/{id}/limit")) == ask(control, path=path).content
    called(guard, 5, user="a+b c&d=ä")
    said = ask(control, path="/v1/rules/per-user/standing?key=a%2Bb+c%26d%3D%C3%A4").content
    assert (False, "rate") == (said["allowed"], said["reason"])


def test_a_composite_key_has_its_parts_in_order(guard, control):
    called(guard, 5, user="u1", **{"client.ip": "10.0.0.7"})
    path = "/v1/rules/two%20parts/standing?key={}&key={}"
    there, turned = [ask(control, path=path.format(*key)).content for key in (("u1", "10.0.0.7"), ("10.0.0.7", "u1"))]
    assert asdict(guard.standing("two parts", ["u1", "10.0.0.7"])) == there
    assert 5 == turned["remaining"] - there["remaining"]


def test_a_missing_attribute_is_the_empty_key(guard, control):
    called(guard, 5)
    assert "rate" == ask(control, path="/v1/rules/per-user/standing?key=").content["reason"]


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("per-user/standing?key=a&key=b", "the key of this rule has 1 part: user"),
        ("two%20parts/standing?key=a", "the key of this rule has 2 parts, each given by itself: user, client.ip"),
        ("payments/standing?key=a", "the rule has no key: give none"),
        ("per-user/standing", "the key of this rule has 1 part: user"),
    ],
)
def test_a_key_of_another_number_of_parts_is_refused(control, path, detail):
    said = ask(control, path=f"/v1/rules/{path}")
    assert (400, detail) == (said.status, said.content["detail"])


def test_a_reset_forgets_one_key_or_all(guard, control):
    def let_in():
        return [guard.standing("per-user", user).allowed for user in ("u1", "u2")]

    called(guard, 5, user="u1")
    called(guard, 5, user="u2")
    assert {"forgotten": "key"} == ask(control, "POST", "/v1/rules/per-user/reset?key=u1").content
    assert [True, False] == let_in()
    assert {"forgotten": "all"} == ask(control, "POST", "/v1/rules/per-user/reset").content
    assert [True, True] == let_in()


@pytest.mark.parametrize("query", ["keys=u1", "key=u1&all=1", "Key=u1", "k%65y2=u1"])
def test_a_misspelt_key_does_not_reset_all_of_them(guard, control, query):
    called(guard, 5, user="u1")
    assert 400 == ask(control, "POST", f"/v1/rules/per-user/reset?{query}").status
    assert not guard.standing("per-user", "u1").allowed


def test_a_store_that_cannot_be_asked_is_said_to_be_away(guard, control, monkeypatch):
    def away(rule, key=None):
        raise StoreError(f"redis://secret@host is away, asked about {key}")

    monkeypatch.setattr(guard, "standing", away)
    said = ask(control, path=f"/v1/rules/per-user/standing?key={CANARY}")
    assert (503, "the rule is shared, and its store does not answer") == (said.status, said.content["detail"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/", 404),
        ("GET", "/v2/snapshot", 404),
        ("GET", "x/v1/snapshot", 404),
        ("GET", "/v1/snapshot/", 404),
        ("GET", "/v1/../v1/snapshot", 404),
        ("GET", "/v1/%73napshot", 200),
        ("GET", "//v1/snapshot", 200),  # as http.server reads it
        ("GET", "/v1/rules/a/b/standing", 404),
        ("POST", "/v1/breakers/payments/clos", 404),
        ("GET", "/v1/rules/%ff/standing", 400),
        ("GET", "/v1/rules/per-user/standing?key=%ff", 400),
        ("GET", "/v1/rules/per-user/standing?" + "&".join(["key=a"] * 21), 400),
        ("GET", "nothing", 400),
    ],
)
def test_what_is_not_there_is_not_there(control, method, path, status):
    assert status == ask(control, method, path).status


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/v1/snapshot", "GET"),
        ("HEAD", "/v1/health", "GET"),
        ("DELETE", "/v1/rules/per-user/reset", "POST"),
        ("GET", "/v1/rules/per-user/reset", "POST"),
        ("GET", "/v1/breakers/payments/open", "POST"),
        ("OPTIONS", "/v1/snapshot", "GET"),
        ("get", "/v1/snapshot", "GET"),
        ("__class__", "/v1/snapshot", "GET"),
    ],
)
def test_another_method_is_refused_and_does_nothing(guard, control, method, path, allow):
    said = ask(control, method, path)
    assert (405, allow) == (said.status, said.headers["allow"])
    assert "closed" == guard.breakers["payments"].state


def test_every_write_is_logged_without_the_key(guard, control, caplog):
    guard.try_enter("payments.charge", {"bank": CANARY}).exit()
    with caplog.at_level(logging.INFO, "guardrail.control"):
        ask(control, "POST", "/v1/breakers/payments/open")
        ask(control, "POST", f"/v1/breakers/per-bank%2F{CANARY}/close")
        ask(control, "POST", f"/v1/rules/per-user/reset?key={CANARY}")
        ask(control, "POST", "/v1/rules/per-user/reset")
        ask(control, path="/v1/snapshot")
    assert [
        "by hand: breaker 'payments' was forced open",
        "by hand: breaker 'per-bank' was held closed",
        "by hand: rule 'per-user' forgot one key",
        "by hand: rule 'per-user' forgot all that it had counted",
    ] == [record.getMessage() for record in caplog.records if record.name == "guardrail.control"]


def test_what_fails_is_answered_and_logged_without_its_words(guard, control, monkeypatch, caplog):
    def broken(*, show_keys):
        raise RuntimeError(CANARY)

    monkeypatch.setattr(guard, "snapshot", broken)
    said = ask(control, path="/v1/snapshot")
    assert (500, "application/problem+json") == (said.status, said.headers["content-type"])
    assert "RuntimeError" in caplog.text
    assert "in broken" in caplog.text
    assert CANARY not in caplog.text + said.text.replace("raise RuntimeError(CANARY)", "")
    monkeypatch.undo()
    assert 200 == ask(control).status


def test_a_rule_that_goes_away_is_gone_here_too():
    guard = guard_of(clock=FakeClock(START_US))
    with served(guard) as control:
        guard.apply([])
        assert 404 == ask(control, "POST", "/v1/breakers/payments/open").status
