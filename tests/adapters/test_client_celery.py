"""Celery: tasks that are refused come back when `retry_after` is over."""

from contextlib import contextmanager
from logging import getLogger

import pytest
from celery import Celery, chain
from celery.contrib.testing.worker import start_worker
from celery.exceptions import Reject
from kombu.utils import json

from guardrail import BulkheadFull, Guard, RateLimited
from guardrail.adapters.celery import LONGEST, RetryRefused, countdown, postponed, retry_refused
from guardrail.testing import FakeClock
from tests.adapters.client_fakes import Far, client_of

PATIENCE = 20.0
RULES = [
    {"resource": "room", "kind": "bulkhead", "max_concurrent": 1},
    {"resource": "small", "kind": "limit", "rate": "1/s"},
    {"resource": "slow", "kind": "limit", "rate": "1 per 200ms"},
]


class Office:
    """Tasks of all kinds, and what they have seen."""

    def __init__(self, app, guard, stuck):
        self.runs = []
        self.guard = guard
        self.inside = None

        @app.task(bind=True, max_retries=0, shared=False)
        @retry_refused
        @guard.limit("1 per 200ms", name="mail")
        def send(task, to, *, subject):
            self.runs.append((to, subject, task.request.retries, task.request.id))
            return to

        @app.task(base=RetryRefused, shared=False)
        @guard.limit("1 per 200ms", name="sum")
        def add(one, other):
            return one + other

        @app.task(shared=False)
        @retry_refused(max_refusals=2)
        def persist():
            self.runs.append("persist")
            with stuck.enter("stuck"):
                pass

        @app.task(base=RetryRefused, max_refusals=0, shared=False)
        def give_up():
            with stuck.enter("stuck"):
                pass

        @app.task(default_retry_delay=0.01, shared=False)
        @retry_refused
        def visit():
            self.runs.append("visit")
            if len(self.runs) == 3:
                self.inside.exit()
            with guard.enter("room"):
                return "inside"

        @app.task(shared=False)
        @retry_refused
        def overdo():
            self.runs.append("overdo")
            with guard.enter("small", cost=2):
                pass

        @app.task(bind=True, autoretry_for=(OSError,), max_retries=1, default_retry_delay=0, shared=False)
        @retry_refused
        @guard.limit("1 per 100ms", name="call")
        def call(task):
            self.runs.append(task.request.retries)
            raise OSError("no route")

        @app.task(shared=False)
        @retry_refused
        def gather():
            self.runs.append("gather")
            try:
                with guard.enter("slow"):
                    return "gathered"
            except RateLimited as refused:
                raise ExceptionGroup("tasks", [refused]) from None

        self.send, self.add, self.persist, self.give_up = send, add, persist, give_up
        self.visit, self.overdo, self.call, self.gather = visit, overdo, call, gather


@contextmanager
def own_logging():
    """Give the others their logging back, which a worker sets up for the whole process."""
    root = getLogger()
    level, handlers = root.level, list(root.handlers)
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers


@pytest.fixture(scope="module")
def open_office():
    app = Celery("tests", broker="memory://", backend="cache+memory://")
    app.conf.update(worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)
    with Guard(RULES) as guard, Guard(clock=FakeClock()) as stuck:
        stuck.apply([{"name": "stuck", "resource": "stuck", "kind": "limit", "rate": "1 per 10ms"}])
        stuck.try_enter("stuck").exit()
        office = Office(app, guard, stuck)
        with own_logging(), start_worker(app, pool="solo", concurrency=1, perform_ping_check=False, loglevel="ERROR"):
            yield office


@pytest.fixture
def office(open_office):
    open_office.runs.clear()
    return open_office


def test_a_refused_task_comes_back_and_its_tries_stay_its_own(office):
    results = [office.send.delay(f"u{number}", subject="hello") for number in range(3)]
    assert ["u0", "u1", "u2"] == [result.get(timeout=PATIENCE) for result in results]
    assert {(f"u{number}", "hello", 0, result.id) for number, result in enumerate(results)} == set(office.runs)


def test_the_base_task_does_the_same_and_keeps_chains_together(office):
    add = office.add
    assert 10 == chain(add.s(1, 2), add.s(3), add.s(4))().get(timeout=PATIENCE)


