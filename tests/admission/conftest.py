"""A clock that stands still, a listener that remembers, and a store that does what it is told."""

import pytest

from guardrail.testing import FakeClock, RecordingListener
from tests.admission.fake_store import FakeStore
from tests.admission.scene import START_US, everybody_leaves, guard_of
from tests.admission.shared_scene import AWAY


@pytest.fixture
def clock():
    return FakeClock(START_US)


@pytest.fixture
def news():
    return RecordingListener()


@pytest.fixture
def store(clock):
    return FakeStore(clock)


@pytest.fixture
def away(store):
    """The same store, out of reach."""
    store.outage = AWAY
    return store


@pytest.fixture
def shared(clock, store, news):
    """A guard with these rules, over the store."""
    return lambda *rules, **options: guard_of(clock, *rules, store=store, listeners=[news], **options)


@pytest.fixture(autouse=True)
def nobody_stays():
    yield
    everybody_leaves()
