"""What `guardrail doctor` says of users of real servers: rights that are missing, commands that are, passwords."""

import pytest

from guardrail.cli.doctor.rights import needs
from guardrail.stores.contact import RIGHTS
from tests.cli.doctor.scene import EVERYTHING, PATIENT, SECRET, SOUND, as_user, findings, seen_at

LIMITED = f"user app on >{SECRET} ~guardrail:* {RIGHTS}"


# Rights --------------------------------------------------------------------------------------------------------------


def test_a_user_with_the_rights_that_the_docs_name_and_no_others(start_redis):
    server = start_redis(acl=[EVERYTHING, LIMITED])
    report = seen_at(as_user(server, "app") + PATIENT)
    assert SOUND == set(report.found)
    assert {"store.processes": "note"} == report.worse_than("ok")
    assert "'app'" in report.sentence("store.rights")
    assert [] == server.command("ACL", "LOG")


def test_each_missing_right_is_named_with_the_words_that_grant_it(start_redis):
    """And after it was granted, there is nothing more to say."""
    server = start_redis(acl=[EVERYTHING])
    for right in (right for right in RIGHTS.split() if right.startswith("+")):
        others = [other for other in RIGHTS.split() if other != right]
        server.command("ACL", "SETUSER", "app", "reset", "on", f">{SECRET}", "~guardrail:*", *others)
        server.command("SCRIPT", "FLUSH")
        finding = seen_at(as_user(server, "app")).found["store.rights"]
        assert f"ACL SETUSER app {right}" == finding["advice"]
        assert [right] == finding["measured"]["missing"]
        server.command(*finding["advice"].split())
        assert "ok" == seen_at(as_user(server, "app")).severity("store.rights")
    left = [server.command("PTTL", key) for key in server.command("KEYS", "*")]
    assert all(ttl == -2 or 0 <= ttl <= 1000 for ttl in left), left  # of who may not delete


def test_what_a_missing_right_means_decides_how_bad_it_is(start_redis):
    server = start_redis(acl=[EVERYTHING])
    expected = {"+get": "error", "+evalsha": "error", "+zadd": "warning", "+scan": "warning", "+info": "warning"}
    for right, severity in expected.items():
        others = [other for other in RIGHTS.split() if other != right]
        server.command("ACL", "SETUSER", "app", "reset", "on", f">{SECRET}", "~guardrail:*", *others)
        report = seen_at(as_user(server, "app"))
        assert severity == report.severity("store.rights")
        assert (severity == "error") == (report.code == 1)
        assert (severity == "error") == ("store.scripts" not in report.found)


def test_what_a_user_who_may_neither_delete_nor_expire_has_tried_is_gone_at_once(start_redis):
    few = [right for right in RIGHTS.split() if right not in {"+del", "+pexpire"}]
    server = start_redis(acl=[EVERYTHING, f"user app on >{SECRET} ~guardrail:* {' '.join(few)}"])
    report = seen_at(as_user(server, "app"))
    assert ["+pexpire", "+del"] == report.found["store.rights"]["measured"]["missing"]
    assert all(-1 != server.command("PTTL", key) <= 1000 for key in server.command("KEYS", "*"))


@pytest.mark.parametrize("keys", ["~elsewhere:*", "~guardrail:{*"])
def test_a_user_who_may_not_touch_the_keys(start_redis, keys):
    server = start_redis(acl=[EVERYTHING, LIMITED.replace("~guardrail:*", keys)])
    finding = seen_at(as_user(server, "app")).found["store.rights"]
    assert "ACL SETUSER app ~guardrail:*" == finding["advice"]
    assert 0 == server.command("DBSIZE")


def test_a_user_with_no_rights_at_all_is_told_everything_at_once(start_redis):
    server = start_redis(acl=[EVERYTHING, f"user app on >{SECRET}"])
    report = seen_at(as_user(server, "app"))
    assert 1 == report.code
    assert 20 == report.found["store.round-trip"]["measured"]["times"]  # a refusal comes as fast as an answer
    for finding in findings(report, "store.rights"):
        server.command(*finding["advice"].split())
    assert {"store.processes": "note"} == seen_at(as_user(server, "app") + PATIENT).worse_than("ok")


def test_commands_that_were_renamed(start_redis):
    server = start_redis('rename-command EVALSHA ""', 'rename-command SCAN ""')
    report = seen_at(server.url)
    assert "error" == report.severity("store.commands")
    assert "EVALSHA" in report.text
    assert "SCAN" in report.text


def test_every_right_that_a_store_needs_is_tried():
    tried = [right for need in needs() for right in need.tries]
    assert sorted(right for right in RIGHTS.split() if right.startswith("+")) == sorted(tried)


def test_each_right_is_tried_by_the_command_it_allows():
    for need in needs():
        for right, words in need.tries.items():
            command, _, inner = right.lstrip("+").partition("|")
            assert [command, *filter(None, [inner])] == [word.decode().lower() for word in words[: 1 + bool(inner)]], (
                right
            )


# Passwords -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ("", "redis://:password@host"),
        (f":{SECRET}@", "user name and password"),
        (f"x:{SECRET}@", "user name and password"),
    ],
)
def test_a_password_that_is_missing_or_wrong(start_redis, given, advice):
    server = start_redis(password="right")
    report = seen_at(server.url.replace(":right@", given))
    (code,) = report.worse_than("warning")
    assert "password" == report.found[code]["measured"]["fault"]
    assert advice in report.sentence(code)


def test_a_password_is_in_no_word_of_it(start_redis):
    server = start_redis(password=SECRET)
    assert 0 == seen_at(server.url).code  # which sees that it is not shown
