"""The page of metrics that a middleware answers itself, at the path of its option `metrics`.

Law: it is made with the middleware, so that every worker has one; no rule is asked about it, and no other request pays.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guardrail.guard import Guard
    from guardrail.telemetry.prometheus import Answer


class Page:
    """Answer scrapes at one path.

    Args:
        guard: None: whichever is the default one then.

    Attributes:
        is_shared: It shows the numbers of all workers, of which each writes its own to a file.

    Raises:
        ImportError: prometheus-client is missing.
        ValueError, TypeError: Those of `MetricsPage`, in multi-process mode.
    """

    __slots__ = ("_metrics", "_path", "is_shared")

    def __init__(self, path: str, guard: Guard | None) -> None:
        from guardrail.telemetry.prometheus import MetricsPage  # a third party that not everybody has
        from guardrail.telemetry.prometheus.files import folder

        self._path = path
        self._metrics = MetricsPage(guard)
        self.is_shared = folder() is not None

    def is_asked(self, method: str, path: str) -> bool:
        """Tell whether a request is a scrape."""
        return path == self._path and method in {"GET", "HEAD"}

    def answer(self, method: str, accept: str) -> Answer:
        """Return the answer to one scrape."""
        return _without_body(method, self._metrics.answer(accept or None))

    async def aanswer(self, method: str, accept: str) -> Answer:
        """Return what `answer` does, without holding up the event loop."""
        return _without_body(method, await self._metrics.aanswer(accept or None))

    async def aflush(self) -> None:
        """Write the numbers of now: the worker ends, and its server may run no exit handlers."""
        from asyncio import to_thread  # only tasks need it

        from guardrail.telemetry.prometheus import flush

        await to_thread(flush)


def page_path(given: object) -> str | None:
    """Return the path that the option `metrics` names; None: there is to be no page.

    Raises:
        ImportError: prometheus-client is missing.
        TypeError: It is no text.
        ValueError: It is no path.
    """
    if given is None:
        return None
    if not isinstance(given, str):
        raise TypeError(f"metrics must be a path, such as '/metrics', or None, got {given!r}")
    if not given.startswith("/"):
        raise ValueError(f"metrics must be a path that begins with a '/', such as '/metrics', got {given!r}")
    import_module("guardrail.telemetry.prometheus")  # what is missing is said now, and not by the first request
    return given


def page_of(path: str | None, guard: Guard | None) -> Page | None:
    """Return the page at a path; None: there is none."""
    return None if path is None else Page(path, guard)


def _without_body(method: str, answer: Answer) -> Answer:
    return answer._replace(body=b"") if method == "HEAD" else answer
