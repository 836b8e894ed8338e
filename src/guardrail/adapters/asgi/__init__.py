"""ASGI: every rule of the file holds for an app, with one line.

    app.add_middleware(GuardMiddleware, guard=guard)  # Starlette, FastAPI: in a line before that of CORSMiddleware
    app = GuardMiddleware(app, guard)                 # anything that speaks ASGI

What is added last stands outermost, and CORSMiddleware must: only then have refusals its headers. For scripts of other
origins to read ours, give it `expose_headers=["Retry-After", "RateLimit", "RateLimit-Policy"]`.

Law: HTTP requests and WebSockets are guarded; whatever else a server sends passes untouched. Bodies are never read or
changed, nor held back, but for the app's page for a refusal that it does not know, until that is answered instead. Nothing
that a client sends makes it fail.
"""

from guardrail.adapters.asgi.middleware import GuardMiddleware

__all__ = ["GuardMiddleware"]
