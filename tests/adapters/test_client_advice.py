"""What an answer says of when to come back."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.adapters.clients.advice import FOREVER_US, Advice, advice

S = 1_000_000
FOREVER = object()
NOW = 1_700_000_000
FIELDS = "retry-after ratelimit ratelimit-remaining ratelimit-reset x-ratelimit-remaining x-ratelimit-reset".split()


def date(seconds):
    return format_datetime(datetime.fromtimestamp(NOW + seconds, UTC), usegmt=True)


def said(status, **headers):
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return advice(status, fields.get, NOW * S)


#   status, headers, seconds to stay away (None: no advice), the field that says so
ROWS = [
    (429, {"retry_after": "30"}, 30, "Retry-After"),
    (503, {"retry_after": "30"}, 30, "Retry-After"),
    (200, {"retry_after": "30"}, None, ""),
    (500, {"retry_after": "30"}, None, ""),
    (301, {"retry_after": "30"}, None, ""),
    (429, {"retry_after": " 30 "}, 30, "Retry-After"),
    (429, {"retry_after": "0"}, 0, "Retry-After"),
    (429, {"retry_after": "1.5"}, 1.5, "Retry-After"),
    (429, {"retry_after": "30, 60"}, 60, "Retry-After"),
    (429, {"retry_after": date(45)}, 45, "Retry-After"),
    (429, {"retry_after": date(-45)}, 0, "Retry-After"),
    (429, {"retry_after": "Tuesday, 14-Nov-23 22:13:50 GMT"}, 30, "Retry-After"),
    (429, {"retry_after": "Tue Nov 14 22:13:50 2023"}, 30, "Retry-After"),
    (429, {"retry_after": "-5"}, None, ""),
    (429, {"retry_after": "soon"}, None, ""),
    (429, {"retry_after": ""}, None, ""),
    (429, {"retry_after": "٣٠"}, None, ""),
    (429, {"retry_after": "1e3"}, None, ""),
    (429, {"retry_after": "9" * 3000}, None, ""),
    (429, {"retry_after": "9" * 30}, FOREVER, "Retry-After"),
    (429, {"retry_after": "Tue, 14 Nov 99999 22:13:50 GMT"}, None, ""),
    (429, {"retry_after": "5", "ratelimit": '"a";r=0;t=60'}, 5, "Retry-After"),
    (429, {"retry_after": "soon", "ratelimit": '"a";r=0;t=60'}, 60, "RateLimit"),
    (429, {}, None, ""),
    # structured fields
    (200, {"ratelimit": '"a";r=0;t=60'}, 60, "RateLimit"),
    (200, {"ratelimit": '"a";r=1;t=60'}, None, ""),
    (200, {"ratelimit": '"a";t=60;r=0'}, 60, "RateLimit"),
    (200, {"ratelimit": '"a"; r=0 ; t=60 , "b";r=0;t=90,"c";r=9;t=900'}, 90, "RateLimit"),
    (200, {"ratelimit": 'default;r=0;t=7;pk=:YWJj:;x;y=?1;z="q;\\",r"'}, 7, "RateLimit"),
    (200, {"ratelimit": '"a";r=0'}, None, ""),
    (200, {"ratelimit": '"a";r=0;t=-1'}, None, ""),
    (200, {"ratelimit": '"a;r=0;t=60'}, None, ""),
    (200, {"ratelimit": '"a";r=0;t=60,'}, None, ""),
    (200, {"ratelimit": '"a";r=0;t=60 "b"'}, None, ""),
    (200, {"ratelimit": ""}, None, ""),
    (200, {"ratelimit": '"a";r=0;t=60' + " " * 3000}, None, ""),
    # the dictionary of draft -07, and the fields before it
    (200, {"ratelimit": "limit=100, remaining=0, reset=50"}, 50, "RateLimit"),
    (200, {"ratelimit": "limit=100, remaining=10, reset=50"}, None, ""),
    (200, {"ratelimit_remaining": "0", "ratelimit_reset": "50"}, 50, "RateLimit-Reset"),
    (200, {"ratelimit_remaining": "3", "ratelimit_reset": "50"}, None, ""),
    (429, {"ratelimit_remaining": "3", "ratelimit_reset": "50"}, None, ""),
    (429, {"ratelimit_reset": "50"}, 50, "RateLimit-Reset"),
    (200, {"ratelimit_reset": "50"}, None, ""),
    (200, {"ratelimit_remaining": "0"}, None, ""),
    # what vendors send: seconds, seconds or milliseconds since 1970, a date
    (200, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "50"}, 50, "X-RateLimit-Reset"),
    (200, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": f"{NOW + 50}"}, 50, "X-RateLimit-Reset"),
    (200, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": f"{NOW + 50}.25"}, 50.25, "X-RateLimit-Reset"),
    (200, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": f"{NOW + 50}000"}, 50, "X-RateLimit-Reset"),
    (200, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "2023-11-14T22:13:50Z"}, 30, "X-RateLimit-Reset"),
    (200, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "2023-11-14T22:13:50"}, None, ""),
    (200, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": date(30)}, 30, "X-RateLimit-Reset"),
    (200, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": f"{NOW - 50}"}, 0, "X-RateLimit-Reset"),
    (200, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "500000000"}, None, ""),
    (200, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "soon"}, None, ""),
    (200, {"x_rate_limit_remaining": "0", "x_rate_limit_reset": "50"}, 50, "X-RateLimit-Reset"),
]


@pytest.mark.parametrize(("status", "headers", "seconds", "field"), ROWS)
def test_an_answer_advises(status, headers, seconds, field):
    wait_us = FOREVER_US if seconds is FOREVER else None if seconds is None else seconds * S
    assert (None if wait_us is None else Advice(wait_us, field)) == said(status, **headers)


def test_only_retry_after_counts_where_that_is_wanted():
    headers = {"ratelimit": '"a";r=0;t=60', "x-ratelimit-remaining": "0", "x-ratelimit-reset": "50"}
    assert None is advice(200, headers.get, NOW * S, rate_fields=False)


@given(st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=60) | st.text('"ar=0;t, 16:-.T', max_size=60)))
def test_no_field_is_so_odd_that_reading_it_fails(headers):
    found = advice(429, headers.get, NOW * S)
    assert found is None or found.wait_us >= 0


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_structured_field_gives_the_longest_of_the_quotas_that_are_used_up(first, second):
    assert Advice(max(first, second) * S, "RateLimit") == said(200, ratelimit=f'"a";r=0;t={first}, "b";r=0;t={second}')
