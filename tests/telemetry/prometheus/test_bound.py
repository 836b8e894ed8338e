"""Label values are bounded and say nothing of keys, whoever calls and whatever things are called."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from guardrail.adapters.wsgi import GuardMiddleware
from guardrail.telemetry.counts import MOST_TALLIES
from guardrail.telemetry.prometheus.bound import MOST_NAMES, Bound
from guardrail.telemetry.prometheus.metrics import (
    BULKHEAD_FULLEST,
    BULKHEAD_IN_USE,
    QUEUE_WAIT,
    RELOAD_SUCCESSFUL,
    RULES,
)
from guardrail.telemetry.prometheus.points import Point
from tests.telemetry.prometheus.scene import (
    Seen,
    bulkhead,
    distribution,
    guard_of,
    of,
    scraped,
    series,
    snapshot,
    text_of,
)

CROWD = 100_000
CANARY = "canary-7f3a91c2"

KEYED = [
    {"name": "per-key", "resource": "**", "kind": "limit", "rate": "1/min", "key": "who"},
    {"name": "per-key-breaker", "resource": "**", "kind": "breaker", "key": "who", "consecutive_failures": 1},
    {"name": "per-key-places", "resource": "**", "kind": "bulkhead", "max_concurrent": 1, "key": "who"},
]


def values_by_label(text):
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            for label, value in sample.labels.items():
                found.setdefault(label, set()).add(value)
    return found


def test_a_hundred_thousand_keys_and_paths_add_no_more_label_values_than_there_is_room_for():
    guard = guard_of(KEYED[0])
    for number in range(CROWD):
        guard.try_enter(f"/path/{number}", {"who": f"key-{number}"}).exit()
    text = text_of(guard)
    resources = values_by_label(text)["resource"]
    assert MOST_TALLIES + 1 == len(resources)
    assert "__other__" in resources
    assert text.count("\n") < 4 * (MOST_TALLIES + 1) + 100
    decided = of(series(text), "guardrail_decisions_total")
    assert CROWD == sum(decided.values())


def test_keys_of_breakers_and_bulkheads_add_nothing():
    guard = guard_of(*KEYED)
    guard.try_enter("orders", {"who": "first"}).exit()
    few = text_of(guard)
    for number in range(20_000):
        guard.try_enter("orders", {"who": f"key-{number}"}).exit(failed=number % 2 == 0)
    many = text_of(guard)
    assert set(series(few)) == set(series(many))
    assert 5_000 <= of(series(many), "guardrail_breaker_state")["{breaker=per-key-breaker,state=open}"]


@pytest.mark.parametrize("name", ["who", "header.x-api-key", "cookie.session"])
def test_what_a_key_was_is_nowhere(name):
    guard = guard_of(*[{**one, "key": name} for one in KEYED], measure_latency=True)
    for number in range(3):
        guard.try_enter("orders", {name: CANARY}).exit(failed=number == 0)
    held = guard.try_enter("orders", {name: f"{CANARY}-held"})
    text = text_of(guard)
    held.exit()
    assert f"{CANARY}" not in text
    assert "per-key-breaker" in text
    assert 1 == of(scraped(guard), "guardrail_breaker_state")["{breaker=per-key-breaker,state=open}"]


def test_what_a_request_carried_is_nowhere():
    guard = guard_of(*[{**one, "key": "header.x-api-key"} for one in KEYED])

    def app(environ, start_response):
        start_response("500 Internal Server Error", [])
        return [b""]

    guarded = GuardMiddleware(app, guard)
    for _ in range(3):
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": f"/orders/{CANARY}",
            "QUERY_STRING": f"token={CANARY}",
            "HTTP_X_API_KEY": CANARY,
            "HTTP_COOKIE": f"session={CANARY}",
            "REMOTE_ADDR": "203.0.113.9",
            "wsgi.url_scheme": "http",
        }
        answer = guarded(environ, lambda *_: None)
        b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()
    text = text_of(guard)
    assert "guardrail_decisions_total{" in text
    assert CANARY not in text


def test_further_names_are_counted_together():
    bound = Bound(most=2)
    names = ["a", "b", "c", "d", "a"]
    numbers = bound.collected(Point(BULKHEAD_IN_USE, (name,), 1) for name in names)
    assert {"a": 2, "b": 1, "__other__": 2} == {labels[0]: value for (_, labels), value in numbers.items()}


def test_of_further_names_the_fullest_counts():
    numbers = Bound(most=1).collected(Point(BULKHEAD_FULLEST, (name,), int(name)) for name in "13525")
    assert {("1",): 1, ("__other__",): 5} == {labels: value for (_, labels), value in numbers.items()}


def test_one_that_was_rejected_is_not_hidden_by_others():
    numbers = Bound().collected(Point(RELOAD_SUCCESSFUL, (), value) for value in (1, 0, 1))
    assert [0] == list(numbers.values())


def test_a_name_that_had_room_once_keeps_it():
    bound = Bound(most=2)
    for names in ("ab", "ca", "cb"):
        numbers = bound.collected(Point(RULES, (name,), 1) for name in names)
        assert names.replace("c", "o") == "".join("o" if key[0] == "__other__" else key[0] for _, key in numbers)


def test_distributions_of_further_names_are_added_up():
    bound = Bound(most=1)
    numbers = bound.collected(Point(QUEUE_WAIT, (name,), distribution(100, 5_000)) for name in "abc")
    assert {("a",): distribution(100, 5_000), ("__other__",): distribution(100, 5_000, 100, 5_000)} == {
        labels: value for (_, labels), value in numbers.items()
    }


def test_thousands_of_rules():
    pools = [bulkhead(f"p{number}", in_use=1, capacity=2) for number in range(MOST_NAMES + 500)]
    capacities = of(scraped(Seen(snapshot(bulkheads=pools))), "guardrail_bulkhead_capacity")
    assert MOST_NAMES + 1 == len(capacities)
    assert 1_000 == capacities["{bulkhead=__other__}"]
    assert 2 * len(pools) == sum(capacities.values())


def test_a_name_that_cannot_be_encoded_takes_no_scrape_along():
    found = of(
        scraped(Seen(snapshot(("a\udcff", "r", 1, 0, 0, 0), ("a\udcfe", "r", 2, 0, 0, 0)))), "guardrail_decisions_total"
    )
    assert 3 == found["{outcome=allow,resource=a?,rule=r}"]


def test_a_name_is_shown_as_it_is_written():
    name = 'GET /ärger/{id} "x" \\ \n'
    assert (
        1
        == of(scraped(Seen(snapshot((name, "r", 1, 0, 0, 0)))), "guardrail_decisions_total")[
            f"{{outcome=allow,resource={name},rule=r}}"
        ]
    )


def test_endless_names_are_cut():
    found = values_by_label(text_of(Seen(snapshot(("x" * 100_000, "r", 1, 0, 0, 0), ("x" * 99_999, "r", 1, 0, 0, 0)))))
    assert {f"{'x' * 199}…"} == found["resource"]
