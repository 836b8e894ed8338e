"""What `explain` says of a limit is what the limit does: each number is held against core, and each is reached."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from guardrail import RuleSet
from guardrail.cli.explanation import explain
from guardrail.cli.limit_words import Terms, limit_numbers, limit_rows, places
from guardrail.cli.question import Question
from guardrail.core.token_bucket import TokenBucket
from guardrail.rules.model import LimitRule

MINUTE_US = 60_000_000
MS = 1_000


def limit(rate, **fields):
    """Return a limit rule on `a` and what is asked of it."""
    cost = fields.pop("of_call", 1)
    rules = RuleSet.parse([{"resource": "a", "kind": "limit", "rate": rate, **fields}])
    (asked,) = explain(rules, Question("a", {}, cost)).asked
    assert isinstance(asked.rule, LimitRule)
    return asked.rule, asked


def said(rate, **fields):
    return dict(limit_rows(*limit(rate, **fields)))


def greedy(core, until_us, cost=1):
    """Return how many calls get in from time 0 to *until_us*, both included, if each comes as early as it may."""
    now_us, state, admitted = 0, core.fresh(0), 0
    while now_us <= until_us:
        state = core.at(state, now_us)
        ruling = core.ask(state, now_us, cost, 0)
        if ruling.allowed:
            state = core.charge(state, now_us, cost)
            admitted += 1
        else:
            now_us += ruling.retry_after_us
    return admitted


periods = st.sampled_from(["s", "min", "10s", "2min", "h", "7s"])


@given(amount=st.integers(1, 300), period=periods, burst=st.integers(2, 300))
def test_a_token_bucket_lets_in_what_is_said_and_not_one_more(amount, period, burst):
    rule, asked = limit(f"{amount}/{period}", burst=burst)
    terms = Terms.of(rule, "")
    for span_us in MINUTE_US // 20, min(rule.rate.period_us, MINUTE_US):
        assert terms.most_within(span_us) == greedy(rule.limit(), span_us)
    assert burst == limit_numbers(rule, asked)["at_once"]


def test_without_a_burst_it_is_reached_where_the_refill_takes_whole_microseconds():
    """Else each start is rounded up to one, and nothing makes up for that."""
    even, odd = limit("4/s", burst=1)[0], limit("3/s", burst=1)[0]
    assert 241 == Terms.of(even, "").most_within(MINUTE_US) == greedy(even.limit(), MINUTE_US)
    assert 181 == Terms.of(odd, "").most_within(MINUTE_US) > greedy(odd.limit(), MINUTE_US)


@given(
    amount=st.integers(1, 50),
    period_ms=st.integers(1, 2_000),
    burst=st.integers(1, 20),
    max_wait_ms=st.integers(1, 3_000),
    cost=st.integers(1, 20),
    data=st.data(),
)
def test_no_more_calls_wait_at_a_time_than_is_said(amount, period_ms, burst, max_wait_ms, cost, data):
    cost = min(cost, burst)
    core = TokenBucket(amount, period_ms * MS, burst, max_wait_ms * MS)
    rule, _ = limit(f"{amount}/{period_ms}ms", burst=burst, max_wait=f"{max_wait_ms}ms")
    state, now_us, starts = core.fresh(0), 0, []
    for pause_us in data.draw(st.lists(st.integers(0, 2 * period_ms * MS), max_size=10)):
        now_us += pause_us
        while (ruling := core.ask(core.at(state, now_us), now_us, cost, core.max_wait_us)).allowed:
            state = core.charge(core.at(state, now_us), now_us, cost)
            starts.append(now_us + ruling.wait_us)
        waiting = sum(1 for start_us in starts if start_us > now_us)
        assert waiting <= places(rule.rate, rule.max_wait_us, cost)


def test_as_many_wait_as_is_said_where_the_first_waits_for_the_last_bit_of_a_token():
    """4 a second and 1 s of patience: 5 can wait at a time, because the first of them needs to wait 1 us only."""
    rule, _ = limit("4/s", burst=1, max_wait="1.000001s")
    core = rule.limit()
    state = core.charge(core.fresh(0), 0, 1)
    waits = []
    now_us = 249_999
    while (ruling := core.ask(core.at(state, now_us), now_us, 1, core.max_wait_us)).allowed:
        state = core.charge(core.at(state, now_us), now_us, 1)
        waits.append(ruling.wait_us)
    assert [1, 250_001, 500_001, 750_001, 1_000_001] == waits
    assert 5 == places(rule.rate, rule.max_wait_us, 1)


@given(amount=st.integers(1, 50), period_s=st.integers(1, 30))
def test_a_fixed_window_lets_in_twice_its_amount_around_an_edge(amount, period_s):
    assert f"and so up to {2 * amount:,} around" in said(f"{amount}/{period_s}s", algorithm="fixed_window")["rate"]
    rule, _ = limit(f"{amount}/{period_s}s", algorithm="fixed_window")
    core, edge_us = rule.limit(), period_s * 1_000_000
    state = core.charge(core.fresh(edge_us - 1), edge_us - 1, amount)
    assert core.ask(core.at(state, edge_us), edge_us, amount, 0).allowed


@given(amount=st.integers(1, 50), period_s=st.integers(1, 30), offset_us=st.integers(0, 3_000_000))
def test_a_sliding_window_gives_room_back_as_late_as_is_said_and_no_later(amount, period_s, offset_us):
    rule, _ = limit(f"{amount}/{period_s}s", algorithm="sliding_window")
    core = rule.limit()
    state = core.charge(core.fresh(offset_us), offset_us, amount)
    retry_us = core.ask(core.at(state, offset_us), offset_us, 1, 0).retry_after_us
    late_us = retry_us - period_s * 1_000_000
    assert 0 < late_us <= period_s * 100_000


#   rule                                                what is said of its rate
RATES = [
    (
        ("100/min", {"burst": 20}),
        "100/min, token_bucket: at most 20 at once, 120 in the first minute, 100 in each later minute",
    ),
    (("100/min", {}), "100/min, token_bucket: at most 100 at once, 200 in the first minute, 100 in each later minute"),
    (
        ("10/s", {}),
        "10/s, token_bucket: at most 10 at once, 20 in the first second, 10 in each later second, 610 in the first minute",
    ),
    (
        ("5 per 15 minutes", {}),
        "5 per 15 minutes, token_bucket: at most 5 at once, 5 in the first minute, 10 in the first 15 min, 5 in each later 15 min",
    ),
    (
        ("0.5/s", {}),
        "0.5/s, token_bucket: at most 1 at once, 2 in the first 2 s, 1 in each later 2 s, 31 in the first minute",
    ),
    (
        ("1/s", {"algorithm": "leaky_bucket", "max_wait": "5s"}),
        "1/s, leaky_bucket: at most 1 at once, 2 in the first second, 1 in each later second, 61 in the first minute",
    ),
    (
        ("1000/day", {"algorithm": "sliding_window"}),
        "1000/day, sliding_window: never more than 1,000 in any day, wherever it begins; room comes back up to 2 h 24 min late",
    ),
    (
        ("100/min", {"algorithm": "fixed_window"}),
        "100/min, fixed_window: 100 in each minute of the clock, and so up to 200 around the edge of two",
    ),
    (
        ("5/h", {"algorithm": "sliding_log"}),
        "5/h, sliding_log: never more than 5 in any hour, wherever it begins, to the microsecond",
    ),
]


def test_rates_in_words():
    for (rate, fields), sentence in RATES:
        assert sentence == said(rate, **fields)["rate"]


def test_what_comes_back_in_words():
    assert "one comes back after about 666.7 ms, all 90 after 1 min" == said("90/min")["refill"]
    assert "one comes back after 2 s" == said("0.5/s")["refill"]
    assert "one comes back after 0.1 us, all 10,000,000 after 1 s" == said("10_000_000/s")["refill"]
    assert "refill" not in said("90/min", algorithm="fixed_window")


def test_queues_in_words():
    assert "none: a call that finds too little left is refused at once" == said("1/s")["queue"]
    assert (
        "a call that finds too little left waits up to 5 s for it, at most 5 such calls at a time; others are refused"
        == said("1/s", algorithm="leaky_bucket", max_wait="5s")["queue"]
    )
    assert "at most 1 such call at a time" in said("1/s", max_wait="100ms", of_call=0)["queue"]


def test_costs_in_words():
    assert "5, as the rule says: at most 2 such calls at once" == said("10/s", cost=5)["cost"]
    assert "50: NEVER ADMITTED, because at most 10 can be spent at once" == said("10/s", of_call=50)["cost"]


def test_the_rest_in_words():
    assert "charge" not in said("1/s")
    assert "taken on entry, and given back unless the call fails" == said("1/s", charge="failure")["charge"]
    assert "in each process by itself" == said("1/s", scope="local")["counted"]


def test_later_minutes_are_exact_where_they_can_be():
    assert 600.0 == limit_numbers(*limit("10/s"))["each_later_minute"]
    assert float(Fraction(1, 3)) == limit_numbers(*limit("5 per 15 minutes"))["each_later_minute"]
