"""What `/metrics` answers, and what becomes of scrapes that fail, hang, or are read slowly: calls never notice."""

import asyncio
import socket
from threading import Event, Thread

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics

from guardrail import Guard, default
from guardrail.telemetry.prometheus import MetricsPage, exposition, page, register
from tests.telemetry.prometheus.scene import Seen, guard_of, of, series, snapshot

PATIENCE = 20
ONE = snapshot(("a", "r", 1, 0, 0, 0))
TWO = snapshot(("a", "r", 2, 0, 0, 0))
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
ALLOWED = "guardrail_decisions_total{outcome=allow,resource=a,rule=r}"


@pytest.fixture
def registry():
    found = CollectorRegistry(auto_describe=True)
    Counter("orders", "of the service itself", registry=found).inc(7)
    return found


def shown(answer):
    assert 200 == answer.status
    return series(answer.body.decode())


def broken():
    raise RuntimeError("no numbers today")


def test_the_guard_and_all_else_that_the_registry_shows(registry):
    found = shown(MetricsPage(Seen(ONE), registry).answer())
    assert [1, 7] == [found[ALLOWED], found["orders_total"]]


def test_a_guard_that_is_registered_too_is_shown_once(registry):
    seen = Seen(ONE)
    register(seen, registry)
    answer = MetricsPage(seen, registry).answer()
    assert 1 == answer.body.count(b"# TYPE guardrail_decisions_total")
    assert [1, 7] == [shown(answer)[ALLOWED], shown(answer)["orders_total"]]


def test_a_page_shows_its_own_guard_where_another_one_is_registered(registry):
    register(Seen(ONE), registry)
    answer = MetricsPage(Seen(TWO), registry).answer()
    assert 1 == answer.body.count(b"# TYPE guardrail_decisions_total")
    assert 2 == shown(answer)[ALLOWED]


def test_many_pages_in_one_process(registry):
    pages = [MetricsPage(Seen(one), registry) for one in (ONE, TWO)]
    assert [1, 2] == [shown(each.answer())[ALLOWED] for each in pages]


def test_the_default_guard():
    with default.substituted(rules=[{"name": "r", "resource": "a", "kind": "limit", "rate": "1/s"}]) as guard:
        guard.try_enter("a").exit()
        assert 1 == shown(MetricsPage().answer())[ALLOWED]
        assert 1 == series(exposition()[1].decode())[ALLOWED]


#    accept                                                                     content type begins with
ACCEPTED = [
    (None, PLAIN),
    ("", PLAIN),
    ("*/*", PLAIN),
    ("text/html", PLAIN),
    ("application/openmetrics-text", "application/openmetrics-text; version="),
    ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text; version=1.0.0"),
    ("text/plain;version=0.0.4;q=0.3,*/*;q=0.2", PLAIN),
    ("application/openmetrics-text; version=x", PLAIN),
    (
        "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
        "application/openmetrics-text; version=1.0.0",
    ),
]


@pytest.mark.parametrize(("accept", "begins"), ACCEPTED)
def test_the_scraper_chooses_the_format(registry, accept, begins):
    status, fields, body = MetricsPage(Seen(ONE), registry).answer(accept)
    assert 200 == status
    assert dict(fields)["Content-Type"].startswith(begins)
    assert str(len(body)) == dict(fields)["Content-Length"]
    assert body.endswith(b"# EOF\n") == ("openmetrics" in begins)


def test_open_metrics_can_be_read(registry):
    answer = MetricsPage(Seen(ONE), registry).answer("application/openmetrics-text; version=1.0.0")
    assert "guardrail_decisions" in {family.name for family in open_metrics(answer.body.decode())}


def test_a_registry_alone(registry):
    content_type, body = exposition(registry)
    assert [PLAIN, {"orders_total": 7}] == [
        content_type,
        {k: v for k, v in series(body.decode()).items() if "created" not in k},
    ]


def test_a_guard_that_cannot_be_looked_at_takes_no_other_metric_along(registry, caplog):
    seen = Seen(broken)
    metrics = MetricsPage(seen, registry)
    first, second = shown(metrics.answer()), shown(metrics.answer())
    assert 7 == first["orders_total"] == second["orders_total"]
    assert {} == of(first, "guardrail_decisions_total")
    assert ["a guard cannot be looked at, so its metrics are missing until it can"] == caplog.messages
    seen.shown = ONE
    assert 1 == shown(metrics.answer())[ALLOWED]
    seen.shown = broken
    metrics.answer()
    assert 2 == len(caplog.messages)


