"""A Django project for the tests: settings, users without a database, and views of every kind."""

import asyncio

import django
from django.conf import settings

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={},
        MIDDLEWARE=[
            "guardrail.adapters.django.GuardMiddleware",
            "tests.adapters.django_project.authenticating",
        ],
        ROOT_URLCONF="tests.adapters.django_project",
        SECRET_KEY="tests",
        USE_TZ=True,
    )
    django.setup()

from asgiref.sync import iscoroutinefunction
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import include, path, re_path
from django.utils.decorators import sync_and_async_middleware
from django.utils.deprecation import MiddlewareMixin

from guardrail import Refused
from tests.adapters.wire import guard_of, inside

IP = {"REMOTE_ADDR": "203.0.113.9"}
PLACES = {"name": "places", "resource": "**", "kind": "bulkhead", "max_concurrent": 1}
BREAKER = {
    "name": "backend",
    "resource": "* /**",
    "kind": "breaker",
    "window_calls": 10,
    "min_calls": 10,
    "key": "method",
}
PER_USER = {"name": "per-user", "resource": "* /**", "kind": "limit", "rate": "1/min", "key": "user"}
current = {}


class User:
    def __init__(self, name):
        self.name = name
        self.is_authenticated = bool(name)

    def __str__(self):
        return self.name


@sync_and_async_middleware
def authenticating(get_response):
    """What django.contrib.auth does, without a database."""

    def prepare(request):
        user = User(request.headers.get("X-User", ""))

        async def auser():
            current["loads"] = current.get("loads", 0) + 1
            return user

        request.user, request.auser = user, auser

    if iscoroutinefunction(get_response):

        async def middleware(request):
            prepare(request)
            return await get_response(request)

    else:

        def middleware(request):
            prepare(request)
            return get_response(request)

    return middleware


@sync_and_async_middleware
def limiting(get_response):
    """Has a limit of its own, before the view or behind it, and lets its refusal escape."""

    def limit(request, where):
        if request.headers.get("X-Limited") == where:
            current["limit"]()

    if iscoroutinefunction(get_response):

        async def middleware(request):
            limit(request, "before")
            response = await get_response(request)
            limit(request, "behind")
            return response

    else:

        def middleware(request):
            limit(request, "before")
            response = get_response(request)
            limit(request, "behind")
            return response

    return middleware


class Apologizing(MiddlewareMixin):
    """Has an answer of its own to errors of those further in."""

    def process_response(self, request, response):
        return HttpResponse("sorry", status=418) if response.status_code == 500 else response


class Stumbling(MiddlewareMixin):
    """Is not prepared for errors of those further in."""

    def process_response(self, request, response):
        if response.status_code == 500:
            raise KeyError("no")
        return response


class Looking(MiddlewareMixin):
    """Has a limit of its own once the view is known."""

    def process_view(self, request, *_):
        if request.headers.get("X-Limited") == "view":
            current["limit"]()


def view(request, **kwargs):
    return HttpResponse(f"hello {sorted(kwargs.items())}")


async def async_view(request):
    return HttpResponse("async")


def failing(request):
    raise KeyError("no")


def limited(request):
    with current["guard"].enter("inner"):
        return HttpResponse("in")


async def gathered(request):
    """Lets a group escape, as a TaskGroup does."""
    try:
        current["limit"]()
    except Refused as refused:
        raise ExceptionGroup("tasks", [refused]) from None
    return HttpResponse("gathered")


def upload(request):
    return HttpResponse(str(len(request.read())))


def calling(request):
    current["limit"]()
    return HttpResponse("called")


def counting(request):
    def count():
        for number in "12":
            current["seen"].append(f"view has {number}")
            yield number

    return StreamingHttpResponse(count())


async def acounting(request):
    async def count():
        for number in "12":
            current["seen"].append(f"view has {number}")
            yield number

    return StreamingHttpResponse(count())


async def waiting(request):
    current["seen"].append("inside")
    await asyncio.Event().wait()


async def endless(request):
    async def forever():
        while True:
            yield "x"
            current["seen"].append("inside")
            await asyncio.sleep(0)

    return StreamingHttpResponse(forever())


def chunks():
    for _ in range(2):
        current["seen"].append(inside(current["guard"], "places"))
        yield b"x"


async def async_chunks():
    for chunk in chunks():
        yield chunk


def stream(request):
    return StreamingHttpResponse(chunks())


async def async_stream(request):
    return StreamingHttpResponse(async_chunks())


nested = [path("orders/<int:order>", view), re_path(r"^year/(?P<year>[0-9]{4})/(a|b)\.(?:a|b)$", view)]
urlpatterns = [
    path("v<slug:version>/", include(nested)),
    path("hello/", view),
    path("async/", async_view),
    path("failing/", failing),
    path("limited/", limited),
    path("gathered/", gathered),
    path("upload/", upload),
    path("calling/", calling),
    path("counting/", counting),
    path("acounting/", acounting),
    path("waiting/", waiting),
    path("endless/", endless),
    path("stream/", stream),
    path("astream/", async_stream),
    path("healthz", view),
]


somewhere = guard_of()
