"""One server behind a proxy, for what does not depend on the version of the server."""

from contextlib import ExitStack

import pytest

from tests import servers
from tests.faults.proxy import Proxy
from tests.faults.scene import KINDS


@pytest.fixture(params=KINDS)
def kind(request):
    """Who calls: a thread, or a task."""
    return request.param


@pytest.fixture(scope="session")
def newest_build():
    builds = servers.builds()
    assert builds, servers.MISSING
    return builds[0]


@pytest.fixture(scope="session")
def newest_redis(newest_build, _servers):
    return _servers(newest_build)


@pytest.fixture
def start_server(newest_build):
    """Start servers of the newest version for one test alone, with the options of `servers.running`."""
    with ExitStack() as stack:
        yield lambda *config, **options: stack.enter_context(servers.running(newest_build, *config, **options))


@pytest.fixture
def server(newest_redis):
    """A server with nothing in it."""
    newest_redis.clear()
    return newest_redis


@pytest.fixture
def proxy(server):
    with Proxy(server.port) as proxy:
        yield proxy
