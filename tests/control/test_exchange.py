"""A request is read in bounded room, and one that is cut short does nothing."""

import socket

import pytest

from guardrail.control.exchange import LARGEST
from tests.control.scene import CANARY, TOKEN, ask, connected, guard_of, head, heard, send, served, until_closed


def test_a_body_is_refused_rather_than_overlooked(control):
    """Who sends a key in a body and is not heard would reset all keys."""
    body = b'{"key": "u1"}'
    said = send(control, head(control, "POST", "/v1/rules/per-user/reset", content_length=len(body)), body)
    assert (413, "a request has no body here: the query says it all") == (said.status, said.content["detail"])


@pytest.mark.parametrize(
    "headers",
    [
        {"content_length": "10000000"},
        {"content_length": "-1"},
        {"content_length": "+0"},
        {"content_length": "0, 5"},
        {"transfer_encoding": "chunked"},
        {"transfer_encoding": "identity"},
        {"content_length": "0", "transfer_encoding": "chunked"},
    ],
)
def test_no_body_of_any_kind_is_waited_for(control, headers):
    assert 413 == ask(control, "POST", "/v1/rules/per-user/reset", **headers).status


def test_who_sends_a_large_body_gets_to_see_the_answer(control):
    body = b"x" * 900_000
    with connected(control) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)  # so that all of it has to be taken
        connection.sendall(head(control, "POST", "/v1/rules/per-user/reset", content_length=len(body)))
        connection.sendall(body)
        assert 413 == heard(connection).status


def test_an_empty_body_is_none(control):
    assert 200 == ask(control, "POST", "/v1/rules/per-user/reset", content_length="0").status


@pytest.mark.parametrize("path", ["/v1/health?" + "x" * LARGEST, "/" + "x" * LARGEST])
def test_a_long_path_is_refused(control, path):
    said = ask(control, path=path)
    assert (431, "the request is too large") == (said.status, said.content["detail"])


@pytest.mark.parametrize("headers", [{"x": "y" * LARGEST}, {f"x{number}": "y" * 100 for number in range(150)}])
def test_long_headers_are_refused(control, headers):
    assert 431 == ask(control, **headers).status


def test_headers_up_to_the_bound_are_read(control):
    room = LARGEST - len(head(control, x=""))
    assert 200 == ask(control, x="y" * room).status
    assert 431 == ask(control, x="y" * (room + 1)).status


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # somebody speaks TLS
        (b"nonsense\r\n\r\n", 400),
        (b"GET /v1/health HTTP/9.9\r\n\r\n", 505),
        (b"GET /v1/health HTTP/x\r\n\r\n", 400),
        (b"a b c d e\r\n\r\n", 400),
        (b"GET /v1/health HTTP/1.1\r\n\r\n", 403),
    ],
)
def test_what_is_no_request_is_refused(control, sent, status):
    said = send(control, sent)
    assert (status, "application/problem+json") == (said.status, said.headers["content-type"])


@pytest.mark.parametrize("sent", [b"", b"\r\n", b" \r\n"])
def test_who_says_nothing_hears_nothing(control, sent):
    with connected(control) as connection:
        connection.sendall(sent)
        connection.shutdown(1)
        assert heard(connection) is None


def test_who_says_no_version_is_not_let_in_either(control):
    assert 403 == send(control, b"GET /v1/snapshot\r\n\r\n").status


@pytest.mark.parametrize("missing", [1, 2, 4, 20, 200])
def test_a_request_that_is_cut_short_does_nothing(missing):
    """Even if all that counts has come: the end may be the end of `reset?key=..`, or of the headers."""
    guard = guard_of()
    with served(guard) as control:
        guard.breakers["payments"].force_open()
        request = head(control, "POST", "/v1/breakers/payments/reset", filler="x" * 150)
        with connected(control) as connection:
            connection.sendall(request[:-missing])
            connection.shutdown(1)
            assert heard(connection) is None
    assert "forced_open" == guard.breakers["payments"].state


def test_a_request_may_come_in_pieces(control):
    request = head(control)
    assert 200 == send(control, *(request[place : place + 1] for place in range(len(request)))).status


def test_one_connection_is_good_for_one_request():
    """What comes behind a request is never taken for another one."""
    guard = guard_of()
    with served(guard) as control, connected(control) as connection:
        connection.sendall(head(control) + head(control, "POST", "/v1/breakers/payments/open"))
        assert 200 == heard(connection).status
    assert "closed" == guard.breakers["payments"].state


def test_a_head_has_no_body(control):
    said = ask(control, "HEAD")
    assert (405, "") == (said.status, said.text)


@pytest.mark.parametrize(
    "sent",
    [
        f"GET /{CANARY} HTTP/1.1\r\n\r\n",
        f"{CANARY} / HTTP/1.1\r\n\r\n",
        f"{CANARY}\r\n\r\n",
        f"GET / {CANARY}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {CANARY}\r\nOrigin: {CANARY}\r\nAuthorization: {CANARY}\r\n\r\n",
        f"GET / HTTP/1.1\r\n{CANARY}\r\n\r\n",
    ],
)
def test_no_refusal_repeats_what_was_sent(control, sent, capfd, caplog):
    said = send(control, sent.encode())
    out, err = capfd.readouterr()
    assert CANARY not in said.text + str(said.headers) + out + err + caplog.text


def test_nothing_that_was_let_in_is_repeated_either(control, capfd, caplog):
    paths = [
        f"/v1/breakers/{CANARY}/open",
        f"/v1/rules/{CANARY}/reset",
        f"/v1/rules/per-user/reset?{CANARY}=1",
        f"/v1/rules/per-user/reset?key={CANARY}&key=2",
        f"/v1/{CANARY}",
    ]
    said = "".join(ask(control, "POST", path).text for path in paths)
    assert (CANARY, TOKEN) == tuple(
        word for word in (CANARY, TOKEN) if word not in said + caplog.text + "".join(capfd.readouterr())
    )


def test_the_other_side_may_go_away_at_any_time(control):
    for cut in (0, 1, 30, None):
        with connected(control) as connection:
            connection.sendall(head(control, path="/v1/snapshot")[:cut])
    with connected(control) as connection:
        connection.sendall(b"\x00" * 3)
        connection.shutdown(1)
        assert until_closed(connection)
    assert 200 == ask(control).status
