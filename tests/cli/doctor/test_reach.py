"""What `guardrail doctor` says of servers that are out of reach, hang, hang up, or are no Redis; always in bounded time."""

import http.server
import re
import socket
import threading
from contextlib import contextmanager
from time import monotonic
from types import SimpleNamespace

import pytest

from guardrail.cli.doctor import dial, visit
from tests.cli.doctor.scene import SECRET, SOUND, seen_at, speaking
from tests.faults.certificates import certificates
from tests.faults.proxy import Proxy
from tests.ports import HOST, refusing_port
from tests.servers import PATIENCE, builds, running


@pytest.fixture
def short(monkeypatch):
    """No test waits as long as a user would."""
    monkeypatch.setattr(dial, "CONNECTING_S", 1.0)
    monkeypatch.setattr(visit, "ANSWER_S", 1.0)


# Out of reach --------------------------------------------------------------------------------------------------------


def test_nobody_listens():
    with refusing_port() as port:
        report = seen_at(f"redis://:{SECRET}@{HOST}:{port}/0")
    assert {"store.connection": "error"} == report.worse_than("ok")
    assert "refused" in report.sentence("store.connection")


def test_a_host_that_nobody_knows():
    report = seen_at("redis://no-such-host.invalid/0")
    assert {"store.connection": "error"} == report.worse_than("ok")


def test_a_socket_that_is_not_there(tmp_path):
    report = seen_at(f"unix://{tmp_path}/redis.sock?db=0")
    assert {"store.connection": "error"} == report.worse_than("ok")


def test_a_server_that_hangs(redis_server, short):
    redis_server.pause()
    began = monotonic()
    try:
        report = seen_at(redis_server.url)
        with_password = seen_at(redis_server.url.replace("://", f"://:{SECRET}@"))
    finally:
        redis_server.resume()
    assert monotonic() - began < PATIENCE / 2
    assert "error" == report.severity("store.answers")
    assert "no answer to TIME" in report.sentence("store.answers")
    assert "error" == with_password.severity("store.connection")
    assert "connected, but what listens there did not answer within 1 s" in with_password.sentence("store.connection")
    assert "firewall" not in with_password.sentence("store.connection")


def test_a_server_that_hangs_in_the_middle(redis_server, short):
    with Proxy(redis_server.port) as proxy:
        proxy.drop_reply(after=b"SCAN")
        report = seen_at(proxy.url)
        assert 1 == proxy.seen["swallowed"]
    assert "no answer to SCAN" in report.sentence("store.answers")
    assert "store.scripts" not in report.found
    assert "store.round-trip" in report.found


def test_a_server_whose_every_answer_is_slow(redis_server, monkeypatch):
    """All looks together end in time."""
    monkeypatch.setattr(visit, "VISIT_S", 0.4)
    with Proxy(redis_server.port) as proxy:
        proxy.delay(0.03)
        began = monotonic()
        report = seen_at(proxy.url)
        assert monotonic() - began < PATIENCE / 2
        assert 1 <= proxy.seen["delayed"]
    assert "broken off" in report.sentence("store.answers")


@pytest.mark.parametrize("password", ["", f":{SECRET}@"])
def test_a_server_that_drips(start_redis, short, password):
    """Each byte comes in time, the whole never: also while redis-py waits for a greeting."""
    server = start_redis(password=SECRET if password else None)
    with Proxy(server.port) as proxy:
        proxy.drip(0.5)
        began = monotonic()
        report = seen_at(proxy.url.replace("://", f"://{password}"))
        assert monotonic() - began < PATIENCE / 2
        assert 1 <= proxy.seen["dripped"]
        assert "guardrail-doctor" not in {thread.name for thread in threading.enumerate()}
    assert {"timeout"} == {one["measured"]["fault"] for one in report.found.values() if one["severity"] == "error"}


def test_a_name_that_is_looked_up_for_ever(monkeypatch, short):
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(PATIENCE) and [])
    began = monotonic()
    report = seen_at("redis://somewhere.test/0")
    assert monotonic() - began < PATIENCE / 2
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "guardrail-doctor"]
    over.set()
    thread.join(PATIENCE)
    assert "no connection within" in report.sentence("store.connection")


def test_connections_that_are_not_taken(redis_server, short):
    with Proxy(redis_server.port) as proxy:
        proxy.blackhole()
        report = seen_at(proxy.url)
    assert {"store.connection": "error"} == report.worse_than("ok")


def test_a_far_away_server(redis_server):
    with Proxy(redis_server.port) as proxy:
        proxy.delay(0.005)
        report = seen_at(f"{proxy.url}?timeout=4ms")
        assert 20 <= proxy.seen["delayed"]
    assert "error" == report.severity("store.round-trip")
    assert "timeout=" in report.sentence("store.round-trip")
    assert "ok" == report.severity("store.clock")


