"""A real Prometheus scrapes real workers, evaluates our rules, and answers what the dashboard asks."""

from contextlib import contextmanager
from itertools import count
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler, make_server

from guardrail.telemetry.prometheus import MetricsPage
from tests.deploy.prometheus import needs_prometheus, queries_of_the_dashboard, running
from tests.deploy.test_rules import EVERY
from tests.telemetry.prometheus.scene import (
    Seen,
    breaker,
    bulkhead,
    distribution,
    latency,
    reload,
    rule,
    snapshot,
    store,
)
from tests.telemetry.prometheus.served import PATIENCE, serving

pytestmark = needs_prometheus
CALLS = 50


@contextmanager
def shown(guard):
    """Serve the metrics of a guard, and give the address."""
    page = MetricsPage(guard)

    def app(environ, start_response):
        status, fields, body = page.answer(environ.get("HTTP_ACCEPT"))
        start_response(f"{status} -", fields)
        return [body]

    class Silent(WSGIRequestHandler):
        def log_message(self, *_):
            pass

    with make_server("127.0.0.1", 0, app, handler_class=Silent) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(PATIENCE)


def busy():
    """A guard at which, between any two scrapes, everything happens once."""
    times = count(1)

    def look():
        number = next(times)
        seen = distribution(*[2_000] * number)
        return snapshot(
            ("orders", "per-user", *[number] * 4),
            ("orders", "b", *[number] * 4),
            rules=[rule("per-user", seen)],
            breakers=[breaker("b", open=1, transitions={("closed", "open"): number}, successes=number)],
            bulkheads=[bulkhead("p", in_use=1, capacity=1)],
            store=store(available=False, errors={"timeout": number}, seconds=seen),
            latencies=[latency("orders", seen)],
            reload=reload(failures=number, error="rules.yaml:1:1: no"),
        )

    return Seen(look)


def test_workers_are_scraped_as_one_and_add_up(tmp_path):
    folder = tmp_path / "metrics"
    folder.mkdir()
    with serving("gunicorn", folder) as served, running(tmp_path, api=f"127.0.0.1:{served.port}") as prometheus:
        done = served.work(CALLS) + served.work_everywhere()
        allowed = 'sum(guardrail_decisions_total{job="api", rule="work", outcome="allow"})'
        prometheus.until(lambda: prometheus.query(allowed), {(): done.total()})
        (target,) = prometheus.api("targets")["activeTargets"]
        assert ["up", ""] == [target["health"], target["lastError"]]
        kinds = {name: kind["type"] for name, (kind,) in prometheus.api("metadata").items()}
        assert ["counter", "gauge"] == [kinds["guardrail_decisions"], kinds["guardrail_rules_info"]]


def test_rules_are_evaluated_and_every_panel_has_its_numbers(tmp_path):
    with shown(busy()) as address, running(tmp_path, full=address) as prometheus:
        queries = list(queries_of_the_dashboard())
        prometheus.until(lambda: [title for title, query in queries if not prometheus.query(query)], [])
        assert len(EVERY) == len(_rules(prometheus))
        prometheus.until(lambda: {one["lastError"] for one in _rules(prometheus) if "lastError" in one}, set())
        firing = {"GuardrailBreakerFlapping"}
        waiting = {
            *("GuardrailBreakerOpen", "GuardrailBulkheadFull", "GuardrailStoreFallback"),
            *("GuardrailReloadFailing", "GuardrailShadowRefusals", "GuardrailRefusals"),
        }
        prometheus.until(
            lambda: _alerts(prometheus, "firing") >= firing and _alerts(prometheus, "pending") >= waiting, True
        )


def _rules(prometheus):
    return [one for group in prometheus.api("rules")["groups"] for one in group["rules"]]


def _alerts(prometheus, state):
    return {one["labels"]["alertname"] for one in prometheus.api("alerts")["alerts"] if one["state"] == state}
