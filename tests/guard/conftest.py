"""A guard on a clock that stands still, and a folder of rule files that is looked at when the test says so."""

import pytest

from guardrail import Guard
from guardrail.testing import FakeClock, RecordingListener
from tests.decorators.scene import START_US


@pytest.fixture
def clock():
    return FakeClock(START_US)


@pytest.fixture
def news():
    return RecordingListener()


@pytest.fixture
def guard(clock, news):
    return Guard(clock=clock, listeners=[news])


@pytest.fixture
def path(tmp_path):
    """A rule file without a rule."""
    file = tmp_path / "rules.yaml"
    file.write_text("version: 1\nrules: []\n")
    return file


@pytest.fixture
def filed(path, clock, news):
    """A guard whose rules are in a file; nobody watches it, `reload` reads it."""
    guard = Guard(str(path), clock=clock, listeners=[news])
    guard.close()
    return guard
