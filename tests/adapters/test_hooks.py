"""Hooks of a service that are async where nobody waits, that raise, or that return rubbish; and errors it was refused by."""

import asyncio
import re

import httpx as library
import pytest
from grpc import RpcError

from guardrail import BreakerOpen, BulkheadFull, RateLimited
from guardrail.adapters import asgi, grpc, httpx, wsgi
from guardrail.adapters.grpc.attributes import ServedAttributes
from guardrail.adapters.grpc.options import EXEMPT, checked
from guardrail.adapters.hooks import refusal_of
from guardrail.admission.call import key_of
from guardrail.core.verdict import Decision, Verdict
from guardrail.errors import Refused
from tests.adapters.test_wsgi import environ
from tests.adapters.test_wsgi import serve as serve_wsgi
from tests.adapters.wire import PER_CLIENT, call, guard_of, hello, http

ONCE = {**PER_CLIENT, "rate": "1/min"}


async def later(*_):
    """A hook that has to be awaited."""
    return False


def soon(*_):
    """A hook that looks as if it had not."""
    return later()


class Later:
    """A hook that is an object."""

    async def __call__(self, scope):
        return dict(scope["headers"])[b"x-user"].decode()


def asgi_statuses(*users, **options):
    app = asgi.GuardMiddleware(hello, guard_of({**ONCE, "key": "user"}), **options)
    return [call(app, http(headers=[("x-user", user)])).status for user in users]


def test_what_would_have_to_be_awaited_is_no_user():
    assert [200, 429, 429] == asgi_statuses("ann", "ann", "bob", user=soon)
    app = wsgi.GuardMiddleware(
        lambda _, start: (start("200 OK", []) and []) or [], guard_of(ONCE | {"key": "user"}), user=soon
    )
    assert ["200 OK", "429 Too Many Requests"] == [serve_wsgi(app, environ()).status for _ in range(2)]


def test_what_would_have_to_be_awaited_exempts_nothing_and_names_nothing():
    assert [200, 429] == asgi_statuses("ann", "ann", exempt=soon)
    assert [200, 429] == asgi_statuses("ann", "ann", resource=soon)


def test_the_log_says_that_a_hook_is_async(caplog):
    asgi_statuses("ann", user=soon)
    assert re.search("soon.* returned .*, which nobody can await here", caplog.messages[0])


def test_an_object_may_be_an_async_hook():
    assert [200, 429, 200] == asgi_statuses("ann", "ann", "bob", user=Later())


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda **hook: asgi.GuardMiddleware(hello, **hook), "exempt"),
        (lambda **hook: asgi.GuardMiddleware(hello, **hook), "resource"),
        *(
            (lambda **hook: wsgi.GuardMiddleware(None, **hook), name)
            for name in ("user", "exempt", "resource", "on_refused")
        ),
        (httpx.GuardTransport, "user"),
        (httpx.GuardTransport, "resource"),
        (grpc.ServerGuard, "user"),
        (grpc.ServerGuard, "resource"),
    ],
)
@pytest.mark.parametrize("hook", [later, Later()])
def test_an_async_hook_where_nobody_waits_is_a_wrong_option(make, name, hook):
    with pytest.raises(TypeError, match=f"^{name} must "):
        make(**{name: hook})


async def raising(*_):
    raise ValueError("the page cannot be made")


async def refusing(*_):
    guard = guard_of({"name": "pages", "resource": "**", "kind": "limit", "rate": "1/min"})
    for _ in range(2):
        with guard.enter("page"):
            pass


async def silent(*_):
    """Send nothing."""


@pytest.mark.parametrize("made", [raising, refusing, silent, dict, object], ids=lambda made: made.__name__)
def test_an_answer_that_cannot_be_sent_is_the_usual_one(made):
    app = asgi.GuardMiddleware(hello, guard_of(ONCE), on_refused=lambda scope, refused: made)
    answers = [call(app, http()) for _ in range(2)]
    assert [200, 429] == [answer.status for answer in answers]
    assert answers[1].headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("is_started", [False, True])
def test_an_answer_that_cannot_be_sent_is_the_usual_one_with_wsgi(is_started):
    def broken(environ, start_response):
        if is_started:
            start_response("418 Tea", [])
        raise ValueError("the page cannot be made")

    def page(environ, start_response):
        start_response("200 OK", [])
        return []

    app = wsgi.GuardMiddleware(page, guard_of(ONCE), on_refused=lambda environ, refused: broken)
    answers = [serve_wsgi(app) for _ in range(2)]
    assert ["200 OK", "429 Too Many Requests"] == [answer.status for answer in answers]
    assert answers[1].headers["Content-Type"] == "application/problem+json"


