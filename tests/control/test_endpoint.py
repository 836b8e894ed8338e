"""An endpoint from open to close, and across a fork."""

import logging
import os

import pytest

import guardrail.control
from guardrail import default_guard
from guardrail.control import serve
from guardrail.control.address import read_address
from guardrail.control.exchange import QUIET_S
from guardrail.default import substituted
from tests.admission.scene import in_child
from tests.control.scene import (
    CANARY,
    TOKEN,
    ask,
    connected,
    guard_of,
    has_ipv6,
    head,
    heard,
    received,
    served,
    wait_until,
)
from tests.ports import free_ports


def test_it_is_off_by_default():
    from tests.cli.shell import python

    code = "import sys, guardrail; guardrail.Guard(); print([name for name in sys.modules if name.startswith('guardrail.control')])"
    assert "[]\n" == python("-c", code, cwd=".").out


def test_by_default_it_takes_any_free_port_of_loopback_and_makes_a_token():
    with serve(guard_of()) as first, serve(guard_of()) as second:
        assert first.url.startswith("http://127.0.0.1:")
        assert first.url != second.url
        assert len(first.token) >= 32
        assert first.token != second.token
        assert [200, 401] == [ask(first, token=one.token).status for one in (first, second)]


def test_a_token_in_the_environment_is_taken(monkeypatch):
    monkeypatch.setenv("GUARDRAIL_CONTROL_TOKEN", TOKEN)
    with serve(guard_of()) as control:
        assert TOKEN == control.token


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("short", "token must have at least 16 characters, got 5; make one with: python -c "),
        ("", "token must be set; make one with: "),
        (" " * 20, "token must be visible ASCII without spaces"),
        ("ä" * 20, "token must be visible ASCII without spaces"),
        ("x" * 20 + "\n", "token must be visible ASCII without spaces"),
        (12345678901234567890, "token must be set"),
    ],
)
def test_a_weak_token_is_refused_with_how_to_make_a_better_one(token, why):
    with pytest.raises(ValueError, match=why) as wrong:
        serve(guard_of(), token=token)
    assert "x" * 20 not in f"{wrong.value}"


ADDRESSES = [
    ("127.0.0.1:9911", "127.0.0.1:9911"),
    ("127.8.8.8:9911-9913", "127.8.8.8:9911-9913"),
    ("localhost:0", "127.0.0.1:0"),
    ("LocalHost:9911-9911", "127.0.0.1:9911"),
    ("[::1]:9911-9912", "[::1]:9911-9912"),
    ("[0:0::1]:1", "[::1]:1"),
]


@pytest.mark.parametrize(("text", "read"), ADDRESSES)
def test_an_address_is_read(text, read):
    assert read == str(read_address(text))


@pytest.mark.parametrize(
    "text",
    (
        "0.0.0.0:9911 10.0.0.7:9911 [::]:9911 [::ffff:127.0.0.1]:1 example.com:1 localhost.evil:1 [x]:1 128.0.0.1:1 0:1 []:1"
    ).split(),
)
def test_what_is_not_on_loopback_is_refused_with_what_to_do_instead(text):
    with pytest.raises(ValueError, match=r"address must be on loopback.*forward the port: ssh -L"):
        serve(guard_of(), address=text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must be an address and a port"),
        ("9911", "must be an address and a port"),
        ("127.0.0.1", "must be an address and a port"),
        (":9911", "must be an address and a port"),
        ("127.0.0.1:http", "must be an address and a port"),
        ("http://127.0.0.1:9911", "must be an address and a port"),
        ("::1:9911", "must be an address and a port"),
        ("127.0.0.1:9911-", "must be an address and a port"),
        ("127.0.0.1:65536", "ports end at 65535"),
        ("127.0.0.1:9918-9911", "must be a range of 1 to 64 ports"),
        ("127.0.0.1:9000-9064", "must be a range of 1 to 64 ports"),
        ("127.0.0.1:0-8", "must be a range of 1 to 64 ports"),
    ],
)
def test_an_address_that_cannot_be_read_is_shown(text, why):
    with pytest.raises(ValueError, match=f"address {why}.*got '{text}'"):
        serve(guard_of(), address=text)


