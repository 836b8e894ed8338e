"""Who is let in: whoever has the token, and came the right way."""

import logging

import pytest

from guardrail.control import door
from tests.control.scene import TOKEN, ask, guard_of, head, send, served

WRONG_TOKENS = [
    None,
    "",
    "Bearer",
    "Bearer ",
    f"Bearer {TOKEN}x",
    f"Bearer {TOKEN[:-1]}",
    f"Bearer x{TOKEN}",
    f"Basic {TOKEN}",
    TOKEN,
    "Bearer \xff\xfe",
    f"Bearer {TOKEN.upper()}",
]


@pytest.mark.parametrize("authorization", WRONG_TOKENS)
def test_without_the_token_nothing_is_said_but_that(control, authorization):
    said = ask(control, authorization=authorization)
    assert (401, "Bearer") == (said.status, said.headers["www-authenticate"])
    assert "the token is wrong or missing" in said.content["detail"]


def test_who_has_no_token_cannot_find_out_what_there_is(control):
    answers = {
        ask(control, method, path, token="x" * 16).text for method in ("GET", "PUT") for path in ("/", "/v1/health")
    }
    assert 1 == len(answers)


def test_two_tokens_are_none(control):
    twice = head(control).replace(b"\r\n\r\n", f"\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
    assert 401 == send(control, twice).status


def test_the_scheme_is_read_in_any_case(control):
    assert 200 == ask(control, authorization=f"bearer {TOKEN}").status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("LOCALHOST:{port}", 200),
        ("[::1]:{port}", 200),
        (None, 403),
        ("", 403),
        ("127.0.0.1", 403),
        ("127.0.0.1:1", 403),
        ("evil.example:{port}", 403),
        ("localhost.evil.example:{port}", 403),
        ("127.0.0.1.evil.example:{port}", 403),
        ("127.0.0.1:{port}@evil.example", 403),
        ("evil.example, 127.0.0.1:{port}", 403),
    ],
)
def test_a_name_that_was_bound_to_loopback_from_outside_is_refused(control, host, status):
    """DNS rebinding: the page's own name stands in the Host header."""
    port = control.url.rpartition(":")[2]
    assert status == ask(control, host=None if host is None else host.format(port=port)).status


def test_two_hosts_are_refused(control):
    twice = head(control).replace(b"\r\n\r\n", b"\r\nHost: evil.example\r\n\r\n")
    assert 403 == send(control, twice).status


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "{url}"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_browser_is_refused_whatever_page_it_shows(control, origin, method):
    said = ask(control, method, origin=origin.format(url=control.url))
    assert 403 == said.status
    assert not [name for name in said.headers if name.startswith("access-control")]


def test_headers_that_can_be_read_in_two_ways_are_refused(control):
    """A line without a colon would end the headers for some readers, and hide an Origin behind it."""
    hidden = head(control).replace(b"\r\n\r\n", b"\r\nno colon\r\nOrigin: http://evil.example\r\n\r\n")
    assert 400 == send(control, hidden).status


def test_no_answer_is_to_be_kept_or_guessed_at(control):
    for said in ask(control), ask(control, token="x" * 16):
        assert ("no-store", "nosniff") == (said.headers["cache-control"], said.headers["x-content-type-options"])


def test_who_was_turned_away_is_logged_seldom_and_counted(caplog, monkeypatch):
    with caplog.at_level(logging.WARNING, "guardrail.control"), served(guard_of()) as control:
        for _ in range(3):
            ask(control, token="wrong-token-0123456789")
        monkeypatch.setattr(door, "SELDOM_S", 0.0)
        control._endpoint.door._silent_until = 0.0
        ask(control, origin="http://evil.example")
    lines = [record.getMessage() for record in caplog.records]
    assert 2 == len(lines)
    assert "turned away: the token is wrong or missing" in lines[0]
    assert "turned away (and 2 before it): browsers are not let in" in lines[1]
