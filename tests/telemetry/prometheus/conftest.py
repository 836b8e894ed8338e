"""Files of multi-process mode, and processes that write them."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector

from guardrail.telemetry.prometheus.files import ENVIRONMENT
from guardrail.telemetry.prometheus.writer import Writer
from tests.telemetry.prometheus.scene import Seen, series


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The folder of multi-process mode."""
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path))
    yield tmp_path
    values.close_all_multiprocess_files()


@pytest.fixture
def merged(path):
    """What a scrape of any process shows."""

    def look():
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return series(generate_latest(registry).decode())

    return look


@pytest.fixture
def writers(path):
    """Writers without a thread of their own, one for each process that is played."""

    def make(shown, name=""):
        writer = Writer(interval_s=3_600)
        seen = shown if isinstance(shown, Seen) else Seen(shown)
        writer.sources.add(seen, name)
        return writer, seen

    return make
