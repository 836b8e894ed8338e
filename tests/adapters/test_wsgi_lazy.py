"""WSGI apps that find out late that they are refused: before the first bytes go out there is an answer, then no more."""

import pytest

from guardrail import Refused
from guardrail.adapters.wsgi import GuardMiddleware
from tests.adapters.test_wsgi import ONCE, PLACES, Server
from tests.adapters.wire import guard_of, inside


class Lazy:
    """Items whose making is refused."""

    closed = 0

    def __init__(self, *given):
        self.given = list(given)

    def __iter__(self):
        return self

    def __next__(self):
        if self.given:
            return self.given.pop(0)
        with guard_of({**ONCE, "key": None}).enter("inner", cost=2):
            raise AssertionError

    def close(self):
        self.closed += 1


def own(environ, refused):
    def answer(environ, start_response):
        start_response("418 Tea", [])
        return [b"tea"]

    return answer


@pytest.mark.parametrize(("hook", "status"), [(None, "429 Too Many Requests"), (own, "418 Tea")])
@pytest.mark.parametrize("is_started", [False, True])
@pytest.mark.parametrize("given", [(), (b"",)])
def test_a_refusal_before_the_first_bytes_is_the_answer(hook, status, is_started, given):
    guard, lazy, infos = guard_of(PLACES), Lazy(*given), []

    def app(environ, start_response):
        if is_started:
            start_response("200 OK", [])
        return lazy

    class Strict(Server):
        def start_response(self, status, headers, exc_info=None):
            infos.append(exc_info)
            assert self.status is None or exc_info is not None
            super().start_response(status, headers)

    served = Strict(GuardMiddleware(app, guard, on_refused=hook)).finish()
    assert [status, 1, 0] == [served.status, lazy.closed, inside(guard, "places")]
    assert [None] * is_started + [is_started] == [*infos[:-1], infos[-1] is not None]


@pytest.mark.parametrize("writes", [False, True])
def test_a_refusal_after_the_first_bytes_comes_too_late(writes):
    guard, sent = guard_of(PLACES), []

    def app(environ, start_response):
        write = start_response("200 OK", [])
        if writes:
            write(b"one")
        return Lazy(*([] if writes else [b"one"]))

    class Writing(Server):
        def start_response(self, *given):
            super().start_response(*given)
            return sent.append

    server = Writing(GuardMiddleware(app, guard))
    with pytest.raises(Refused):
        server.finish()
    server.items.close()
    assert ["200 OK", [b"one"] * writes, 0] == [server.status, sent, inside(guard, "places")]
