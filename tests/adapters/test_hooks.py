"""Hooks of a service that are async where nobody waits, that raise, that return rubbish or that cannot be called."""

import inspect
import logging
import re
from operator import attrgetter

import httpx as library
import pytest

from guardrail.adapters import asgi, grpc, httpx, wsgi
from guardrail.adapters.grpc.attributes import ServedAttributes
from guardrail.adapters.grpc.options import EXEMPT, checked
from guardrail.adapters.hooks import checked_hook
from guardrail.admission.call import key_of
from guardrail.errors import Refused
from tests.adapters.test_wsgi import environ
from tests.adapters.test_wsgi import serve as serve_wsgi
from tests.adapters.wire import PER_CLIENT, call, guard_of, hello, http

ONCE = {**PER_CLIENT, "rate": "1/min"}


def page(environ, start_response):
    """An app of WSGI."""


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


def over_asgi(**hooks):
    guard = guard_of({**ONCE, "key": "user"})
    return asgi.GuardMiddleware(hello, guard, **hooks), "guardrail.http", lambda app: call(app, http()).status


def over_grpc(user):
    found = checked(None, EXEMPT, user, None)
    return (
        found,
        "guardrail.grpc",
        lambda options: ServedAttributes("/pkg.Greeter/Hello", None, options.user).get("user"),
    )


def over_httpx(user):
    guard = guard_of({**ONCE, "resource": "client GET api.example", "rate": "9/min", "key": "user"})
    transport = httpx.GuardTransport(library.MockTransport(lambda _: library.Response(200)), guard, user=user)
    return library.Client(transport=transport), "guardrail.clients", lambda client: client.get("http://api.example")


EVERYWHERE = pytest.mark.parametrize("adapter", [over_asgi, over_grpc, over_httpx])


@EVERYWHERE
@pytest.mark.parametrize("can_be_hashed", [False, True])
def test_a_hook_that_fails_is_warned_of_once_by_its_name(adapter, can_be_hashed, caplog):
    class Who:
        if not can_be_hashed:
            __hash__ = None

        def __call__(self, _):
            return 1 / 0

    caplog.set_level(logging.DEBUG, "guardrail")
    adapted, log, use = adapter(user=Who())
    for _ in range(3):
        use(adapted)
    found = [(record.name, record.levelname) for record in caplog.records if "no answer" in record.message]
    assert [(log, "WARNING"), (log, "DEBUG"), (log, "DEBUG")] == found
    assert re.search(r"^<.*Who object .*> raised, so there is no answer", caplog.messages[0])
    assert caplog.records[0].exc_info[0] is ZeroDivisionError


@EVERYWHERE
def test_the_log_says_once_that_a_hook_is_async(adapter, caplog):
    def who(_):
        return later()

    adapted, log, use = adapter(user=who)
    for _ in range(2):
        use(adapted)
    assert [(log, "WARNING")] == [(record.name, record.levelname) for record in caplog.records]
    assert re.search("who.* returned .*, which nobody can await here", caplog.messages[0])


def test_an_answer_that_cannot_be_made_is_warned_of_once(caplog):
    app, log, use = over_asgi(on_refused=lambda scope, refused: 1 / 0)
    assert [200, 429, 429] == [use(app) for _ in range(3)]
    assert [(log, "WARNING")] == [(record.name, record.levelname) for record in caplog.records]


@pytest.mark.parametrize("resource", [lambda _: 5, lambda _: 1 / 0])
def test_a_hook_that_names_nothing_is_warned_of_once(resource, caplog):
    app, log, use = over_asgi(resource=resource)
    assert [200, 429, 429] == [use(app) for _ in range(3)]
    assert [(log, "WARNING")] == [(record.name, record.levelname) for record in caplog.records]


@pytest.mark.parametrize(
    ("make", "name", "words"),
    [
        *(
            (lambda **hook: asgi.GuardMiddleware(hello, **hook), name, "the ")
            for name in ("user", "exempt", "resource")
        ),
        *((lambda **hook: wsgi.GuardMiddleware(page, **hook), name, "the ") for name in ("user", "exempt", "resource")),
        *((httpx.GuardTransport, name, "the request") for name in ("user", "resource")),
        *((kind, "user", "the context or details of the call") for kind in (grpc.ServerGuard, grpc.ClientGuard)),
        *((kind, "resource", "the method") for kind in (grpc.ServerGuard, grpc.ClientGuard)),
    ],
)
@pytest.mark.parametrize("hook", [lambda: "ann", lambda request, user: "ann", lambda *, request: "ann"])
def test_a_hook_that_cannot_be_called_is_a_wrong_option(make, name, words, hook):
    with pytest.raises(TypeError, match=f"^{name} must take one argument, {words}.*, got <function <lambda>"):
        make(**{name: hook})


@pytest.mark.parametrize("make", [lambda hook: asgi.GuardMiddleware(hello, on_refused=hook)])
def test_an_answer_is_made_of_the_request_and_the_refusal(make):
    with pytest.raises(TypeError, match="^on_refused must take two arguments, the .* and the refusal, got <function"):
        make(lambda request: None)


@pytest.mark.parametrize("hook", [str, len, attrgetter("id"), lambda *_: 1, lambda one, two=2: 1, Later().__call__])
def test_hooks_of_all_kinds_can_be_called(hook):
    assert hook is checked_hook("user", hook, "the request", awaits=True)


def test_a_hook_of_which_it_is_not_known_what_it_takes_is_taken():
    with pytest.raises(ValueError, match="no signature"):
        inspect.signature(min)
    assert min is checked_hook("user", min, "the request")


def test_an_object_may_be_an_async_hook():
    assert [200, 429, 200] == asgi_statuses("ann", "ann", "bob", user=Later())


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda **hook: asgi.GuardMiddleware(hello, **hook), "exempt"),
        (lambda **hook: asgi.GuardMiddleware(hello, **hook), "resource"),
        *(
            (lambda **hook: wsgi.GuardMiddleware(page, **hook), name)
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
