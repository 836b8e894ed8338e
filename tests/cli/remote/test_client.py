"""Whatever is at the other end, a command ends in a sentence, and the token goes nowhere else."""

import json
import socket
import threading

import pytest

from guardrail.cli.remote import client
from guardrail.control.proof import ASKED, proof_of
from tests.cli.remote.scene import typed
from tests.control.scene import CANARY, TOKEN, ask, guard_of, served


@pytest.fixture
def answering():
    """Give servers that say what they are told to, and note what they hear. Those that prove to know the token go on."""
    started = []

    def start(said, *, proves=True):
        listener = socket.create_server(("127.0.0.1", 0))
        heard = []

        def run():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    if proves:
                        connection.sendall(proof(connection.recv(65_536), listener.getsockname()[1]))
                    heard.append(connection.recv(65_536))
                    connection.sendall(said)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        started.append((listener, thread))
        return f"http://127.0.0.1:{listener.getsockname()[1]}", heard

    yield start
    for listener, thread in started:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def proof(asked, port):
    nonce = asked.split()[1].decode().removeprefix(ASKED)
    said = json.dumps({"proof": proof_of(TOKEN, nonce, f"127.0.0.1:{port}")}).encode()
    return reply(said, headers="Connection: keep-alive\r\n")


def reply(body, status="200 OK", headers="", length=None):
    length = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n".encode() + body