def test_an_answer_that_breaks_off_stays_broken_off():
    async def page(scope, receive, send):
        await send({"type": "http.response.start", "status": 418, "headers": []})
        raise ValueError("the rest cannot be made")

    app = asgi.GuardMiddleware(hello, guard_of(ONCE), on_refused=lambda scope, refused: page)
    call(app, http())
    with pytest.raises(ValueError, match="the rest"):
        call(app, http())


@pytest.mark.parametrize("hook", [lambda method: None, lambda method: 5, lambda method: "", lambda method: 1 / 0])
def test_a_method_without_another_name_keeps_its_own(hook):
    options = checked(None, EXEMPT, None, hook)
    assert options.resource_of("/pkg.Greeter/Hello") == "/pkg.Greeter/Hello"
    assert options.resource_of("/pkg.Greeter/Hello", "client ") == "client /pkg.Greeter/Hello"


def test_a_caller_of_grpc_who_would_have_to_be_awaited_is_nobody():
    assert ServedAttributes("/pkg.Greeter/Hello", None, soon).get("user") is None


def test_an_outgoing_call_of_a_user_who_would_have_to_be_awaited_is_nobodys():
    guard = guard_of({**ONCE, "resource": "client GET api.example", "key": "user"})
    transport = httpx.GuardTransport(library.MockTransport(lambda _: library.Response(200)), guard=guard, user=soon)
    with library.Client(transport=transport) as client:
        client.get("http://api.example")
        with pytest.raises(Refused):
            client.get("http://api.example")


class Bare:
    """A user who has an id, but no text of its own."""

    id = 7


class Unwritable:
    """A user whose text cannot be made."""

    def __str__(self):
        raise KeyError("name")


@pytest.mark.parametrize("user", [Bare, Unwritable])
def test_a_user_without_a_text_is_nobody(user):
    assert [200, 429] == asgi_statuses("ann", "ann", user=lambda scope: user())
    assert key_of((("user",),), ServedAttributes("/pkg.Greeter/Hello", None, lambda context: user()).get) == ""


def test_a_user_without_a_text_has_parts():
    async def load(scope):
        return Bare()

    for hook in (load, lambda scope: Bare()):
        app = asgi.GuardMiddleware(hello, guard_of({**ONCE, "key": "user.id"}), user=hook)
        assert [200, 429] == [call(app, http(client=(f"1.1.1.{number}", 1))).status for number in range(2)]


def refusal(kind=RateLimited, retry_after=1.0):
    verdict = Verdict("r", "limit", allowed=False, reason="rate", text="1/min", retry_after=retry_after)
    return kind("orders", Decision.of((verdict,)))


def caused_by(refused, kind=RpcError):
    error = kind("no")
    error.__cause__ = refused
    return error


SHORT, LONG, FOR_EVER = refusal(), refusal(BreakerOpen, 60.0), refusal(BulkheadFull, None)
BUG, CANCELLED = ValueError("a bug"), asyncio.CancelledError()


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (SHORT, SHORT),
        (BUG, None),
        (CANCELLED, None),
        (caused_by(SHORT), SHORT),
        (RpcError("no"), None),
        (caused_by(SHORT, ValueError), None),
        (caused_by(BUG), None),
        (ExceptionGroup("", [SHORT]), SHORT),
        (ExceptionGroup("", [SHORT, BUG]), None),
        (ExceptionGroup("", [BUG]), None),
        (ExceptionGroup("", [SHORT, LONG, SHORT]), LONG),
        (ExceptionGroup("", [LONG, FOR_EVER, SHORT]), FOR_EVER),
        (ExceptionGroup("", [SHORT, ExceptionGroup("", [ExceptionGroup("", [LONG])])]), LONG),
        (ExceptionGroup("", [SHORT, ExceptionGroup("", [BUG])]), None),
        (ExceptionGroup("", [SHORT, caused_by(LONG)]), LONG),
        (BaseExceptionGroup("", [CANCELLED, SHORT]), SHORT),
        (BaseExceptionGroup("", [CANCELLED]), None),
        (BaseExceptionGroup("", [SHORT, KeyboardInterrupt()]), None),
        (BaseExceptionGroup("", [SHORT, SystemExit()]), None),
    ],
)
def test_an_error_comes_down_to_a_refusal_if_nothing_else_is_in_it(error, found):
    assert found is refusal_of(error)


def test_of_refusals_that_last_equally_long_the_first_speaks():
    first, second = refusal(), refusal()
    assert first is refusal_of(ExceptionGroup("", [first, ExceptionGroup("", [second])]))


def test_a_group_of_tasks_comes_down_to_the_refusal_that_ended_it():
    async def refused():
        raise SHORT

    async def main():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.Event().wait())
            tasks.create_task(refused())

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(main())
    assert SHORT is refusal_of(caught.value)
