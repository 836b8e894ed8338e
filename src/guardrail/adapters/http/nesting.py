"""Middleware around middleware: where two of them guard one request with one guard, the outer one does.

Law: whoever asks the rules first asks them alone. What the outer one exempts, or asks another guard about, is the inner
one's; so is a request that the service makes to itself.
"""

from __future__ import annotations

from contextvars import Token
from logging import getLogger
from typing import TYPE_CHECKING, Any, Final

from guardrail.adapters.http.attributes import LOG, RequestAttributes

if TYPE_CHECKING:
    from guardrail.adapters.http.options import HttpOptions

NOTHING: Final = Token.MISSING  # what there is around a request, as a rule


class Nesting:
    """Know of one middleware whether another one stands around it.

    Args:
        options: Those of the middleware.
        instead: What is to be written where it stands around itself.
    """

    __slots__ = ("_has_warned", "_instead", "_options")

    def __init__(self, options: HttpOptions, instead: str) -> None:
        self._options = options
        self._instead = instead
        self._has_warned = False

    def is_idle(self, before: Any, request: RequestAttributes, *, asks_later: bool = False) -> bool:
        """Tell whether the request is guarded already, and say so once.

        Args:
            before: What there was around the request before it was published.
            asks_later: One that stands around this one has yet to find out what is called.

        Raises:
            RuntimeError: The middleware stands around itself.
        """
        origin = request.origin()
        while not isinstance(before[0], RequestAttributes) or before[0].origin() is not origin:
            before = before[2]
            if before is None:
                return False
        around: RequestAttributes = before[0]
        inner, outer = self._options, around.options
        if inner is outer:
            if request.path_text != around.path_text:
                return False  # it was sent on to another place
            raise RuntimeError(f"{inner.where} stands around itself; {self._instead}")
        if not (around.resource or asks_later) or outer.guard() is not inner.guard():
            return False
        if not self._has_warned:
            self._has_warned = True
            text = "%s stands inside of %s with the same guard and leaves requests to that one; take one of them away"
            getLogger(LOG).warning(text, inner.where, outer.where)
        return True