SAID = [
    (reply(b"<html>hello</html>"), "is no control endpoint of guardrail"),
    (reply(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "is no control endpoint of guardrail"),
    (reply(b"[]"), "is no control endpoint of guardrail"),
    (reply(b"nothing", "404 Not Found"), "is no control endpoint of guardrail"),
    (reply(b"", "302 Found", f"Location: http://evil.example/{CANARY}\r\n"), "is no control endpoint of guardrail"),
    (reply(b"{}"), "its snapshot is of another version of guardrail than this command"),
    (reply(b'{"rules": 1}'), "its snapshot is of another version of guardrail than this command"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "does not answer as a control endpoint does"),
    (reply(b"{}", length=1 << 40), "is no control endpoint of guardrail"),
    (b"HTTP/1.1 200 OK\r\n\r\n{}", "is no control endpoint of guardrail"),  # nobody says where it ends
    (b"", "does not answer as a control endpoint does"),
    (reply(b"short", length=500), "does not answer as a control endpoint does"),
]


@pytest.mark.parametrize(("said", "sentence"), SAID)
def test_what_is_no_endpoint_is_named_as_such(answering, said, sentence):
    url, _ = answering(said)
    done = typed("top", "--once", "--interval", "0.1", url=url)
    assert (1, "") == (done.code, done.out)
    assert url.removeprefix("http://") in done.err
    assert sentence in done.err
    assert 1 == len(done.err.splitlines())


@pytest.mark.parametrize(
    "said",
    [
        reply(b'{"detail": "busy"}', "503 No"),
        reply(b"{}"),
        reply(b'{"proof": 1}'),
        reply(b'{"proof": "\\ud800"}'),
        reply(b"hello"),
    ],
)
@pytest.mark.parametrize("words", [["top", "--once"], ["breaker", "payments", "open"], ["key", "r", "k", "show"]])
def test_a_thief_at_a_free_port_is_not_sent_the_token(answering, said, words):
    url, heard = answering(said, proves=False)
    with served() as control:
        done = typed(*words, "--url", control.url, url=url)
    assert url.removeprefix("http://") in done.out + done.err
    assert "does not know the token; it was not sent" in done.out + done.err
    assert heard
    assert TOKEN.encode() not in b"".join(heard)


def test_a_thief_cannot_have_the_service_prove_for_him():
    with served() as control, socket.create_server(("127.0.0.1", 0)) as thief:
        heard = []

        def relay():
            connection, _ = thief.accept()
            with connection:
                heard.append(connection.recv(65_536))
                path = heard[0].split()[1].decode()
                said = ask(control, path=path, authorization=None, connection="close")
                heard.append(said.content)
                connection.sendall(reply(said.text.encode(), headers="Connection: keep-alive\r\n"))
                heard.append(connection.recv(65_536))

        thread = threading.Thread(target=relay, daemon=True)
        thread.start()
        done = typed("breaker", "payments", "open", url=f"127.0.0.1:{thief.getsockname()[1]}")
        thread.join(10)
    assert 1 == done.code
    assert "does not know the token; it was not sent" in done.err
    assert "proof" in heard[1]  # so the service was asked, and answered
    assert b"" == heard[2]


def test_a_connection_that_ends_after_the_proof_is_not_opened_again(answering):
    url, heard = answering(b"", proves=True)
    typed("breaker", "payments", "open", url=url)
    assert 1 == len(heard)


def test_a_redirect_is_not_followed_so_the_token_stays(answering):
    elsewhere, heard = answering(reply(b"{}"))
    url, _ = answering(reply(b"", "307 Temporary Redirect", f"Location: {elsewhere}/v1/snapshot\r\n"))
    assert 1 == typed("top", "--once", url=url).code
    assert [] == heard


def test_a_proxy_in_the_environment_is_not_asked(answering, monkeypatch):
    proxy, heard = answering(reply(b"{}"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy)
    with served() as control:
        assert 0 == typed("top", "--once", "--interval", "0.1", url=control.url).code
    assert [] == heard


def test_one_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(client, "PATIENCE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = typed("breaker", "payments", "open", url=f"127.0.0.1:{silent.getsockname()[1]}")
    assert 1 == done.code
    assert "does not answer within" in done.err


def test_what_an_endpoint_says_cannot_do_anything_to_a_terminal(answering):
    body = b'{"title": "x", "detail": "\\u001b[2Jgone", "did_you_mean": "\\u001b[31m"}'
    url, _ = answering(reply(body, "404 Not Found"))
    done = typed("breaker", "payments", "open", url=url)
    assert "\x1b" not in done.err
    assert "gone" in done.err


@pytest.mark.parametrize(
    "url",
    [
        "10.0.0.7:9911",
        "http://example.com:9911",
        "http://0.0.0.0:9911",
        "https://127.0.0.1:9911",
        "http://127.0.0.1",
        "http://127.0.0.1:9911@evil.example:9911",
        "127.0.0.1:9911/v1",
        "127.0.0.1:0",
        "ftp://127.0.0.1:1",
        "",
    ],
)
@pytest.mark.parametrize("words", [["top"], ["breaker", "b", "open"], ["key", "r", "k", "show"]])
def test_the_token_goes_to_loopback_only(url, words):
    done = typed(*words, url=url)
    assert 2 == done.code
    assert "--url" in done.err


@pytest.mark.parametrize("words", [["top"], ["breaker", "b", "open"], ["key", "r", "k", "show"]])
def test_without_a_place_or_a_token_it_says_what_to_set(words):
    done = typed(*words)
    assert (
        2,
        "guardrail: where? give --url http://127.0.0.1:9911, or set GUARDRAIL_CONTROL as it is set for the service\n",
    ) == (
        done.code,
        done.err,
    )
    done = typed(*words, url="127.0.0.1:9911", token=None)
    assert (2, "guardrail: no token: set GUARDRAIL_CONTROL_TOKEN to that of the service, or give --token\n") == (
        done.code,
        done.err,
    )
    done = typed(*words, url="127.0.0.1:9911", token="short")
    assert (2, "guardrail: the token must have at least 16 characters, got 5\n") == (done.code, done.err)


@pytest.mark.parametrize("words", [["top"], ["breaker", "payments", "open"], ["key", "per-user", "k", "show"]])
def test_a_wrong_token_is_said_to_be_wrong_and_not_shown(words):
    with served() as control:
        done = typed(*words, url=control.url, token="canary-wrong-token-0")
    assert 1 == done.code
    assert "whoever listens at 127.0.0.1:" in done.err
    assert "does not know the token; it was not sent" in done.err
    assert "GUARDRAIL_CONTROL_TOKEN of the service" in done.err
    assert "canary" not in done.err + done.out


@pytest.mark.parametrize("words", [["top"], ["breaker", "payments", "open"], ["key", "per-user", "k", "show"]])
def test_where_nobody_listens_it_asks_whether_the_service_runs(words):
    with served() as control:
        url = control.url
    for where in url, f"{url}-{int(url.rpartition(':')[2]) + 1}":
        done = typed(*words, url=where)
        assert 1 == done.code
        assert "nobody listens at 127.0.0.1:" in done.err
        assert "running" in done.err


def test_place_and_token_may_be_in_the_environment(monkeypatch):
    with served(guard_of()) as control:
        monkeypatch.setenv("GUARDRAIL_CONTROL", control.url.removeprefix("http://"))
        monkeypatch.setenv("GUARDRAIL_CONTROL_TOKEN", TOKEN)
        assert 0 == typed("breaker", "payments", "reset", token=None).code


def test_the_help_does_not_show_a_token_in_the_environment(monkeypatch):
    monkeypatch.setenv("GUARDRAIL_CONTROL_TOKEN", TOKEN)
    for command in ("top", "breaker", "key"):
        done = typed(command, "--help", token=None)
        assert "GUARDRAIL_CONTROL_TOKEN" in done.out
        assert TOKEN not in done.out
