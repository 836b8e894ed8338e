"""What rules may ask of one call, each attribute worked out when a rule names it, and once.

Law: an attribute that no rule names costs nothing; one that cannot be found, or whose hook raises, is missing. The hook for
the user is asked once, whichever parts of the user rules name.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping

_USER = "?user"  # no name of an attribute


class LazyAttributes(Mapping[str, object]):
    """Look up the attributes of one call by name. Not safe from several threads at once, nor does it need to be."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, object] = {}

    # ---- what each kind of call says in its own way

    @abstractmethod
    def names(self) -> Iterable[str]:
        """Return the names of what may be there, but for the parts of the user."""

    @abstractmethod
    def look_up(self, name: str) -> object:
        """Return an attribute, None if it is missing; what is none of its own it leaves to `of_user`."""

    @abstractmethod
    def user(self) -> object:
        """Return for whom the call is, as the service knows them."""

    # ---- a mapping

    def get(self, name: str, default: object = None) -> object:
        """Return an attribute, or *default* if it is missing."""
        known = self._known
        if name in known:
            value = known[name]
        else:
            value = known[name] = self.look_up(name)
        return default if value is None else value

    def __getitem__(self, name: str) -> object:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return (name for name in dict.fromkeys(self.names()) if self.get(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    # ---- the user

    def of_user(self, name: str) -> object:
        """Return the user or a part of it, such as `user.plan`; None for every other name."""
        if name == "user":
            return self.known_user()
        return _dug(self.known_user(), name[5:]) if name.startswith("user.") else None

    def know_user(self, user: object) -> None:
        """Take it as known for whom the call is."""
        self._known[_USER] = user

    def known_user(self) -> object:
        """Return the user, for whom the hook is asked once."""
        if _USER not in self._known:
            self._known[_USER] = self.user()
        return self._known[_USER]


def _dug(found: object, steps: str) -> object:
    """Return what is found in an object by a dotted name, such as the plan in a user."""
    for step in steps.split("."):
        found = found.get(step) if isinstance(found, Mapping) else getattr(found, step, None)
    return found
