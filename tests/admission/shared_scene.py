"""What the tests of shared limits have in common: their rows, and how the store is asked."""

from __future__ import annotations

from hashlib import blake2b

import pytest

from guardrail.stores.protocol import Unavailable
from tests.admission.scene import DECIDED, bulkhead, decided

HERE = {"scope": "local"}
AWAY = Unavailable(250_000)
OTHERS = [(), (bulkhead(99, name="places"),)]
ALGORITHMS = ["token_bucket", "sliding_window", "fixed_window", "sliding_log"]

both = pytest.mark.parametrize("decided", DECIDED)
alone_or_not = pytest.mark.parametrize("others", OTHERS, ids=["alone", "beside others"])
every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS)


def digest(subject):
    return blake2b(subject.encode(), digest_size=16).hexdigest()


def keys(store):
    """The keys of each question."""
    return [[check.key for check in checks] for checks in store.asked]


def asks(store, act):
    """How often the store is asked meanwhile."""
    before = len(store.asked)
    act()
    return len(store.asked) - before


def spent(guard, cost=10, **options):
    """A guard whose limit is used up, and has said so once."""
    decided(guard, cost=cost, **options)
    assert not decided(guard, **options).allowed
    return guard
