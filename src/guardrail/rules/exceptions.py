"""Exceptions by name: which classes a breaker's `failures` and `ignore` mean.

Law: nothing is imported. A name is compared along the class's MRO: a bare one with the class's name, a dotted one with
its last part and top-level package, so that `requests.ConnectionError` is found although it lives in
`requests.exceptions`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from guardrail.rules.spelling import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

GRPC_CODES: Final = frozenset({
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
})  # fmt: skip

_NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_STATUS = re.compile(r"http\.(?:[1-5]xx|[1-5][0-9]{2})")
_LONGEST = 200

# names under which Python offers a class that is called otherwise
_ALIASES: Final[dict[str, type[BaseException]]] = {
    **dict.fromkeys(("IOError", "EnvironmentError", "WindowsError"), OSError),
    **dict.fromkeys(("socket.error", "select.error", "os.error", "mmap.error"), OSError),
    **dict.fromkeys(("socket.timeout", "asyncio.TimeoutError", "concurrent.futures.TimeoutError"), TimeoutError),
}
_MOST_TYPES = 1024  # classes made while running must not pile up


def check_name(name: str) -> str:
    """Return *name* if it can name an exception class, an HTTP status or a gRPC code.

    Raises:
        ValueError: It cannot.
    """
    if name.startswith("http.") and name[5:6].isdigit():
        if _STATUS.fullmatch(name):
            return name
        raise ValueError(f"must name HTTP statuses as http.5xx or http.503, got {shown(name)}")
    if len(name) > _LONGEST or not _NAME.fullmatch(name):
        raise ValueError(f"must name exceptions, such as TimeoutError or httpx.TransportError, got {shown(name)}")
    return name


def is_special(name: str) -> bool:
    """Tell whether *name* is an HTTP status or a gRPC code, which adapters look at, and no class."""
    return name.removeprefix("grpc.") in GRPC_CODES or _STATUS.fullmatch(name) is not None


class ExceptionNames:
    """Match exception classes against names, or against classes that code passed instead.

    Attributes:
        special: The names among them that are HTTP statuses or gRPC codes.
    """

    __slots__ = ("_bare", "_classes", "_dotted", "_known", "names", "special")

    def __init__(self, names: Iterable[str | type[BaseException]]) -> None:
        self.names = tuple(names)
        texts = [name for name in self.names if isinstance(name, str)]
        self.special = frozenset(name for name in texts if is_special(name))
        classes = [name for name in self.names if not isinstance(name, str)]
        self._classes = (*classes, *(_ALIASES[name] for name in texts if name in _ALIASES))
        plain = [name for name in texts if name not in self.special and name not in _ALIASES]
        self._bare = frozenset(name for name in plain if "." not in name)
        self._dotted = frozenset((name.partition(".")[0], name.rpartition(".")[2]) for name in plain if "." in name)
        self._known: dict[type[BaseException], bool] = {}

    def matches(self, kind: type[BaseException]) -> bool:
        """Tell whether *kind* or a class it descends from is among the names. Safe from any thread."""
        known = self._known.get(kind)
        if known is None:
            if len(self._known) >= _MOST_TYPES:
                self._known.clear()
            known = self._known[kind] = self._compare(kind)
        return known

    def has_code(self, code: str) -> bool:
        """Tell whether the status of an answer, `http.503` or `grpc.UNAVAILABLE`, is among the names."""
        family, _, name = code.partition(".")
        return code in self.special or (f"http.{name[:1]}xx" if family == "http" else name) in self.special

    def _compare(self, kind: type[BaseException]) -> bool:
        return issubclass(kind, self._classes) or any(
            ancestor.__name__ in self._bare
            or (ancestor.__module__.partition(".")[0], ancestor.__name__) in self._dotted
            for ancestor in kind.__mro__
        )