def test_of_a_range_the_first_free_port_is_taken():
    first = free_ports(3)
    address = f"127.0.0.1:{first}-{first + 2}"
    with served(address=address) as one, served(address=address) as two:
        assert [f"http://127.0.0.1:{port}" for port in (first, first + 1)] == [one.url, two.url]
        one.close()
        with served(address=address) as again:
            assert one.url == again.url


def test_two_never_listen_at_one_port():
    with served() as control, pytest.raises(OSError, match=r"no endpoint at 127\.0\.0\.1:\d+: Address already in use"):
        serve(guard_of(), address=control.url.removeprefix("http://"))


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
def test_ipv6_does_as_well():
    with served(address="[::1]:0") as control:
        assert control.url.startswith("http://[::1]:")
        assert 200 == ask(control).status


def test_closing_ends_it_at_once_and_may_be_done_twice():
    guard = guard_of()
    with served(guard) as control:
        idle = connected(control)
        idle.sendall(b"GET")
    idle.settimeout(QUIET_S / 2)  # by itself it would last longer
    assert b"" == received(idle)
    idle.close()
    control.close()
    with pytest.raises(ConnectionRefusedError):
        connected(control)
    guard.try_enter("orders").exit()


def test_without_a_guard_it_answers_for_the_default_one_of_the_moment():
    with substituted(rules=[{"name": "first", "resource": "r", "kind": "limit", "rate": "1/s"}]), serve() as control:

        def names():
            return [one["name"] for one in ask(control, path="/v1/snapshot", token=control.token).content["rules"]]

        assert "first" in names()  # beside what other tests have decorated
        with substituted(rules=[{"name": "second", "resource": "r", "kind": "limit", "rate": "1/s"}]):
            assert {"second"} == {"first", "second"} & {*names()}
        assert default_guard().rules.get("first") is not None


def test_neither_its_text_nor_its_log_has_the_token(caplog):
    with caplog.at_level(logging.DEBUG), served() as control:
        ask(control)
        ask(control, path=f"/v1/rules/per-user/standing?key={CANARY}")
        ask(control, token=f"{TOKEN}x")
        said = f"{control!r} {control} {control._endpoint!r} {control._endpoint.door!r}"
    assert "<Control http://127.0.0.1:" in said
    assert "listens at http://127.0.0.1:" in caplog.text
    assert not [word for word in (TOKEN, CANARY) if word in said + caplog.text]


def test_a_child_lets_go_of_the_endpoint_and_its_connections():
    guard = guard_of()
    with served(guard) as control, connected(control) as half:
        half.sendall(head(control)[:9])
        wait_until(lambda: control._endpoint.open, "it was taken up")
        [[inside, _]] = control._endpoint.open.items()

        def child():
            control.close()  # there is nothing to close, and nothing to wait for
            return control._endpoint.socket.fileno(), inside.fileno()

        assert "(-1, -1)" == in_child(child)
        half.sendall(head(control)[9:])
        assert 200 == heard(half).status  # its connection went on
        assert 200 == ask(control).status


def test_a_child_that_outlives_its_parents_endpoint_does_not_hold_the_port():
    control = served().__enter__()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)  # until the parent is done
        os._exit(0)
    os.close(reading)
    try:
        control.close()
        with pytest.raises(ConnectionRefusedError):
            connected(control)
    finally:
        os.close(writing)
        os.waitpid(child, 0)


def test_a_child_may_open_one_of_its_own():
    guard = guard_of()
    with served(guard) as control:

        def child():
            with served(guard) as mine:
                return mine.url != control.url, ask(mine).status

        assert "(True, 200)" == in_child(child)


def test_what_it_is_made_of_is_small():
    assert ["Control", "serve"] == guardrail.control.__all__
