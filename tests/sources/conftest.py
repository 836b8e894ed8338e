"""What holds for the tests of sources: polling only, unless a test asks for more, and no thread left behind."""

import sys

import pytest

from tests.sources.followed import Followed, watching


@pytest.fixture(autouse=True)
def polling_only(monkeypatch):
    monkeypatch.setitem(sys.modules, "watchfiles._rust_notify", None)


@pytest.fixture(autouse=True)
def long_goodbyes(monkeypatch):
    """However busy the machine, a watch that was told to end has ended."""
    monkeypatch.setattr("guardrail.sources.watch.LONGEST_GOODBYE_S", 20.0)


@pytest.fixture(autouse=True)
def no_thread_left():
    yield
    for thread in watching():
        thread.join(20)
    assert [] == watching()


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text("first")
    return file


@pytest.fixture
def followed(path):
    """Rules that were loaded from *path* and are looked at when the test says so."""
    followed = Followed(path)
    yield followed
    followed.live.stop()
