"""WSGI: every rule of the file holds for an app, with one line.

    app.wsgi_app = GuardMiddleware(app.wsgi_app)     # Flask
    application = GuardMiddleware(application)       # anything that speaks WSGI

Law: what the app returns passes item by item as the server asks for it. The permit ends when that is over or closed.
"""

from guardrail.adapters.wsgi.middleware import GuardMiddleware

__all__ = ["GuardMiddleware"]
