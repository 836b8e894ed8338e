"""An endpoint that several tests share, because they leave nothing behind."""

import pytest

from tests.control.scene import guard_of, served


@pytest.fixture(scope="module")
def control():
    with served(guard_of()) as control:
        yield control
