"""Django: `"guardrail.adapters.django.GuardMiddleware"` in MIDDLEWARE, and every rule of the file holds for its views.

Settings: `GUARDRAIL = {"guard": guard, "trusted_proxies": [...], ...}`, all of it optional. `guard` is a Guard, or where
one is found (`"shop.guarding.guard"`); without it the default guard decides. The other options are those of the WSGI
middleware; their hooks are called with the request. `"metrics": "/metrics"` shows metrics there.

Law: rules are entered once, in `process_view`: routes and users are known then. A request that gets no view (404, or an
answer of another middleware) enters when that answer comes by. The permit ends with the response.
"""

from guardrail.adapters.django.middleware import GuardMiddleware

__all__ = ["GuardMiddleware"]
