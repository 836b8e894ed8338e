"""A Django project for the tests: settings, users without a database, and views of every kind."""

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


def view(request, **kwargs):
    return HttpResponse(f"hello {sorted(kwargs.items())}")


async def async_view(request):
    return HttpResponse("async")


def failing(request):
    raise KeyError("no")


def limited(request):
    with current["guard"].enter("inner"):
        return HttpResponse("in")


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
    path("stream/", stream),
    path("astream/", async_stream),
    path("healthz", view),
]


somewhere = guard_of()
