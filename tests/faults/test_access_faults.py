"""Who may: passwords, rights, users that go, certificates. What only people can mend is said at once, and not retried hotly."""

from contextlib import suppress

import pytest

from guardrail import StoreError
from guardrail.core.fixed_window import FixedWindow
from guardrail.core.leaky_bucket import LeakyBucket
from guardrail.core.sliding_log import SlidingLog
from guardrail.core.sliding_window import SlidingWindow
from guardrail.stores.contact import RIGHTS
from guardrail.stores.flight import granted
from guardrail.stores.protocol import Check, Reply, Unavailable
from guardrail.telemetry.events import StoreLost
from tests.faults.certificates import certificates
from tests.faults.proxy import Proxy
from tests.faults.scene import HUNDRED, SHORT, calling

SECRET = "canary-of-a-password"
EVERYTHING = "user default on nopass ~* &* +@all"
LIMITED = f"user app on >{SECRET} ~guardrail:* {RIGHTS}"
NO_GET = LIMITED.replace("+get ", "")


def as_user(server, name, password=SECRET):
    return server.url.replace("://", f"://{name}:{password}@")


def connections(server):
    return lambda: server.info("stats")["total_connections_received"]


def lost(caller):
    """The one outage that was told; the password is in no word of it."""
    (event,) = caller.told(StoreLost)
    assert SECRET not in repr(event)
    return event


# Passwords -----------------------------------------------------------------------------------------------------------


def test_a_missing_password_is_said_on_first_contact(kind, start_server, caplog):
    server = start_server(password=SECRET)
    with calling(kind, server.url.replace(f":{SECRET}@", "")) as caller:
        caller.fails(1)
        assert "password" == lost(caller).error
        assert "redis://:password@host" in lost(caller).message
        caller.is_on_its_own(connections(server))
    assert SECRET not in caplog.text


@pytest.mark.parametrize("user", ["", "app"])
def test_a_wrong_password_is_said_on_first_contact_without_showing_it(kind, start_server, caplog, user):
    server = start_server(password="right")
    with calling(kind, server.url.replace(":right@", f"{user}:{SECRET}@")) as caller:
        caller.fails(1)
        assert "password" == lost(caller).error
        assert SECRET not in repr(caller.store)
        caller.is_on_its_own(connections(server))
    assert SECRET not in caplog.text


def test_a_password_where_there_is_none(kind, server):
    with calling(kind, as_user(server, "")) as caller:
        caller.fails(1)
        assert "password" == lost(caller).error
        assert "leave it out" in lost(caller).message


def test_the_right_password(kind, start_server):
    server = start_server(password=SECRET)
    for url in (server.url, server.unix_url):
        with calling(kind, url) as caller:
            assert isinstance(caller.ask(), Reply)
            assert [] == caller.news


def test_a_password_that_is_mended_is_found_within_a_second(kind, start_server):
    server = start_server(acl=[EVERYTHING, LIMITED])
    server.command("ACL", "SETUSER", "app", "resetpass", ">other")
    with calling(kind, as_user(server, "app")) as caller:
        caller.fails(1)
        server.command("ACL", "SETUSER", "app", f">{SECRET}")
        caller.is_back()
        caller.told_of_outage("password")


# Rights --------------------------------------------------------------------------------------------------------------

LIMITS = {
    "token_bucket": HUNDRED,
    "leaky_bucket": LeakyBucket(1, 1_000_000, 1_000_000),
    "sliding_window": SlidingWindow(3, 60_000_000),
    "fixed_window": FixedWindow(3, 60_000_000),
    "sliding_log": SlidingLog(3, 60_000_000),
}


def everything_a_store_does(caller):
    """Charge until it is refused, peek, give back, owe, forget: by every algorithm."""
    for name, limit in LIMITS.items():
        checks, others = [Check(f"{{u}}:{name}", limit, 1)], [Check(f"{{v}}:{name}", limit, 1)]
        replies = [caller.store.admit(checks) for _ in range(5)]
        replies += [caller.store.admit(others), caller.store.admit(others), caller.store.admit(others, peek=True)]
        assert {Reply} == {type(reply) for reply in replies}, name
        caller.store.give_back(granted(others, replies[5]))
        caller.store.owe(checks)
        caller.store.forget(name, [f"{{u}}:{name}"])
        caller.store.forget(name, None)
        assert isinstance(caller.ask(f"{name} again"), Reply)


def test_a_user_with_the_rights_that_the_docs_name_and_no_others(redis_build, start_redis):
    server = start_redis(acl=[EVERYTHING, LIMITED])
    with calling("threads", as_user(server, "app")) as caller:
        everything_a_store_does(caller)
        assert [] == caller.news
    with calling("tasks", as_user(server, "app")) as caller:
        assert isinstance(caller.ask(), Reply)
        assert [] == caller.news
    assert [] == server.command("ACL", "LOG")


def test_each_of_these_rights_is_needed(start_redis):
    server = start_redis(acl=[EVERYTHING])
    needless = set()
    for right in RIGHTS.split():
        if not right.startswith("+"):
            continue
        others = " ".join(other for other in RIGHTS.split() if other != right)
        server.command("ACL", "SETUSER", "app", "reset", "on", f">{SECRET}", "~guardrail:*", *others.split())
        server.command("FLUSHALL")
        server.command("SCRIPT", "FLUSH")
        server.command("ACL", "LOG", "RESET")
        with calling("threads", as_user(server, "app")) as caller:
            with suppress(AssertionError, StoreError):
                everything_a_store_does(caller)
        if server.command("ACL", "LOG") == []:
            needless.add(right)
    assert set() == needless


