"""What holds for tests of reloading: polling only, and no thread left behind."""

import sys
import threading

import pytest


@pytest.fixture(autouse=True)
def polling_only(monkeypatch):
    monkeypatch.setitem(sys.modules, "watchfiles._rust_notify", None)


@pytest.fixture(autouse=True)
def no_thread_left():
    yield
    for thread in [thread for thread in threading.enumerate() if thread.name == "guardrail-rules"]:
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def quick(monkeypatch):
    """Looks follow one another quickly, and threads take turns often."""
    from guardrail.sources import live
    from guardrail.sources.watch import Watch

    monkeypatch.setattr(live, "Watch", lambda look, _interval_s, folder: Watch(look, 0.005, folder))
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    yield
    sys.setswitchinterval(interval_s)
