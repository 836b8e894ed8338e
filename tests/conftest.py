"""What holds for every test: no time limit per example, no settings from the shell that started it, real servers."""

import os
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, settings

from tests import servers

# How long an example takes says something of the machine, not of the law under test.
settings.register_profile("guardrail", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("guardrail")

for name in [name for name in os.environ if name.startswith("GUARDRAIL_")]:
    del os.environ[name]

BUILDS = servers.builds()


@pytest.fixture(scope="session")
def _servers():
    """One running server of each version, started when it is first asked for."""
    started = {}
    with ExitStack() as stack:

        def server_of(build):
            if build not in started:
                started[build] = stack.enter_context(servers.running(build))
            return started[build]

        yield server_of


@pytest.fixture(scope="session", params=BUILDS or [None], ids=lambda build: str(build or "no-redis-server"))
def redis_build(request):
    """Each redis-server that can be started here."""
    if request.param is None:
        pytest.fail(servers.MISSING)
    return request.param


@pytest.fixture(scope="session")
def running_redis(redis_build, _servers):
    """A server of each version, shared by all tests of this process: what others left in it is still there."""
    return _servers(redis_build)


@pytest.fixture(scope="session")
def newest_redis(_servers):
    """A server of the newest version, shared by all tests of this process."""
    assert BUILDS, servers.MISSING
    return _servers(BUILDS[0])


@pytest.fixture
def redis_server(running_redis):
    """A server of each version with nothing in it, no script loaded, and nothing counted."""
    running_redis.clear()
    return running_redis


@pytest.fixture
def start_redis(redis_build):
    """Start servers of each version for one test alone, with the options of `servers.running`."""
    with ExitStack() as stack:
        yield lambda *config, **options: stack.enter_context(servers.running(redis_build, *config, **options))