def test_a_missing_right_is_said_with_the_words_that_grant_it(kind, start_redis, redis_build):
    server = start_redis(acl=[EVERYTHING, NO_GET])
    with calling(kind, as_user(server, "app")) as caller:
        caller.fails(1)
        assert "rights" == lost(caller).error
        assert "ACL SETUSER" in lost(caller).message
        caller.is_on_its_own(connections(server))
        server.command("ACL", "SETUSER", "app", "+get")
        caller.is_back()
        assert 0 == caller.used()
    assert [] != server.command("ACL", "LOG")


def test_a_prefix_that_the_user_may_not_touch(kind, start_server):
    server = start_server(acl=[EVERYTHING, LIMITED])
    with calling(kind, as_user(server, "app"), prefix="elsewhere") as caller:
        caller.fails(1)
        assert "rights" == lost(caller).error
        assert "~elsewhere:*" in lost(caller).message
    assert 0 == server.command("DBSIZE")


def test_a_user_that_is_deleted_while_connected(kind, start_server):
    server = start_server(acl=[EVERYTHING, LIMITED])
    with calling(kind, as_user(server, "app")) as caller:
        assert isinstance(caller.ask(), Reply)
        server.command("ACL", "DELUSER", "app")
        caller.fails(3)
        assert "password" == lost(caller).error
        caller.is_on_its_own(connections(server))
        server.command("ACL", "SETUSER", *LIMITED.split()[1:])
        caller.is_back()
        assert 1 == caller.used()


# TLS -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def start_tls(start_server, newest_build, tmp_path):
    """Start a server with a certificate for these hosts, and return it with a URL that trusts who signed that."""
    if not newest_build.tls:
        pytest.skip(f"{newest_build} was built without TLS")

    def start(*hosts, **options):
        made = certificates(tmp_path / "made", *hosts, **options)
        server = start_server(certificates=made)
        return server, f"{server.url}?ssl_ca_certs={made.authority}"

    return start


def test_tls(kind, start_tls):
    server, url = start_tls("127.0.0.1")
    with calling(kind, url) as caller:
        for expected in range(3):
            assert expected == caller.used()
            assert isinstance(caller.ask(), Reply)
        assert [] == caller.news
    assert 3 <= server.calls("evalsha")


@pytest.mark.parametrize(
    ("hosts", "options", "word"),
    [
        (["127.0.0.1"], {"expired": True}, "expired"),
        (["elsewhere.test"], {}, "127.0.0.1"),
    ],
)
def test_a_certificate_that_is_not_right_is_refused(kind, start_tls, hosts, options, word):
    server, url = start_tls(*hosts, **options)
    with calling(kind, url) as caller:
        caller.fails()
        assert "tls" == lost(caller).error
        assert word in lost(caller).message
    assert 0 == server.calls("evalsha")


def test_a_certificate_signed_by_nobody_known_is_refused(kind, start_tls):
    server, _ = start_tls("127.0.0.1")
    with calling(kind, server.url) as caller:
        caller.fails()
        assert "tls" == lost(caller).error
        assert "ssl_ca_certs" in lost(caller).message
    assert 0 == server.calls("evalsha")


def test_tls_is_never_given_up_for_a_server_that_does_not_speak_it(kind, start_server):
    server = start_server(password=SECRET)
    before = server.calls("auth")  # ours, to look from outside
    with Proxy(server.port) as proxy:
        with calling(kind, proxy.url.replace("redis://", f"rediss://:{SECRET}@"), proxy=proxy, timeout=SHORT) as caller:
            caller.fails()
            proxy.await_seen(lambda seen: seen["requests"] >= 1)  # it says hello, encrypted
            assert lost(caller).error in {"tls", "connection", "timeout"}
    assert (0, before) == (server.calls("evalsha"), server.calls("auth"))


def test_a_server_that_wants_tls_is_not_waited_for_without(kind, start_tls):
    server, _ = start_tls("127.0.0.1")
    with calling(kind, server.url.replace("rediss://", "redis://"), timeout=SHORT) as caller:
        caller.fails()
        caller.was_in_time()
        assert lost(caller).error in {"connection", "protocol", "timeout"}


def test_slow_greetings_of_tls_count_against_the_deadline(kind, start_tls):
    server, url = start_tls("127.0.0.1")
    with Proxy(server.port) as proxy:
        proxy.drip(0.005)
        with calling(kind, url.replace(f":{server.port}/", f":{proxy.port}/"), proxy=proxy, timeout=SHORT) as caller:
            caller.fails()
            caller.was_in_time()
            proxy.await_seen(lambda seen: seen["dripped"] >= 10)


def test_nobody_is_charged_who_could_not_be_asked(kind, start_server):
    server = start_server(password=SECRET)
    with calling(kind, server.url.replace(f":{SECRET}@", "")) as caller:
        assert isinstance(caller.ask(), Unavailable)
    assert 0 == server.command("DBSIZE")
