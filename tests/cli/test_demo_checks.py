"""The checks of the demo by themselves: what they take for a proof, and what not."""

import pytest

from guardrail.cli.demo.checks import (
    Rate,
    enforced_in_time,
    held_to,
    mistake_shown,
    nothing_else,
    polite_unharmed,
    retry_is_exact,
    taken_up,
    used_stays_used,
)
from guardrail.cli.demo.failure_checks import closed, kept_apart, left_alone, opened
from guardrail.cli.demo.hearing import Move
from guardrail.cli.demo.traffic import Answer, quantiles
from guardrail.errors import Problem

RATE, EDITED = Rate(10, 1, "10/s"), Rate(2, 1, "2/s")
TEN, TWENTY = Rate(10, 60, "10/min"), Rate(20, 60, "20/min")


def let_in(at=0.0, *, page="a page", client="ada", path="/search"):
    return Answer(client, path, 200, {"page": page}, None, at, at + 0.01)


def refused(at=0.0, *, retry_after=0.5, header="1", status=429, rule="r", **body):
    body = {"rule": rule, "reason": "rate", "detail": "no", "retry_after": retry_after} | body
    return Answer("ada", "/search", status, body, header, at, at + 0.01)


LOST = Answer("ada", "/search", 0, {"detail": "ReadTimeout"}, None, 0.0, 10.0)
MOVES = Move(1.0, "closed", "open", "5 of 10", 7, 0), Move(2.0, "open", "half_open", "1 s is over", 7, 4)
STOOD_IN = let_in(1.2, page="last known 9.80")

