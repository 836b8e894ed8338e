"""Lines of access logs become calls, or a reason why not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.cli.replay.call import Attributes, address, place_of
from guardrail.cli.replay.common import read_common
from guardrail.cli.replay.json_lines import USUAL, Field, JsonLines
from guardrail.cli.replay.reading import Reading
from guardrail.cli.replay.stamps import clf_stamp, lasting_us, stamp
from tests.cli.replay.scene import START_US, call

COMMON = '10.0.0.1 - ann [14/Nov/2023:22:13:20 +0000] "GET /v1/orders?page=2 HTTP/1.1" 200 512'
COMBINED = COMMON + ' "https://shop.example/" "curl/8.0"'


def test_the_common_log_format():
    expected = call(target="/v1/orders?page=2", user="ann", coarse=True)
    assert expected == read_common(COMMON, 1)


def test_the_combined_one_has_referer_and_agent_and_may_go_on():
    expected = call(
        target="/v1/orders?page=2", user="ann", coarse=True, referer="https://shop.example/", agent="curl/8.0"
    )
    assert expected == read_common(COMBINED, 1)
    assert expected == read_common(f'{COMBINED} "10.9.9.9" 0.004', 1)


#   the line                                                  what is read of it
LINES = [
    (COMMON.replace(" - ann ", " - - "), {"user": None}),
    (COMMON.replace(" - ann ", " - Ann B. "), {"user": "Ann B."}),
    (COMMON.replace(" 512", " -"), {"status": 200}),
    (COMMON.replace("10.0.0.1", "2001:db8::1"), {"client": "2001:db8::1"}),
    (COMMON.replace("GET", "BREW"), {"method": "OTHER"}),
    (COMMON.replace("GET", "HEAD"), {"method": "HEAD"}),
    (COMMON.replace(" HTTP/1.1", ""), {"target": "/v1/orders?page=2"}),
    (COMMON.replace("?page=2", r"?q=\"a\" b"), {"target": r"/v1/orders?q=\"a\" b"}),
    (COMMON.replace("+0000", "-0130"), {"at_us": START_US + 90 * 60_000_000}),
    (COMMON.replace(":20 ", ":20.250 "), {"at_us": START_US + 250_000, "coarse": False}),
    (COMBINED.replace('"curl/8.0"', '"-"'), {"agent": None}),
    (COMMON + "\r", {"status": 200}),
]


@pytest.mark.parametrize(("line", "read"), LINES)
def test_what_servers_write(line, read):
    found = read_common(line, 1)._asdict()
    assert read == {name: found[name] for name in read}


#   the line                                   why it cannot be read
WRONG = [
    ("hello", "neither the common nor the combined log format"),
    (COMMON.replace("Nov", "Nvo"), "time cannot be read"),
    (COMMON.replace("14/", "45/"), "time cannot be read"),
    (COMMON.replace("GET /v1/orders?page=2 HTTP/1.1", "-"), "names no path"),
    (COMMON.replace("GET /v1/orders?page=2 HTTP/1.1", r"\x16\x03\x01"), "names no path"),
    (COMMON.replace('HTTP/1.1"', "HTTP/1.1"), "neither the common"),
    ("{not json}", "no JSON"),
    ('{"time": 1}', "no method and path"),
    ('{"method": "GET", "path": "/"}', "no time"),
    ('{"time": "noon", "method": "GET", "path": "/"}', "time cannot be read"),
    ('{"time": 1, "method": "GET", "path": "/", "status": "fine"}', "status is no number"),
    ('{"time": 1, "method": "GET", "path": "/", "duration": "long"}', "duration cannot be read"),
    ("[" * 5_000, "neither the common"),
    ('{"a": ' + "[" * 50_000, "no JSON"),
    ("x" * 100_000, "longer than 64 KiB"),
]


@pytest.mark.parametrize(("line", "why"), WRONG, ids=[line[:30] for line, _ in WRONG])
def test_a_line_that_cannot_be_read_is_counted_with_its_reason(line, why):
    reading = Reading({})
    assert [] == reading.read([line, "", COMMON])[1:]
    assert (3, 1, 1) == (reading.lines, reading.calls, reading.unread)
    assert why in reading.shown[0].why
    assert len(reading.shown[0].text) < 120


def test_hostile_lines_are_read_in_no_time():
    """Nothing in them makes the pattern try again and again."""
    for text in (
        "[" * 60_000,
        ' [a] "' * 10_000,
        'a b c [x] "' + "\\" * 60_000,
        "a " * 30_000,
        'a - - [t] "' + '\\"' * 30_000,
    ):
        Reading({}).read([text] * 20)


JSON = '{"time": "2023-11-14T22:13:20Z", "method": "GET", "path": "/a", "status": 200, "remote_addr": "10.0.0.1"}'

#   who writes it                the line                                                                what is read of it
LOGGERS = [
    ("plain", JSON, {"at_us": START_US, "method": "GET", "target": "/a", "client": "10.0.0.1", "coarse": True}),
    (
        "nginx",
        (
            '{"time_iso8601":"2023-11-14T23:13:21+01:00","remote_addr":"::1","remote_user":"","request":"POST /b?x=1 HTTP/2.0",'
            '"status":"503","request_time":"0.250","http_user_agent":"curl","http_referer":"-"}'
        ),
        {
            "at_us": START_US + 750_000,
            "method": "POST",
            "target": "/b?x=1",
            "client": "::1",
            "user": None,
            "agent": "curl",
            "referer": None,
            "status": 503,
            "duration_us": 250_000,
        },
    ),
    (
        "gunicorn",
        (
            '{"remote_ip":"10.0.0.2","response_code":"404","request_method":"GET","request_path":"/c",'
            '"request_querystring":"?q=1","request_timetaken":"1500","time_local":"[14/Nov/2023:22:13:20 +0000]"}'
        ),
        {"at_us": START_US - 1_500, "target": "/c?q=1", "status": 404, "duration_us": 1_500, "client": "10.0.0.2"},
    ),
    (
        "uvicorn",
        '{"asctime":"2023-11-14 22:13:20,500","client_addr":"127.0.0.1:5555","request_line":"GET / HTTP/1.1","status_code":200}',
        {"at_us": START_US + 500_000, "client": "127.0.0.1:5555", "target": "/", "coarse": False},
    ),
    (
        "caddy",
        (
            '{"ts":1700000000.5,"request":{"remote_ip":"10.0.0.3","method":"GET","uri":"/d","headers":'
            '{"User-Agent":["Mozilla"]}},"duration":0.25,"status":200,"user_id":""}'
        ),
        {"at_us": START_US + 250_000, "client": "10.0.0.3", "target": "/d", "agent": "Mozilla", "duration_us": 250_000},
    ),
    (
        "traefik",
        (
            '{"ClientHost":"10.0.0.4","RequestMethod":"GET","RequestPath":"/e","DownstreamStatus":502,"Duration":2000000,'
            '"time":"2023-11-14T22:13:20Z"}'
        ),
        {"at_us": START_US - 2_000, "client": "10.0.0.4", "target": "/e", "status": 502, "duration_us": 2_000},
    ),
    (
        "ecs",
        (
            '{"@timestamp":"2023-11-14T22:13:20.000Z","http":{"request":{"method":"GET"},"response":{"status_code":500}},'
            '"url":{"original":"/f"},"source":{"ip":"10.0.0.5"},"user_agent":{"original":"curl"},"event":{"duration":5000}}'
        ),
        {"method": "GET", "status": 500, "target": "/f", "client": "10.0.0.5", "agent": "curl", "duration_us": 5},
    ),
    (
        "ecs, flat",
        '{"@timestamp":"2023-11-14T22:13:20Z","http.request.method":"GET","url.path":"/g","http.response.status_code":200}',
        {"method": "GET", "target": "/g", "status": 200},
    ),
]


@pytest.mark.parametrize(("line", "read"), [row[1:] for row in LOGGERS], ids=[row[0] for row in LOGGERS])
def test_json_of_the_usual_loggers(line, read):
    found = JsonLines({}).read(line, 1)._asdict()
    assert read == {name: found[name] for name in read}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["sub", "ip", "id"]), inner, max_size=3)
    ),
)
FIELDS = sorted({name.partition(".")[0] for names in USUAL.values() for name in names})


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES), st.booleans())
def test_whatever_stands_in_json_it_is_a_call_or_a_reason(line, good):
    text = json.dumps(line | ({"time": START_US, "method": "GET", "path": "/"} if good else {}))
    reading = Reading({"user": Field.of("user.sub"), "header.x": Field.of("client.ip")})
    assert 1 == len(reading.read([text])) + reading.unread
    assert reading.lines == 1


def test_what_the_user_says_wins_and_adds():
    fields = {"user": Field.of("jwt.sub"), "duration": Field.of("took", "ms"), "header.x-tenant": Field.of("tenant")}
    line = JSON[:-1] + ', "user": "no", "jwt": {"sub": "ann"}, "took": 2.5, "tenant": "acme"}'
    found = JsonLines(fields).read(line, 1)
    assert ("ann", 2_500, {"header.x-tenant": "acme"}) == (found.user, found.duration_us, found.more)
    assert START_US - 2_500 == found.at_us
    assert START_US == JsonLines(fields, at_end=False).read(line, 1).at_us


def test_a_log_may_name_the_resource_itself():
    found = JsonLines({}).read('{"time": 1700000000, "resource": "orders.create", "user": "ann"}', 1)
    assert ({"resource": "orders.create"}, "ann") == (found.more, found.user)


#   written                      the time in us after the start, and whether it is whole seconds
STAMPS = [
    (1_700_000_000, (0, True)),
    ("1700000000", (0, True)),
    (1_700_000_000.25, (250_000, False)),
    ("1700000000.123456", (123_456, False)),
    (1_700_000_000_250, (250_000, False)),
    (1_700_000_000_250_001, (250_001, False)),
    (1_700_000_000_250_001_999, (250_001, False)),
    ("2023-11-14T22:13:20.5+00:00", (500_000, False)),
    ("2023-11-14 22:13:20", (0, True)),
    ("2023-11-14T22:13:20.123456789Z", (123_456, False)),
    ("14/Nov/2023:22:13:20 +0000", (0, True)),
]


@pytest.mark.parametrize(("written", "expected"), STAMPS)
def test_times_are_told_by_their_form_and_size(written, expected):
    at_us, coarse = stamp(written)
    assert expected == (at_us - START_US, coarse)


@pytest.mark.parametrize(
    "written", ["", "noon", True, None, [], "9" * 99, "2023-13-45T00:00:00", "-5", float("nan"), "1e9"]
)
def test_what_is_no_time_is_refused(written):
    with pytest.raises(ValueError, match="its time cannot be read"):
        stamp(written)


def test_a_leap_second_is_the_one_before():
    assert clf_stamp("31/Dec/2016:23:59:59 +0000") == clf_stamp("31/Dec/2016:23:59:60 +0000")


#   value, unit        in us
DURATIONS = [
    (None, None, None), ("-", None, None), (0.25, None, 250_000), ("0.25", None, 250_000), ("12ms", None, 12_000),
    (3, "ms", 3_000), ("7", "us", 7), (1_500, "ns", 2), (0, "s", 0),
]  # fmt: skip


@pytest.mark.parametrize(("value", "unit", "expected"), DURATIONS)
def test_durations_have_the_unit_of_their_field_or_their_own(value, unit, expected):
    assert expected == lasting_us(value, unit)


@pytest.mark.parametrize("value", [-1, True, "long", [], float("nan"), float("inf"), 1e300])
def test_what_is_no_duration_is_refused(value):
    with pytest.raises(ValueError, match="its duration cannot be read"):
        lasting_us(value, "s")


def test_attributes_are_those_an_adapter_would_tell():
    known = Attributes(
        call(target="/v1/orders/7?a=1&a=2", client="[2001:db8::1]:80", user="ann"), "GET /v1/orders/{id}"
    )
    expected = {
        "client.ip": "2001:db8::/64",
        "user": "ann",
        "method": "GET",
        "status": "200",
        "resource": "GET /v1/orders/{id}",
        "query.a": "2",
        "query.b": None,
        "path.id": "7",
        "header.user-agent": None,
        "header.x-tenant": None,
        "cookie.a": None,
    }
    assert expected == {name: known.get(name) for name in expected}


def test_addresses_are_written_as_adapters_write_them():
    written = ["10.0.0.1", "10.0.0.1:80", "::ffff:10.0.0.1", "2001:db8::5%eth0", "host.example"]
    assert ["10.0.0.1", "10.0.0.1", "10.0.0.1", "2001:db8::/64", "host.example"] == [address(text) for text in written]


#   method, target                       what is called
PLACES = [
    ("GET", "/a/b?c=d", "GET /a/b"),
    ("HEAD", "/a", "GET /a"),
    ("OTHER", "/", "OTHER /"),
    ("GET", "/caf%C3%A9", "GET /café"),
    ("GET", "http://shop.example/a?b", "GET /a"),
    ("OPTIONS", "*", "OPTIONS *"),
]


@pytest.mark.parametrize(("method", "target", "place"), PLACES)
def test_the_place_is_what_an_application_sees(method, target, place):
    assert place == place_of(call(method=method, target=target))
