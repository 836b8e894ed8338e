"""A guard on a clock that stands still."""

import pytest

from guardrail import Guard
from guardrail.testing import FakeClock
from tests.decorators.scene import START_US


@pytest.fixture
def clock():
    return FakeClock(START_US)


@pytest.fixture
def guard(clock):
    return Guard(clock=clock)