#   name                                              the check                                          what it says
ROWS = [
    (
        "a limit may let in its burst and what came back",
        held_to("", RATE, "r", [*[let_in()] * 9, let_in(0.09), refused()]),
        True,
    ),
    ("a limit may not let in one more", held_to("", RATE, "r", [*[let_in()] * 11, refused()]), False),
    ("a limit that refused nothing proves nothing", held_to("", RATE, "r", [let_in()]), False),
    ("another rule's refusals prove nothing", held_to("", RATE, "r", [let_in(), refused(rule="s")]), False),
    ("half a second is in time", enforced_in_time(0, refused(0.5), EDITED, RATE, [let_in(1), refused(1)]), True),
    ("a second and a bit is not", enforced_in_time(0, refused(1.0), EDITED, RATE, [let_in(1), refused(1)]), False),
    ("never is not in time", enforced_in_time(0, None, EDITED, RATE, []), False),
    (
        "an old rate that goes on is seen",
        enforced_in_time(0, refused(0.5), EDITED, RATE, [*[let_in(1)] * 3, refused(1)]),
        False,
    ),
    ("ten and ten of twenty", used_stays_used(TEN, TWENTY, [let_in()] * 10, [let_in(1)] * 10), True),
    ("ten and twenty of twenty", used_stays_used(TEN, TWENTY, [let_in()] * 10, [let_in(1)] * 20), False),
    ("ten and none of twenty", used_stays_used(TEN, TWENTY, [let_in()] * 10, [refused()]), False),
    ("what came back meanwhile is hers", used_stays_used(TEN, TWENTY, [let_in()] * 10, [let_in(6)] * 12), True),
    ("a mistake in its place", mistake_shown([Problem("no", "f", 2, 3)], (2, 3), [let_in()], unchanged=True), True),
    ("a mistake elsewhere", mistake_shown([Problem("no", "f", 2, 4)], (2, 3), [let_in()], unchanged=True), False),
    ("a mistake nobody hears of", mistake_shown([], (2, 3), [let_in()], unchanged=True), False),
    (
        "a mistake that changes the rules",
        mistake_shown([Problem("no", "f", 2, 3)], (2, 3), [let_in()], unchanged=False),
        False,
    ),
    (
        "a mistake that stops the service",
        mistake_shown([Problem("no", "f", 2, 3)], (2, 3), [LOST], unchanged=True),
        False,
    ),
    ("a mended file", taken_up("", 0.5), True),
    ("a mended file that is ignored", taken_up("", None), False),
    ("early no, later yes", retry_is_exact(refused(), refused(0.1, retry_after=0.4), let_in(0.51)), True),
    ("early no, with another time", retry_is_exact(refused(), refused(0.1, retry_after=0.3), let_in(0.51)), False),
    ("early no, later no", retry_is_exact(refused(), refused(0.1, retry_after=0.4), refused(0.51)), False),
    ("early yes", retry_is_exact(refused(), let_in(0.1), let_in(0.1)), False),
    ("early, but the machine was too slow to tell", retry_is_exact(refused(), let_in(0.5), let_in(0.5)), True),
    ("nothing refused", retry_is_exact(None, None, None), False),
    ("opened after the failure began", opened(0.5, MOVES), True),
    ("opened before the failure began", opened(1.5, MOVES), False),
    ("everybody gets the fallback", left_alone(MOVES, [STOOD_IN, refused(1.5), let_in(0.9)], []), True),
    ("somebody gets something else", left_alone(MOVES, [STOOD_IN, let_in(1.5)], []), False),
    ("somebody gets an error", left_alone(MOVES, [STOOD_IN, LOST._replace(sent=1.2, received=1.3)], []), False),
    (
        "the supplier is called all the same",
        left_alone((MOVES[0], MOVES[1]._replace(supplier_calls=8)), [STOOD_IN], []),
        False,
    ),
    ("it never opened", left_alone(None, [], []), False),
    ("closed after a trial", closed(1.5, [*MOVES, Move(3.0, "half_open", "closed", "", 9, 4)], let_in(3.1)), True),
    (
        "closed, and the fallback goes on",
        closed(1.5, [*MOVES, Move(3.0, "half_open", "closed", "", 9, 4)], STOOD_IN),
        False,
    ),
    ("closed without a trial", closed(1.5, [MOVES[0], Move(3.0, "open", "closed", "", 9, 4)], let_in(3.1)), False),
    ("not closed", closed(1.5, MOVES, let_in(3.1)), False),
    ("three inside, one refused", kept_apart(3, 3, [refused(status=503)], [let_in()] * 3, let_in()), True),
    ("four inside", kept_apart(3, 4, [refused(status=503)], [let_in()] * 4, let_in()), False),
    ("nobody refused", kept_apart(3, 3, [], [let_in()] * 3, let_in()), False),
    (
        "somebody refused too late",
        kept_apart(3, 3, [refused(status=503)], [*[let_in()] * 3, refused(status=503)], let_in()),
        False,
    ),
    (
        "a place that does not come back",
        kept_apart(3, 3, [refused(status=503)], [let_in()] * 3, refused(status=503)),
        False,
    ),
    ("the polite are let in", polite_unharmed(["ada"], [let_in(), let_in(client="eve")]), True),
    ("the polite are refused", polite_unharmed(["ada"], [let_in(), refused()]), False),
    ("the polite never came", polite_unharmed(["bob"], [let_in()]), False),
    ("pages and refusals", nothing_else([let_in(), refused()], {"r": 1}), True),
    ("a refusal that nobody was told of", nothing_else([let_in(), refused()], {"r": 2}), False),
    ("a refusal that the guard knows nothing of", nothing_else([refused()], {}), False),
    ("a refusal that no caller got", nothing_else([let_in()], {"r": 1}), False),
    ("a lost request", nothing_else([let_in(), LOST], {}), False),
    ("a refusal without Retry-After", nothing_else([refused(header=None)], {"r": 1}), False),
    ("a refusal with another Retry-After", nothing_else([refused(header="2")], {"r": 1}), False),
    ("a refusal of which no end is known", nothing_else([refused(header=None, retry_after=None)], {"r": 1}), True),
    ("a refusal without a reason", nothing_else([refused(reason=None)], {"r": 1}), False),
]


@pytest.mark.parametrize(("name", "check", "holds"), ROWS, ids=[name for name, *_ in ROWS])
def test_a_check_takes_for_proof_what_is_one(name, check, holds):
    assert holds is check.holds
    assert check.measured


def test_latencies_are_the_median_and_the_99th_percentile_in_milliseconds():
    assert pytest.approx((50.5, 99.01)) == quantiles([n / 1000 for n in range(1, 101)])
    assert quantiles([0.001]) is None
