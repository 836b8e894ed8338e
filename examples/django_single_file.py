"""A Django project in a single file: rules see the patterns of its URLs and `request.user`.

Run it for real with `python django_single_file.py runserver`.

Prints:
    ann: 200 200 429
    bob: 200 200 429
    nobody: 200 429
    and why: 1/h exceeded by rule 'strangers'; come back in 3600 s
"""

import sys
from collections.abc import Callable
from logging import getLogger

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from guardrail import Guard

guard = Guard(
    [
        {
            "name": "users",
            "resource": "GET /orders/{order}/",
            "kind": "limit",
            "rate": "2/h",
            "key": "user",
            "when": {"user.is_authenticated": "True"},
        },
        {
            "name": "strangers",
            "resource": "* /**",
            "kind": "limit",
            "rate": "1/h",
            "key": "client.ip",
            "when": {"user.is_authenticated": "!True"},
        },
    ]
)


class User:
    """What django.contrib.auth would find in its database."""

    is_authenticated = True

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name


def authenticating(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    def middleware(request: HttpRequest) -> HttpResponse:
        name = request.headers.get("X-User")
        request.user = User(name) if name else None
        return get_response(request)

    return middleware


def order(request: HttpRequest, order: int) -> HttpResponse:
    return HttpResponse(f"order {order} of {request.user}")


urlpatterns = [path("orders/<int:order>/", order)]

settings.configure(
    ALLOWED_HOSTS=["*"],
    DEBUG=True,
    MIDDLEWARE=["guardrail.adapters.django.GuardMiddleware", f"{__name__}.authenticating"],
    GUARDRAIL={"guard": guard},
    LOGGING_CONFIG=None,
    ROOT_URLCONF=__name__,
    SECRET_KEY="an example",  # noqa: S106  nothing is signed
)

if __name__ == "__main__" and len(sys.argv) > 1:
    execute_from_command_line(sys.argv)
elif __name__ == "__main__":
    getLogger("django.request").setLevel("ERROR")  # it warns of each 429
    client = Client()
    for name, times in (("ann", 3), ("bob", 3), ("", 2)):
        answers = [client.get(f"/orders/{number}/", headers={"X-User": name}) for number in range(times)]
        print(f"{name or 'nobody'}:", *(answer.status_code for answer in answers))
    why = answers[-1].json()["detail"].partition(";")[0]
    print(f"and why: {why}; come back in {answers[-1]['Retry-After']} s")
