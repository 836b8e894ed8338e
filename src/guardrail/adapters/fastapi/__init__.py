"""FastAPI: `install(app, guard)`, and every rule of the file holds for its routes.

Law: what the app does for itself stays: its own exception handlers, its documentation, its order of middleware. Guarding
goes below the middleware there is, so that what adds CORS headers adds them to refusals too.
"""

from guardrail.adapters.fastapi.app import install

__all__ = ["install"]