def test_after_as_many_refusals_as_it_may_have_the_refusal_is_its_result(office):
    with pytest.raises(RateLimited):
        office.persist.delay().get(timeout=PATIENCE)
    assert ["persist"] * 3 == office.runs
    with pytest.raises(RateLimited) as caught:
        office.give_up.delay().get(timeout=PATIENCE)
    assert ("stuck", "rate", 0.01, 1) == (
        caught.value.rule,
        caught.value.reason,
        caught.value.retry_after,
        len(caught.value.decision.verdicts),
    )


def test_a_refusal_that_names_no_time_comes_back_after_the_delay_of_the_task(office):
    office.inside = office.guard.try_enter("room")
    assert "inside" == office.visit.delay().get(timeout=PATIENCE)
    assert ["visit"] * 3 == office.runs


def test_a_group_of_refusals_comes_back_too(office):
    results = [office.gather.delay() for _ in range(2)]
    assert ["gathered"] * 2 == [result.get(timeout=PATIENCE) for result in results]
    assert len(office.runs) > 2


def test_what_can_never_succeed_does_not_come_back(office):
    with pytest.raises(RateLimited, match="the call costs more than rule 'small/limit' ever allows"):
        office.overdo.delay().get(timeout=PATIENCE)
    assert ["overdo"] == office.runs


def test_errors_of_the_task_and_its_own_retries_are_its_own(office):
    with pytest.raises(OSError, match="no route"):
        office.call.delay().get(timeout=PATIENCE)
    assert [0, 1] == office.runs


def test_a_call_in_the_own_process_raises_the_refusal():
    app = Celery("tests")
    with Guard(RULES) as guard:
        inside = guard.try_enter("room")

        @retry_refused
        def visit():
            with guard.enter("room"):
                pass

        @app.task(base=RetryRefused, shared=False)
        def drop_by():
            with guard.enter("room"):
                pass

        task = app.task(visit, shared=False)
        for call in (visit, task, drop_by):
            with pytest.raises(BulkheadFull):
                call()
        for eager in (task, drop_by):
            with pytest.raises(BulkheadFull):
                eager.apply(throw=True).get()
        inside.exit()


def test_arguments_are_still_checked_when_a_task_is_sent():
    @Celery("tests", broker="memory://").task(shared=False)
    @retry_refused
    def send(to):
        """Send a letter."""

    assert "Send a letter." == send.__doc__
    assert send.name.endswith(".send")
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'to'"):
        send.delay()


def test_a_broker_that_is_away_rejects_the_task_as_a_retry_would():
    class Away(Exception):
        pass

    class Signature:
        def apply_async(self):
            raise Away("no broker")

    class Request:
        called_directly, is_eager, headers = False, False, None

    class Task:
        OperationalError, request, default_retry_delay = Away, Request(), 1

        def signature_from_request(self, request, **options):
            return Signature()

    with Guard(RULES) as guard:
        inside = guard.try_enter("room")
        found = postponed(Task(), guard.try_enter("room").refusal(), None)
        inside.exit()
    assert isinstance(found, Reject)
    assert not found.requeue


def test_the_first_time_is_exact_and_later_ones_spread_up_to_what_brokers_keep():
    assert 1.5 == countdown(1.5, 1)
    for refusals, most in [(2, 2), (3, 4), (4, 8), (99, 33)]:
        found = [countdown(1.0, refusals) for _ in range(200)]
        assert 1.0 <= min(found)
        assert most / 2 < max(found) <= most
    assert LONGEST == countdown(99_999, 1)


@pytest.mark.parametrize(("most", "error"), [("3", TypeError), (True, TypeError), (-1, ValueError)])
def test_a_wrong_option_fails_at_once_by_its_name(most, error):
    with pytest.raises(error, match="max_refusals must be"):
        retry_refused(max_refusals=most)
    with pytest.raises(error, match="max_refusals must be"):
        type("Wrong", (RetryRefused,), {"max_refusals": most})


def test_what_another_service_has_asked_for_reads_the_same_in_the_result_of_a_task():
    far = Far((429, {"Retry-After": "30"}))
    with Guard(clock=FakeClock()) as guard, client_of(guard, far) as client:
        client.get("https://api.example.com/")
        with pytest.raises(RateLimited) as caught:
            client.get("https://api.example.com/")
    decision = caught.value.decision
    again = json.loads(json.dumps(decision))
    assert (decision, decision.sentence()) == (again, again.sentence())
