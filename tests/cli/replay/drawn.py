"""Rules of every kind and field that a replay knows, and traces for them, for hypothesis to draw and to shrink."""

from itertools import accumulate

from hypothesis import strategies as st

from guardrail import RuleSet
from tests.cli.replay.scene import START_US, call

NAMES = ["client.ip", "user", "method", "status", "header.user-agent", "header.x-tokens"]
# few of each, and most of them met by most rules: a trace is short, and has to come to something
CLIENTS = ["10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2", "::ffff:10.0.0.2"]
PATHS = ["/v1/orders", "/v1/orders", "/v1/orders/7", "/v1/orders/8", "/v1/search?q=1", "/static/app.js", "/healthz"]
RESOURCES = ["* /**", "**", "GET /v1/**", "* /v1/orders", "GET /v1/orders/{id}", "POST /v1/*"]
KEYS = [None, None, "client.ip", "client.ip", ["client.ip", "method"], "user|client.ip", "path.id", "resource"]
STATUSES = [200, 200, 404, 429, 500, 503]
SHARES = ["0%", "50%", "80%"]


def maybe(**fields):
    """Draw some of these fields, each by the strategy given for it."""
    return st.fixed_dictionaries({}, optional=fields)


def among(*values):
    return st.sampled_from(values)


def some(*values):
    return st.lists(among(*values), min_size=1, max_size=2, unique=True)


COMMON = maybe(
    mode=among("shadow", "enforce", "off", "shadow"),
    when=among({"user": ["ann", "bob"]}, {"user": "!ann"}, {"method": "GET"}, {"user": ["!ann", "!bob"]}),
    **{"except": some("GET /v1/search", "* /static/**", "POST /v1/*")},
)
RATES = among("5/s", "4 per 7s", "2/500ms", "1/s", "3/10s", "0.5/s")
COSTS = maybe(cost=among(1, 2, "header.x-tokens", "status"), charge=among("failure", "always"))


@st.composite
def limits(draw, waiting):
    fields = draw(COSTS) | {"kind": "limit", "rate": draw(RATES)}
    algorithms = ["token_bucket", "token_bucket", "sliding_window", "fixed_window", "sliding_log"]
    fields["algorithm"] = draw(among(*algorithms, *["leaky_bucket"] * waiting))
    if fields["algorithm"] == "token_bucket":
        fields |= draw(maybe(burst=st.integers(1, 8)))
        if waiting:
            fields |= draw(maybe(max_wait=among("200ms", "1s")))
    elif fields["algorithm"] == "leaky_bucket":
        fields["max_wait"] = draw(among("500ms", "2s"))
    key = draw(among(*KEYS))
    if key == "client.ip":
        fields |= draw(among({}, *({"overrides": {"10.0.0.2": "1/min", "10.0.0.1": rate}} for rate in ("7/s", "2/3s"))))
    return fields | _keyed(draw, key)


@st.composite
def breakers(draw, waiting):
    fields = {"kind": "breaker"} | draw(
        maybe(
            failure_rate=among("30%", "50%", "100%"),
            consecutive_failures=st.integers(1, 3),
            min_calls=st.integers(1, 6),
            open_for=among("300ms", "1s"),
            half_open_calls=st.integers(1, 3),
            probe_timeout=among("250ms", "2s"),
            failures=some("http.503", "http.404", "http.5xx", "TimeoutError"),
            ignore=some("http.404", "http.500"),
        )
    )
    if draw(st.booleans()):
        fields["slow_call"] = draw(among("600ms", "100ms"))
        fields |= draw(maybe(slow_rate=among("20%", "70%")))
    fields |= draw(among({}, {"window": "2s"}, {"window_calls": 5}))
    if "open_for" in fields:
        fields |= draw(maybe(open_for_max=among("2s", "10s")))
    if "window_calls" in fields:
        fields["min_calls"] = min(fields.get("min_calls", 5), 5)
    return fields | _keyed(draw, draw(among(None, "client.ip", "client.ip", "user")))


@st.composite
def bulkheads(draw, waiting):
    fields = {"kind": "bulkhead", "max_concurrent": draw(st.integers(1, 4))}
    if waiting and draw(st.booleans()):
        fields["max_wait"] = draw(among("150ms", "700ms"))
        fields |= draw(maybe(max_queue=st.integers(1, 2)))
    return fields | _keyed(draw, draw(among(None, "client.ip", "path.id")))


@st.composite
def rule_sets(draw, *, waiting=False):
    """Draw some rules; with *waiting*, some of them let calls wait."""
    kinds = st.one_of(limits(waiting), limits(waiting), breakers(waiting), bulkheads(waiting))
    found = []
    for number, fields in enumerate(draw(st.lists(kinds, min_size=1, max_size=5))):
        resource = {"name": f"rule {number}", "resource": draw(some(*RESOURCES))}
        enforce = draw(maybe(enforce=among(*SHARES)))
        found.append(resource | draw(COMMON) | enforce | fields)
    return RuleSet.parse(found)


CALLS = st.fixed_dictionaries(
    {
        "method": among("GET", "GET", "POST", "HEAD", "BREW"),
        "target": among(*PATHS),
        "client": among(*CLIENTS),
        "user": among(None, "ann", "bob"),
        "agent": among("curl/8", None),
        "status": among(*STATUSES),
        "more": among(*[None] * 3, {"header.x-tokens": "2"}, {"header.x-tokens": "many"}, {"cost": "3"}, {"cost": "0"}),
    }
)


@st.composite
def traces(draw, *, most=60, alone=False):
    """Draw calls in order, several at the same time too.

    Args:
        alone: No two of their times are the same, those of ends included.
    """
    calls = draw(st.lists(CALLS, min_size=most // 3, max_size=most))
    if alone:
        gaps = st.integers(0, 12_000).map(lambda gap: 7 * gap + 1)
        lasting = st.integers(1, 130_000).map(lambda time: 7 * time + 3)
    else:
        gaps = among(0, 1, 50_000, 50_000, 100_000, 250_000)
        lasting = among(None, 1, 50_000, 100_000, 250_000, 500_000, 1_000_000)
    times = accumulate([draw(gaps) for _ in calls], initial=START_US)
    return [
        call(number, at_us, duration_us=draw(lasting), **fields)
        for number, (at_us, fields) in enumerate(zip(times, calls, strict=False), start=1)
    ]


def _keyed(draw, key):
    return {"key": key} if key else {}
