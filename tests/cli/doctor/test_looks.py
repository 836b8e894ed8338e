"""What is concluded from times, certificates and scripts' answers; and that nothing a server could say breaks the doctor."""

import ssl
from datetime import UTC, datetime, timedelta
from time import time_ns

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.cli.doctor.finding import Severity
from guardrail.cli.doctor.privacy import is_loopback, privacy_findings
from guardrail.cli.doctor.reach import Trip, clock_finding, connecting_finding, round_trip_finding, trips
from guardrail.cli.doctor.scripting import scripting_finding
from guardrail.cli.doctor.store import looks
from guardrail.stores.resp import ErrorReply
from tests.cli.doctor.scene import MadeUp, judged, url_of

OK, NOTE, WARNING, ERROR = Severity


# Reach ---------------------------------------------------------------------------------------------------------------

#   round trips in ms       timeout in ms   said of it
TRIPS = [
    ([1, 2, 3], 50, OK),
    ([1, 2, 24], 50, OK),
    ([1, 2, 25], 50, NOTE),
    ([1, 2, 49], 50, NOTE),
    ([1, 2, 50], 50, WARNING),
    ([49, 900, 60], 50, WARNING),
    ([50, 60, 70], 50, ERROR),
]


@pytest.mark.parametrize(("took", "timeout", "said"), TRIPS)
def test_round_trips_are_held_against_the_timeout(took, timeout, said):
    finding = round_trip_finding([Trip(ms * 1000, 0) for ms in took], timeout * 1000)
    assert said is finding.severity
    assert (min(took), max(took)) == (finding.measured["best_ms"], finding.measured["worst_ms"])


@pytest.mark.parametrize(("took", "advised"), [(25_000, "100ms"), (26_000, "150ms"), (90_000_000, "60000ms")])
def test_the_timeout_that_is_advised_can_be_written_into_a_url(took, advised):
    finding = round_trip_finding([Trip(took, 0)], took)
    assert f"timeout={advised} " in finding.advice
    assert 4 * took == url_of(f"redis://h?timeout={advised}").timeout_us or advised != "100ms"


@pytest.mark.parametrize(("connecting", "said"), [(50_000, OK), (50_001, NOTE), (800_000, NOTE), (800_001, ERROR)])
def test_connecting_is_held_against_the_timeout_and_a_stores_patience(connecting, said):
    assert said is connecting_finding(connecting, 800_000, 50_000).severity


#   took, ahead (both in ms)                        said of it
CLOCKS = [
    ([(1, 0)], OK),
    ([(1, 999)], OK),
    ([(1, -999)], OK),
    ([(2, 1002)], WARNING),
    ([(2, -1002)], WARNING),
    ([(3000, 1500)], OK),  # the answer may have been on its way for all of that
    ([(3000, 90_000), (2, 0)], OK),  # the quickest knows best
    ([(3000, 0), (2, 90_000)], WARNING),
    ([(1, None), (2, 0)], OK),
]


@pytest.mark.parametrize(("timed", "said"), CLOCKS)
def test_a_clock_is_called_wrong_only_if_it_is(timed, said):
    made = [Trip(took * 1000, None if ahead is None else ahead * 1000) for took, ahead in timed]
    assert said is clock_finding(made).severity


def test_whose_clock_is_ahead_is_said():
    assert "5 s ahead of" in clock_finding([Trip(100, 5_000_000)]).found
    assert "5 s behind" in clock_finding([Trip(100, -5_000_000)]).found
    assert clock_finding([Trip(100, None)]) is None