def test_one_of_several_guards_that_cannot_be_looked_at():
    registry = CollectorRegistry()
    register(Seen(broken), registry, name="out")
    register(Seen(TWO), registry, name="in")
    found = series(exposition(registry)[1].decode())
    assert {"{guard=in,outcome=allow,resource=a,rule=r}": 2} == {
        place: value for place, value in of(found, "guardrail_decisions_total").items() if value
    }


def test_a_scrape_that_fails_is_an_error_to_the_scraper_alone(registry, caplog):
    class Failing:
        def collect(self):
            raise RuntimeError("a secret")

        def describe(self):
            return []

    registry.register(Failing())
    answer = MetricsPage(Seen(ONE), registry).answer()
    assert (500, b"guardrail: metrics cannot be shown; the log says why\n") == (answer.status, answer.body)
    assert ["metrics cannot be shown"] == caplog.messages


class Stuck:
    """A guard whose snapshots do not come back until they may."""

    def __init__(self, shown):
        self.shown = shown
        self.begun = Event()
        self.may_end = Event()

    def snapshot(self):
        self.begun.set()
        assert self.may_end.wait(PATIENCE)
        return self.shown


def test_a_scrape_that_hangs_holds_up_no_more_than_the_next_ones(registry, monkeypatch):
    monkeypatch.setattr(page, "PATIENCE_S", 0.01)
    stuck = Stuck(ONE)
    metrics = MetricsPage(stuck, registry)
    answers = []
    thread = Thread(target=lambda: answers.append(metrics.answer()))
    thread.start()
    assert stuck.begun.wait(PATIENCE)
    second = metrics.answer()
    stuck.may_end.set()
    thread.join(PATIENCE)
    assert (503, b"guardrail: the scrape before this one has not ended\n") == (second.status, second.body)
    assert [1, 1] == [shown(answers[0])[ALLOWED], shown(metrics.answer())[ALLOWED]]


def test_calls_go_on_while_a_scrape_hangs(registry):
    guard = guard_of({"name": "r", "resource": "a", "kind": "limit", "rate": "1000/s"})

    class Hanging(Stuck):
        def snapshot(self):
            looked = guard.snapshot()
            super().snapshot()
            return looked

    stuck = Hanging(None)
    thread = Thread(target=MetricsPage(stuck, registry).answer)
    thread.start()
    assert stuck.begun.wait(PATIENCE)
    granted = [bool(guard.try_enter("a")) for _ in range(100)]
    stuck.may_end.set()
    thread.join(PATIENCE)
    assert all(granted)


def test_nothing_is_held_while_a_client_reads_slowly(registry):
    guard = guard_of({"name": "r", "resource": "a", "kind": "limit", "rate": "1000/s"})
    many = Counter("filler", "more than fits into a socket", ["number"], registry=registry)
    for number in range(5_000):
        many.labels(number)
    metrics = MetricsPage(guard, registry)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        sender = Thread(target=lambda: (ours.sendall(metrics.answer().body), ours.shutdown(socket.SHUT_WR)))
        sender.start()
        assert theirs.recv(1)  # it has begun, and nobody reads on
        assert sender.is_alive()
        assert [True] * 100 == [bool(guard.try_enter("a")) for _ in range(100)]
        assert 100 == shown(metrics.answer())[ALLOWED]
        while theirs.recv(65_536):
            pass
        sender.join(PATIENCE)
        assert not sender.is_alive()


def test_tasks_go_on_while_a_scrape_hangs(registry):
    stuck = Stuck(ONE)
    metrics = MetricsPage(stuck, registry)

    async def scrape():
        scraping = asyncio.create_task(metrics.aanswer())
        while not stuck.begun.is_set():
            await asyncio.sleep(0)
        stuck.may_end.set()
        return await scraping

    assert 1 == shown(asyncio.run(scrape()))[ALLOWED]


def test_a_page_of_what_is_no_guard():
    with pytest.raises(TypeError, match="guard must be a Guard"):
        MetricsPage(Guard)
