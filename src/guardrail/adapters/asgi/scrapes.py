"""Scrapes: a middleware that shows metrics answers them in place of its app.

Law: whatever else comes goes to the app untouched. Where workers share a page, the numbers of one that ends are written
before the server hears that it has: it may run no exit handlers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.adapters.asgi.request import AsgiRequest
from guardrail.adapters.http.headers import raw
from guardrail.admission.ambient import innermost

if TYPE_CHECKING:
    from guardrail.adapters.asgi.exchange import App, Message, Receive, Scope, Send
    from guardrail.adapters.http.page import Page


def answering_scrapes(page: Page | None, app: App) -> App:
    """Return *app* for what no rule is asked about, with the page, if there is one, in front of it."""
    if page is None:
        return app

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, _flushing(page, send) if page.is_shared else send)
            return
        request = innermost()
        if not isinstance(request, AsgiRequest) or not page.is_asked(request.method_text, request.path_text):
            await app(scope, receive, send)
            return
        status, fields, body = await page.aanswer(request.method_text, ", ".join(request.lines("accept")))
        await send({"type": "http.response.start", "status": status, "headers": raw(fields)})
        await send({"type": "http.response.body", "body": body})

    return answering


def _flushing(page: Page, send: Send) -> Send:
    async def passed(message: Message) -> None:
        if message["type"].startswith("lifespan.shutdown."):
            await page.aflush()
        await send(message)

    return passed