@pytest.mark.parametrize("ahead_s", [-3600, 0, 3600])
def test_the_time_is_measured(ahead_s):
    def answer(_):
        now_us = time_ns() // 1000 + ahead_s * 1_000_000
        return [b"%d" % (now_us // 1_000_000), b"%d" % (now_us % 1_000_000)]

    made = trips(MadeUp(answer))
    assert 20 == len(made)
    assert abs(min(made).ahead_us - ahead_s * 1_000_000) <= min(made).took_us + 1000


# Privacy -------------------------------------------------------------------------------------------------------------


class Encrypted:
    """A connection over TLS, whose certificate holds for so many days."""

    def __init__(self, days):
        self.end = datetime.now(UTC) + timedelta(days=days, minutes=1)

    def version(self):
        return "TLSv1.3"

    def getpeercert(self):
        return {"notAfter": self.end.strftime("%b %d %H:%M:%S %Y GMT")}


#   url                                           peer           days    said of it
WAYS = [
    ("redis://h", "10.0.0.5", None, {"tls": WARNING, "password": WARNING}),
    ("redis://:pw@h", "10.0.0.5", None, {"tls": WARNING}),
    ("redis://:pw@h", "2001:db8::1", None, {"tls": WARNING}),
    ("redis://:pw@h", "fe80::1%eth0", None, {"tls": WARNING}),
    ("redis://h", "127.0.0.1", None, {"tls": OK}),
    ("redis://h", "127.8.0.1", None, {"tls": OK}),
    ("redis://h", "::1", None, {"tls": OK}),
    ("redis://h", "::ffff:127.0.0.1", None, {"tls": OK}),
    ("unix:///redis.sock", None, None, {"tls": OK}),
    ("rediss://:pw@h", "10.0.0.5", 90, {"tls": OK}),
    ("rediss://:pw@h", "10.0.0.5", 14, {"tls": OK}),
    ("rediss://:pw@h", "10.0.0.5", 13, {"tls": WARNING}),
    ("rediss://h", "10.0.0.5", 90, {"tls": OK, "password": WARNING}),
    ("rediss://h?ssl_certfile=a.pem&ssl_keyfile=b.pem", "10.0.0.5", 90, {"tls": OK}),
    ("rediss://:pw@h?ssl_cert_reqs=none", "10.0.0.5", 90, {"tls": WARNING}),
    ("rediss://:pw@h?ssl_check_hostname=false", "10.0.0.5", 90, {"tls": WARNING}),
]


@pytest.mark.parametrize(("url", "peer", "days", "said"), WAYS)
def test_who_can_listen(url, peer, days, said):
    visit = MadeUp(None, peer=peer, secured=None if days is None else Encrypted(days))
    assert said == judged(privacy_findings(visit, url_of(url)))


def test_the_end_of_a_certificate_is_read_as_the_standard_library_writes_it():
    assert 0 < ssl.cert_time_to_seconds(Encrypted(1).getpeercert()["notAfter"])
    assert not is_loopback("192.0.2.1")


# Scripts -------------------------------------------------------------------------------------------------------------

FIVE = b" 1 0" * 5  # of each limit its era and that nothing is used

#   decided              processes   said
ANSWERED = [
    (b"1 1" + FIVE, 1, OK),
    (b"1 0" + FIVE, 1, ERROR),
    (b"1 1 1 0", 1, ERROR),
    (b"hello", 1, ERROR),
    (7, 1, ERROR),
    (b"1 1" + FIVE, 0, ERROR),
    (b"1 1" + FIVE, b"1", ERROR),
    (b"1 1" + FIVE, ErrorReply("NOPERM this user has no permissions to run the 'zadd' command"), OK),  # said elsewhere
    (b"1 1" + FIVE, ErrorReply("ERR odd"), ERROR),
    (ErrorReply("ERR odd"), 1, ERROR),
    (ErrorReply("OOM command not allowed"), 1, ERROR),
]


@pytest.mark.parametrize(("decided", "counted", "said"), ANSWERED)
def test_scripts_must_answer_what_they_should(decided, counted, said):
    answers = iter([decided, counted, b"1"])
    finding = scripting_finding(MadeUp(lambda _: next(answers)), url_of())
    assert said is finding.severity
    assert said is OK or (finding.found and finding.advice)


def test_a_script_that_the_server_does_not_take():
    answers = iter([ErrorReply("NOSCRIPT No matching script"), ErrorReply("ERR Error compiling script")])
    assert "compiling" in scripting_finding(MadeUp(lambda _: next(answers)), url_of()).found


# Whatever a server says ----------------------------------------------------------------------------------------------

TEXTS = st.sampled_from(
    ["OOM no", "READONLY no", "NOAUTH no", "WRONGPASS", "MOVED 1 h:1", "BUSY", "LOADING", "NOPERM no", "NOPERM a key",
     "ERR unknown command", "NOSCRIPT", "", "\x00", "ERR"]
)  # fmt: skip
NAMES = st.sampled_from(
    "redis_version redis_mode role cluster_enabled used_memory maxmemory maxmemory_policy evicted_keys maxclients aof_enabled "
    "connected_clients rejected_connections loading rdb_last_bgsave_status db0 connected_slaves valkey_version".split()
)
LINES = st.lists(st.tuples(NAMES, st.text(max_size=12) | st.integers().map(str)), max_size=6).map(
    lambda pairs: "\r\n".join(f"{name}:{value}" for name, value in pairs).encode(errors="replace")
)
ANSWERS = st.recursive(
    LINES
    | st.binary(max_size=12)
    | st.integers()
    | st.builds(ErrorReply, TEXTS | st.text(max_size=12))
    | st.just(b"0"),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)


@settings(max_examples=60)
@given(st.lists(ANSWERS, min_size=1, max_size=12), st.sampled_from([None, "127.0.0.1", "10.0.0.5"]))
def test_whatever_a_server_answers_is_a_finding_at_worst(answers, peer):
    place = 0

    def answer(_):
        nonlocal place
        place += 1
        return answers[place % len(answers)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("guardrail.cli.doctor.keyspace.PAGES", 3)
        found = list(looks(MadeUp(answer, peer=peer), url_of(), []))
    assert found
    assert all(one.severity is OK or (one.means and one.advice) for one in found)
