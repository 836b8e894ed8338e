"""What servers and systems say is one word and a sentence that says what to do."""

import ssl

import pytest
from redis import exceptions

from guardrail.stores.contact import RIGHTS, fault_of_reply, look, rights_of
from guardrail.stores.wires import fault_of_error

SHA = "f" * 40

#   what the server says                                      word          lasts  advice
REFUSALS = [
    ("NOAUTH Authentication required.", "password", True, "redis://:password@host"),
    ("WRONGPASS invalid username-password pair", "password", True, "check user name and password"),
    ("NOPERM this user has no permissions to run the 'evalsha' command", "rights", True, "'evalsha'"),
    ("ERR The user executing the script can't run this command or subcommand", "rights", True, "ACL SETUSER"),
    (f"ERR ACL failure in script: no permissions script: {SHA}, on @user_script:7.", "rights", True, RIGHTS),
    ("OOM command not allowed when used memory > 'maxmemory'.", "memory", False, "maxmemory"),
    (
        f"ERR Error running script (call to f_{SHA}): @user_script:7: @user_script: 7: -OOM no.",
        "memory",
        False,
        "maxmemory",
    ),
    ("READONLY You can't write against a read only replica.", "readonly", False, "primary"),
    ("LOADING Redis is loading the dataset in memory", "loading", False, "reading its data"),
    ("BUSY Redis is busy running a script.", "busy", False, "another script"),
    ("MISCONF Redis is configured to save RDB snapshots", "persistence", False, "stop-writes-on-bgsave-error"),
    ("MASTERDOWN Link with MASTER is down", "readonly", False, "lost its primary"),
    ("CLUSTERDOWN Hash slot not served", "cluster", False, "not whole"),
    ("MOVED 1 127.0.0.1:7001", "cluster", True, "MOVED 1 127.0.0.1:7001; it is part of a cluster"),
    ("ASK 1 127.0.0.1:7001", "cluster", True, "single server"),
    ("NOSCRIPT No matching script", "scripting", False, "does not keep"),
    ("ERR unknown command 'EVALSHA'", "scripting", True, "EVALSHA"),
    ("ERR max number of clients reached", "connection", False, "maxclients"),
    ("ERR DB index is out of range", "database", True, "another database"),
    (f"ERR user_script:7: attempt to index script: {SHA}, on @user_script:7.", "script", False, "attempt to index"),
]


@pytest.mark.parametrize(("text", "word", "lasts", "advice"), REFUSALS)
def test_what_a_server_refuses(text, word, lasts, advice):
    fault = fault_of_reply(text, f"~guardrail:* {RIGHTS}")
    assert (word, lasts) == (fault.word, fault.lasts)
    assert advice in fault.message
    assert SHA not in fault.message


def test_what_a_url_asks_for_needs_its_right():
    assert f"~app:* {RIGHTS}" == rights_of("app", {"db": 0})
    assert f"~app:* {RIGHTS} +select +client|setname" == rights_of("app", {"db": 1, "client_name": "api"})


#   what redis-py or the system raises                                        word          lasts
FAILURES = [
    (exceptions.AuthenticationError("invalid username-password pair or user is disabled."), "password", True),
    (exceptions.AuthenticationError("Authentication required."), "password", True),
    (exceptions.AuthenticationError("AUTH <password> called without any password configured"), "password", True),
    (exceptions.NoPermissionError("this user has no permissions to run the 'select' command"), "rights", True),
    (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), "loading", False),
    (exceptions.ResponseError("DB index is out of range"), "database", True),
    (exceptions.ResponseError("MISCONF cannot save"), "persistence", False),
    (exceptions.TimeoutError("Timeout connecting to server"), "timeout", False),
    (TimeoutError(), "timeout", False),
    (exceptions.InvalidResponse("Protocol Error: b'HTTP'"), "protocol", False),
    (exceptions.ConnectionError("Error 111 connecting to h:6379. Connection refused."), "connection", False),
    (OSError(), "connection", False),
    (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), "tls", False),
]


@pytest.mark.parametrize(("error", "word", "lasts"), FAILURES)
def test_why_no_connection_could_be_made(error, word, lasts):
    fault = fault_of_error(error, RIGHTS)
    assert (word, lasts) == (fault.word, fault.lasts)
    assert fault.message


def test_a_password_where_there_is_none_is_said_in_the_words_of_the_server():
    text = "AUTH <password> called without any password configured for the default user."
    message = fault_of_error(exceptions.AuthenticationError(text), RIGHTS).message
    assert message.startswith("the server says: AUTH <password> called")
    assert "leave it out" in message


@pytest.mark.parametrize(
    "text",
    [
        "unknown command 'AUTH', with args beginning with: 'user' 's3cr3t' ",  # Redis
        "unknown command `AUTH`, with args beginning with: `s3cr3t`, ",  # Redis 5
        "unknown command 'AUTH' with args beginning with: 's3cr3t\n' 'more'",
    ],
)
def test_what_a_server_repeats_of_a_password_is_left_out(text):
    for said in (
        fault_of_error(exceptions.ResponseError(text), RIGHTS).message,
        fault_of_reply(f"ERR {text}", "").message,
    ):
        assert "s3cr3t" not in said
        assert "AUTH" in said


def test_tls_is_named_however_deep_it_lies():
    outer = exceptions.ConnectionError("Error 1 connecting to h:6379.")
    outer.__cause__ = ssl.SSLCertVerificationError(1, "certificate verify failed")
    assert "tls" == fault_of_error(outer, RIGHTS).word


@pytest.mark.parametrize(
    ("policy", "settings"),
    [
        ("allkeys-lru", ["maxmemory-policy"]),
        ("allkeys-random", ["maxmemory-policy"]),
        ("noeviction", []),
        ("volatile-ttl", []),
    ],
)
def test_a_policy_that_throws_limits_away_is_warned_of(policy, settings):
    warned = []
    look(f"used_memory:1\r\nmaxmemory_policy:{policy}\r\nx:1\r\n".encode(), lambda setting, _: warned.append(setting))
    assert settings == warned
