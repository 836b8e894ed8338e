"""A clock that stands still, and a listener that remembers."""

import pytest

from guardrail.testing import FakeClock, RecordingListener
from tests.admission.scene import START_US, everybody_leaves


@pytest.fixture
def clock():
    return FakeClock(START_US)


@pytest.fixture
def news():
    return RecordingListener()


@pytest.fixture(autouse=True)
def nobody_stays():
    yield
    everybody_leaves()
