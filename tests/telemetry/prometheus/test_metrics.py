"""What is scraped of a guard: the names and labels of the contract, and numbers that are true."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from guardrail import Refused
from guardrail.telemetry.prometheus import exposition
from guardrail.telemetry.prometheus.metrics import METRICS
from tests.telemetry.prometheus.scene import (
    AT,
    Seen,
    breaker,
    bulkhead,
    distribution,
    guard_of,
    latency,
    of,
    reload,
    rule,
    scraped,
    snapshot,
    store,
    text_of,
)

# Section 8 of the design and three more, written out once more: dashboards and alerts of users are written for these.
CONTRACT = {
    "guardrail_decisions_total": ("counter", {"resource", "rule", "outcome"}),
    "guardrail_breaker_state": ("gauge", {"breaker", "state"}),
    "guardrail_breaker_transitions_total": ("counter", {"breaker", "from", "to"}),
    "guardrail_breaker_calls_total": ("counter", {"breaker", "outcome"}),
    "guardrail_bulkhead_in_use": ("gauge", {"bulkhead"}),
    "guardrail_bulkhead_capacity": ("gauge", {"bulkhead"}),
    "guardrail_bulkhead_fullest": ("gauge", {"bulkhead"}),
    "guardrail_bulkhead_max_concurrent": ("gauge", {"bulkhead"}),
    "guardrail_queue_wait_seconds": ("histogram", {"rule"}),
    "guardrail_store_seconds": ("histogram", {"store"}),
    "guardrail_store_errors_total": ("counter", {"store", "kind"}),
    "guardrail_store_fallback_active": ("gauge", {"store"}),
    "guardrail_rules_info": ("gauge", {"revision"}),
    "guardrail_rules_last_reload_success_timestamp_seconds": ("gauge", set()),
    "guardrail_rules_last_reload_successful": ("gauge", set()),
    "guardrail_rules_reload_failures_total": ("counter", set()),
}
MEASURED = {"guardrail_call_seconds": ("histogram", {"resource"})}

EVERYTHING = snapshot(
    ("orders", "per-user", 7, 2, 1, 3),
    rules=[rule("per-user", distribution(100, 5_000))],
    breakers=[breaker("payments", closed=1, transitions={("closed", "open"): 2})],
    bulkheads=[bulkhead("pool", in_use=3, capacity=10)],
    store=store(errors={"timeout": 4}, seconds=distribution(300)),
    latencies=[latency("orders", distribution(2_000))],
)


def shown_as(text):
    """Return the kind and labels of each metric, by its name."""
    found = {}
    for family in plain_text(text):
        name = family.name + "_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[name] = (family.type, labels)
    return found


def test_names_kinds_and_labels_are_those_of_the_contract():
    assert CONTRACT | MEASURED == shown_as(text_of(Seen(EVERYTHING)))


def test_call_times_are_there_where_they_are_measured():
    found = shown_as(text_of(Seen(snapshot())))
    assert set(CONTRACT) == set(found)


def test_each_metric_says_what_it_is():
    help_lines = [line for line in text_of(Seen(EVERYTHING)).splitlines() if line.startswith("# HELP ")]
    assert len(METRICS) == len(help_lines)
    assert all(len(line.split()) > 8 and line.endswith(".") for line in help_lines)


def test_open_metrics_reads_it_too():
    content_type, body = exposition(Seen(EVERYTHING), "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    ours = {family.name for family in open_metrics(body.decode()) if family.name.startswith("guardrail_")}
    assert {metric.name for metric in METRICS} == ours


def test_one_look_per_scrape():
    seen = Seen(EVERYTHING)
    text_of(seen)
    assert 1 == seen.looks


def test_decisions_by_outcome():
    guard = guard_of(
        {"name": "enforced", "resource": "orders", "kind": "limit", "rate": "2/min"},
        {"name": "watching", "resource": "orders", "kind": "limit", "rate": "1/min", "mode": "shadow"},
    )
    for _ in range(5):
        guard.try_enter("orders").exit()
    found = of(scraped(guard), "guardrail_decisions_total")
    assert {
        "{outcome=allow,resource=orders,rule=enforced}": 2,
        "{outcome=refuse,resource=orders,rule=enforced}": 3,
        "{outcome=shadow_refuse,resource=orders,rule=enforced}": 0,
        "{outcome=error,resource=orders,rule=enforced}": 0,
        "{outcome=allow,resource=orders,rule=watching}": 1,
        "{outcome=refuse,resource=orders,rule=watching}": 0,
        "{outcome=shadow_refuse,resource=orders,rule=watching}": found[
            "{outcome=shadow_refuse,resource=orders,rule=watching}"
        ],
        "{outcome=error,resource=orders,rule=watching}": 0,
    } == found
    assert found["{outcome=shadow_refuse,resource=orders,rule=watching}"] >= 1


def test_what_on_store_error_decided_is_counted_beside_what_came_of_it():
    found = of(scraped(Seen(snapshot(("orders", "shared", 3, 2, 0, 5)))), "guardrail_decisions_total")
    assert {"allow": 3, "refuse": 2, "shadow_refuse": 0, "error": 5} == {
        place.removeprefix("{outcome=").partition(",")[0]: value for place, value in found.items()
    }


BREAKER = {"name": "pay", "resource": "pay", "kind": "breaker", "consecutive_failures": 2, "open_for": "5s"}


def test_a_breaker_without_a_key_is_in_one_state_from_the_start():
    found = scraped(guard_of(BREAKER))
    assert {
        "{breaker=pay,state=closed}": 1,
        "{breaker=pay,state=open}": 0,
        "{breaker=pay,state=half_open}": 0,
        "{breaker=pay,state=forced_open}": 0,
        "{breaker=pay,state=forced_closed}": 0,
    } == of(found, "guardrail_breaker_state")


def test_a_breaker_that_opens_is_seen_to_do_so():
    guard = guard_of(BREAKER)
    before = scraped(guard)
    guard.try_enter("pay").exit()
    for _ in range(2):
        with pytest.raises(OSError, match="away"), guard.enter("pay"):
            raise OSError("away")
    with pytest.raises(Refused), guard.enter("pay"):
        pass
    after = scraped(guard)
    opened = "guardrail_breaker_transitions_total{breaker=pay,from=closed,to=open}"
    assert [0, 1] == [before[opened], after[opened]]
    assert 1 == after["guardrail_breaker_state{breaker=pay,state=open}"]
    assert {
        "{breaker=pay,outcome=success}": 1,
        "{breaker=pay,outcome=failure}": 2,
        "{breaker=pay,outcome=ignored}": 0,
    } == of(after, "guardrail_breaker_calls_total")


def test_breakers_with_a_key_are_counted_by_state():
    guard = guard_of({**BREAKER, "key": "user"})
    for user in "abc":
        guard.try_enter("pay", {"user": user}).exit()
    for _ in range(2):
        guard.try_enter("pay", {"user": "a"}).exit(failed=True)
    found = of(scraped(guard), "guardrail_breaker_state")
    assert [2, 1] == [found["{breaker=pay,state=closed}"], found["{breaker=pay,state=open}"]]


def test_places_taken_and_places_there_are():
    guard = guard_of({"name": "pool", "resource": "db", "kind": "bulkhead", "max_concurrent": 4})
    empty = scraped(guard)
    permits = [guard.try_enter("db") for _ in range(3)]
    full = scraped(guard)
    for permit in permits:
        permit.exit()
    assert [0, 4] == [empty[f"guardrail_bulkhead_{what}{{bulkhead=pool}}"] for what in ("in_use", "capacity")]
    assert [3, 4] == [full[f"guardrail_bulkhead_{what}{{bulkhead=pool}}"] for what in ("in_use", "capacity")]


def test_each_key_of_a_bulkhead_has_its_places():
    found = scraped(Seen(snapshot(bulkheads=[bulkhead("pool", in_use=5, capacity=4, count=3, fullest=4)])))
    assert [5, 12, 4, 4] == [
        found[f"guardrail_bulkhead_{what}{{bulkhead=pool}}"]
        for what in ("in_use", "capacity", "fullest", "max_concurrent")
    ]


def test_a_key_whose_places_are_taken_is_seen_among_many_that_are_not():
    guard = guard_of({"name": "pool", "resource": "db", "kind": "bulkhead", "max_concurrent": 4, "key": "tenant"})
    permits = [guard.try_enter("db", {"tenant": tenant}) for tenant in [*"aaaa", *"bcdefgh"]]
    full = scraped(guard)
    for permit in permits:
        permit.exit()
    assert [4, 4] == [full[f"guardrail_bulkhead_{what}{{bulkhead=pool}}"] for what in ("fullest", "max_concurrent")]
    assert full["guardrail_bulkhead_in_use{bulkhead=pool}"] < 0.9 * full["guardrail_bulkhead_capacity{bulkhead=pool}"]
    assert 0 == scraped(guard)["guardrail_bulkhead_fullest{bulkhead=pool}"]


def test_waits_fall_into_buckets_that_double():
    found = of(
        scraped(Seen(snapshot(rules=[rule("paced", distribution(0, 64, 65, 128, 1_000_000, 99_000_000))]))),
        "guardrail_queue_wait_seconds_bucket",
    )
    assert 22 == len(found)
    assert [2, 4, 5, 5, 6] == [
        found[f"{{le={le},rule=paced}}"] for le in ("6.4e-05", "0.000128", "1.048576", "67.108864", "+Inf")
    ]


def test_a_histogram_has_its_sum_and_count():
    found = scraped(Seen(snapshot(store=store(seconds=distribution(300, 700)))))
    assert 2 == found["guardrail_store_seconds_count{store=redis://cache:6379/0}"]
    assert 0.001 == found["guardrail_store_seconds_sum{store=redis://cache:6379/0}"]


def test_a_store_that_is_away():
    well, away = (
        scraped(Seen(snapshot(store=store()))),
        scraped(Seen(snapshot(store=store(available=False, errors={"password": 1})))),
    )
    name = "{store=redis://cache:6379/0}"
    assert [0, 1] == [found[f"guardrail_store_fallback_active{name}"] for found in (well, away)]
    assert {"timeout": 0, "connection": 0, "password": 1} == {
        place.partition("kind=")[2].partition(",")[0]: value
        for place, value in of(away, "guardrail_store_errors_total").items()
    }


def test_the_rules_in_force():
    guard = guard_of({"name": "one", "resource": "a", "kind": "limit", "rate": "1/s"})
    found = scraped(guard)
    assert 1 == found[f"guardrail_rules_info{{revision={guard.rules.revision}}}"]
    assert AT == found["guardrail_rules_last_reload_success_timestamp_seconds"]
    assert 0 == found["guardrail_rules_reload_failures_total"]
    assert 1 == found["guardrail_rules_last_reload_successful"]


def test_rules_that_could_not_be_used_are_counted(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text("version: 1\nrules: []\n")
    guard = guard_of()
    with type(guard)(path) as followed:
        path.write_text("version: 1\nrules: [{kind: limit}]\n")
        with pytest.raises(ValueError, match="rules.yaml"):
            followed.reload()
        rejected = scraped(followed)
        path.write_text("version: 1\nrules: [] # right again\n")
        followed.reload()
        mended = scraped(followed)
    names = ("guardrail_rules_reload_failures_total", "guardrail_rules_last_reload_successful")
    assert [1, 0] == [rejected[name] for name in names]
    assert [1, 1] == [mended[name] for name in names]


def test_call_times_of_a_guard_that_measures_them():
    guard = guard_of({"name": "one", "resource": "a", "kind": "limit", "rate": "1/s"}, measure_latency=True)
    permit = guard.try_enter("a")
    guard.ledger.clock.advance(0.003)
    permit.exit()
    found = of(scraped(guard), "guardrail_call_seconds_bucket")
    assert [0, 1] == [found["{le=0.002048,resource=a}"], found["{le=0.004096,resource=a}"]]


def test_a_reload_shows_the_new_revision_alone():
    seen = Seen(snapshot(reload=reload(revision="r2")))
    assert {"{revision=r2}": 1} == of(scraped(seen), "guardrail_rules_info")
