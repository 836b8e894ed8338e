"""An endpoint proves that it knows the token before a client sends its own."""

import pytest

from guardrail.control.exchange import LARGEST
from guardrail.control.proof import fresh_nonce, proof_of
from tests.control.scene import TOKEN, ask, connected, head, heard, received, served

NONCE = "n" * 43


def where(control):
    return control.url.removeprefix("http://")


def test_who_asks_without_a_token_gets_a_proof_and_not_the_token(control):
    said = ask(control, path=f"/v1/proof?nonce={NONCE}", authorization=None, connection="close")
    assert (200, {"proof": proof_of(TOKEN, NONCE, where(control))}) == (said.status, said.content)
    assert TOKEN not in said.text


def test_a_proof_holds_for_one_question_one_address_and_one_token(control):
    made = {
        proof_of(token, nonce, at)
        for token in (TOKEN, TOKEN + "x")
        for nonce in (NONCE, fresh_nonce())
        for at in ("127.0.0.1:9911", "127.0.0.1:9912")
    }
    assert 8 == len(made)
    there = where(control).replace("127.0.0.1", "localhost")
    by_name = ask(control, path=f"/v1/proof?nonce={NONCE}", host=there, connection="close")
    assert proof_of(TOKEN, NONCE, where(control)) == by_name.content["proof"]  # whatever the request calls the place


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", f"/v1/proof?nonce={NONCE}", {"origin": "null"}, 403),
        ("GET", f"/v1/proof?nonce={NONCE}", {"host": "evil.example"}, 403),
        ("GET", f"/v1/proof?nonce={NONCE}", {"content_length": "5"}, 413),
        ("POST", f"/v1/proof?nonce={NONCE}", {}, 401),
        ("GET", f"/v1/proof?nonce={NONCE}&x=1", {}, 401),
        ("GET", "/v1/proof?nonce=short", {}, 401),
        ("GET", f"/v1/proof?nonce={'n' * 65}", {}, 401),
        ("GET", "/v1/proof", {}, 401),
    ],
)
def test_the_door_stays_closed_to_anything_else(control, method, path, headers, status):
    assert status == ask(control, method, path, **{"authorization": None} | headers).status


@pytest.mark.parametrize(("token", "status"), [(TOKEN, b"200"), ("another-token-0123456789", b"401")])
def test_what_follows_on_the_same_connection_needs_the_token(control, token, status):
    asked = head(control, path=f"/v1/proof?nonce={NONCE}", authorization=None)
    with connected(control) as connection:
        connection.sendall(asked + head(control, token=token))
        said = b"".join(iter(lambda: received(connection), b""))
    assert [b"200", status] == [answer[:3] for answer in said.split(b"HTTP/1.0 ")[1:]]


def test_proofs_are_not_given_for_ever():
    with served() as control, connected(control) as connection:
        asked = head(control, path=f"/v1/proof?nonce={NONCE}", authorization=None)
        connection.sendall(asked * (LARGEST // len(asked) + 2))
        assert 431 == int(heard(connection).text.rpartition("HTTP/1.0 ")[2].split()[0])
