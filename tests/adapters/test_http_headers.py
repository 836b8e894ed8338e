"""Headers: structured fields that parse, whatever rules and keys are called."""

import http_sfv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.adapters.http.headers import LARGEST, HeaderStyle, Standing, retry_after, sf_string, standings_in
from tests.adapters.wire import PER_CLIENT, guard_of


def now_us():
    return 1_700_000_000_000_000


NAMES = st.text(min_size=1, max_size=30)
NUMBERS = st.integers(0, 2**53)
STANDINGS = st.lists(st.builds(Standing, NAMES, NUMBERS, NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=4)


def fields(style, *standings):
    return dict(HeaderStyle(style).fields(standings, now_us))


def test_the_form_of_draft_10():
    expected = {"RateLimit": '"burst";r=12;t=30', "RateLimit-Policy": '"burst";q=100;w=60'}
    assert expected == fields("ietf-10", Standing("burst", 100, 12, 29_000_001, 60_000_000))


def test_several_limits_are_one_list():
    found = fields("ietf-10", Standing("a", 1, 0, 0, 1_000_000), Standing("b", 2, 1, 1, 86_400_000_000))
    assert {"RateLimit": '"a";r=0;t=0, "b";r=1;t=1', "RateLimit-Policy": '"a";q=1;w=1, "b";q=2;w=86400'} == found


def test_a_window_below_a_second_is_left_out():
    assert fields("ietf-10", Standing("a", 5, 4, 1, 999_999))["RateLimit-Policy"] == '"a";q=5'


def test_numbers_that_structured_fields_cannot_hold_are_cut_off():
    style, one = HeaderStyle("ietf-10"), Standing("a", 2**53, 2**53, 5, 5)
    expected = [(b"ratelimit", b'"a";r=%d;t=1' % LARGEST), (b"ratelimit-policy", b'"a";q=%d' % LARGEST)]
    assert expected == style.raw_fields([one], now_us)


def test_legacy_headers_show_the_limit_with_the_least_left_and_when_it_is_whole_again():
    found = fields("legacy", Standing("a", 100, 60, 5, 5), Standing("b", 10, 3, 1_500_000, 5))
    assert {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "1700000002"} == found


def test_both_and_off():
    one = Standing("a", 1, 1, 0, 5)
    assert {*fields("ietf-10", one), *fields("legacy", one)} == {*fields("both", one)}
    assert not fields("off", one)
    assert not HeaderStyle("off").shows


@given(STANDINGS, st.sampled_from(["ietf-10", "both"]))
def test_structured_fields_parse_and_say_what_they_mean(standings, style):
    found = fields(style, *standings)
    left, policies = http_sfv.List(), http_sfv.List()
    left.parse(found["RateLimit"].encode("ascii"))
    policies.parse(found["RateLimit-Policy"].encode("ascii"))
    assert [min(one.remaining, LARGEST) for one in standings] == [item.params["r"] for item in left]
    assert [min(one.limit, LARGEST) for one in standings] == [item.params["q"] for item in policies]
    assert [item.value for item in left] == [item.value for item in policies]


@given(STANDINGS, st.sampled_from(["ietf-10", "legacy", "both"]))
def test_no_name_of_a_rule_breaks_out_of_a_header(standings, style):
    for name, value in HeaderStyle(style).raw_fields(standings, now_us):
        assert name.islower()
        assert all(0x20 <= byte < 0x7F for byte in value)
        assert (name, value) in [
            (name.lower().encode(), value.encode()) for name, value in HeaderStyle(style).fields(standings, now_us)
        ]


@pytest.mark.parametrize(
    ("expected", "name"),
    [
        ('"per-user"', "per-user"),
        ('"GET /v1/orders/{id}/limit"', "GET /v1/orders/{id}/limit"),
        (r'"say \"hi\" \\"', 'say "hi" \\'),
        ('"a%0D%0AX: b%00"', "a\r\nX: b\0"),
        ('"%C3%BCber"', "über"),
        ('"?"', "\ud800"),
    ],
)
def test_what_a_string_cannot_hold_is_percent_encoded(expected, name):
    assert expected == sf_string(name)


@pytest.mark.parametrize(("expected", "seconds"), [("1", 0.000001), ("2", 1.24), ("60", 60.0), ("0", 0.0)])
def test_retry_after_is_rounded_up(expected, seconds):
    assert [("Retry-After", expected)] == retry_after(seconds)


def test_no_retry_after_where_no_time_can_be_named():
    assert retry_after(None) == []


def test_only_limits_with_a_key_that_are_enforced_are_shown():
    rules = [
        PER_CLIENT,
        {"name": "watching", "resource": "**", "kind": "limit", "rate": "9/s", "key": "client.ip", "mode": "shadow"},
        {"name": "total", "resource": "**", "kind": "limit", "rate": "9/s"},
        {"name": "places", "resource": "**", "kind": "bulkhead", "max_concurrent": 9, "key": "client.ip"},
    ]
    decision = guard_of(*rules).peek("x", {"client.ip": "1.1.1.1"})
    assert [("per-client", 2, 1, 30_000_000, 60_000_000)] == standings_in(decision)


def test_texts_are_forgotten_when_there_are_too_many():
    style = HeaderStyle("ietf-10")
    for limit in range(1, 3_000):
        assert (
            f'"a";q={limit};w=1'
            == dict(style.fields([Standing("a", limit, 1, 1, 1_000_000)], now_us))["RateLimit-Policy"]
        )
    assert len(style._texts) <= 1_024
