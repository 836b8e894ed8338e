"""What tests of clients share: rules, a far side that is no network, and a look at what is inside."""

import httpx

from guardrail.adapters.httpx import GuardTransport

NOW = 1_700_000_000
PLACE = {"name": "room", "resource": "client * **", "kind": "bulkhead", "max_concurrent": 1}
HEALTH = {"name": "health", "resource": "client * **", "kind": "breaker", "consecutive_failures": 1, "open_for": "10s"}


class Far:
    """Answer instead of the network: what reaches it is in `seen`."""

    def __init__(self, *script):
        self.seen = []
        self.script = list(script)

    def __call__(self, request):
        self.seen.append(str(request.url))
        status, headers = self.script.pop(0) if self.script else (200, {})
        return httpx.Response(status, headers=headers)


def client_of(guard, far, **options):
    return httpx.Client(transport=GuardTransport(httpx.MockTransport(far), guard, **options))


def in_use(guard):
    """Tell whether the only place of the bulkhead is taken."""
    return not guard.peek("client GET look.example.com").allowed