def test_answers_within_answers():
    """redis-py reads them with a call for each level."""
    with speaking(lambda _: b"*1\r\n" * 5_000) as port:
        for password in "", f":{SECRET}@":
            report = seen_at(f"redis://{password}{HOST}:{port}")
            [found] = [one for one in report.found.values() if one["severity"] == "error"]
            assert "protocol" == found["measured"]["fault"]
            assert "recursion" not in report.text


# No Redis at all -----------------------------------------------------------------------------------------------------


@contextmanager
def web_server():
    class Quiet(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer((HOST, 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join(PATIENCE)


@pytest.mark.parametrize("password", ["", f":{SECRET}@"])
def test_a_web_server(password):
    """It may hang up so soon that nothing of its answer arrives."""
    with web_server() as port:
        report = seen_at(f"redis://{password}{HOST}:{port}/0")
    (code,) = report.worse_than("warning")
    assert re.search("does not speak RESP|no Redis at all", report.sentence(code))


def test_a_server_that_greets_in_another_language():
    with speaking(lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        report = seen_at(f"redis://{HOST}:{port}/0")
        with_password = seen_at(f"redis://:{SECRET}@{HOST}:{port}/0")
    assert "does not speak RESP" in report.sentence("store.answers")
    assert "does not speak RESP" in with_password.sentence("store.connection")


def test_a_server_that_hangs_up():
    with speaking(lambda _: None) as port:
        report = seen_at(f"redis://{HOST}:{port}/0")
    assert "closed the connection" in report.sentence("store.answers")
    assert "rediss://" in report.sentence("store.answers")


def test_a_connection_that_is_gone_before_its_address_is_asked_for(monkeypatch):
    with socket.socket() as unconnected:
        gone = SimpleNamespace(connected=lambda: unconnected, hang_up=unconnected.close)
        monkeypatch.setattr(visit, "dialled", lambda _: gone)
        report = seen_at(f"redis://{HOST}:1/0")
        assert -1 == unconnected.fileno()
    assert "closed the connection" in report.sentence("store.connection")


def test_a_server_that_knows_no_command():
    def unknown(said):
        return b"-ERR unknown command\r\n" * len(re.findall(rb"(?m)^\*[0-9]+\r$", said))

    with speaking(unknown) as port:
        report = seen_at(f"redis://{HOST}:{port}/0")
    assert "error" == report.severity("store.commands")


# TLS -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def start_tls(tmp_path):
    newest = builds()[0]
    if not newest.tls:
        pytest.skip(f"{newest} was built without TLS")

    @contextmanager
    def start(*hosts, **options):
        made = certificates(tmp_path / "made", *hosts, **options)
        with running(newest, certificates=made) as server:
            yield server, f"{server.url}?ssl_ca_certs={made.authority}"

    return start


def test_tls(start_tls):
    with start_tls(HOST) as (_, url):
        report = seen_at(url)
    assert "ok" == report.severity("store.tls")
    assert "TLSv1.3" == report.found["store.tls"]["measured"]["tls"]
    assert SOUND == set(report.found)


def test_a_certificate_that_nobody_looks_at(start_tls):
    with start_tls("elsewhere.test") as (server, url):
        for option in ("ssl_cert_reqs=none", "ssl_check_hostname=false"):
            report = seen_at(f"{url}&{option}")
            assert "warning" == report.severity("store.tls"), option
        assert 1 <= server.calls("evalsha")


@pytest.mark.parametrize(("hosts", "options"), [([HOST], {"expired": True}), (["elsewhere.test"], {})])
def test_a_certificate_that_is_wrong(start_tls, hosts, options):
    with start_tls(*hosts, **options) as (_, url):
        report = seen_at(url)
    assert {"store.connection": "error"} == report.worse_than("ok")
    assert "tls" == report.found["store.connection"]["measured"]["fault"]


def test_an_authority_that_is_not_there(start_tls):
    with start_tls(HOST) as (server, _):
        unknown = seen_at(server.url)
        missing = seen_at(f"{server.url}?ssl_ca_certs=/nowhere.pem")
    assert "tls" == unknown.found["store.connection"]["measured"]["fault"]
    assert {"store.tls-files": "error"} == missing.worse_than("ok")
    assert "ssl_ca_certs names /nowhere.pem" in missing.sentence("store.tls-files")


def test_tls_where_the_other_side_does_not_speak_it(start_tls, redis_server, short):
    tls_to_plain = seen_at(redis_server.url.replace("redis://", "rediss://"))
    assert "whether it speaks TLS there" in tls_to_plain.sentence("store.connection")
    with start_tls(HOST) as (server, _):
        plain_to_tls = seen_at(server.url.replace("rediss://", "redis://"))
    assert 1 == plain_to_tls.code
