"""ASGI: every rule of the file holds for an app, with one line.

    app.add_middleware(GuardMiddleware, guard=guard)  # Starlette, FastAPI: below the middleware for CORS
    app = GuardMiddleware(app, guard)                 # anything that speaks ASGI

Law: HTTP requests and WebSockets are guarded; whatever else a server sends passes untouched. Bodies are never read,
held back or changed. Nothing that a client sends makes it fail.
"""

from guardrail.adapters.asgi.middleware import GuardMiddleware

__all__ = ["GuardMiddleware"]
