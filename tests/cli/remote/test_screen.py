"""The picture fits the terminal, is the same in words without one, and nothing in it can do anything to a terminal."""

from io import StringIO

import pytest
from rich.console import Console

from guardrail.cli.remote.screen import drawn, fitting, lines
from guardrail.cli.remote.sections import Cell, Section
from guardrail.cli.remote.summing import picture_of
from guardrail.telemetry.histogram import Distribution
from tests.cli.remote.scene import AT, breaker, breakers, bulkhead, hot, rule, sight, snapshot, store


def busy(rules=3):
    """A picture with something of everything, and at least so many rules."""
    kinds = [
        rule("per-user", allowed=1_500, refused=300, waited=Distribution(40, 1.0, ())),
        rule("GET /v1/customers/{customer}/orders/{order}/lines/limit", mode="shadow", allowed=90, shadow_refused=10),
        rule("search", enforced=0.1, allowed=1_000),
        *(rule(f"more-{number}") for number in range(rules - 3)),
    ]
    opened = breaker("open", reason="5 failed in a row", moved_at=AT - 12, retry_after=3.0)
    fields = {
        "breakers": (breakers("payments", {"open": 1}, payments=opened),),
        "bulkheads": (bulkhead("reports", in_use=9, waiting=2),),
        "hot_keys": tuple(hot("per-user", f"{number:032x}", 500 - number, number) for number in range(30)),
        "store": store(available=False, reason="timed out"),
    }
    before = snapshot(*(rule(one.name, mode=one.mode, enforced=one.enforced) for one in kinds))
    return picture_of([sight(snapshot(*kinds, **fields), before)])


def recorded(*pictures, width=80, height=24):
    """The lines that a terminal of this size shows."""
    console = Console(record=True, width=width, height=height, file=StringIO())
    console.print(drawn(pictures, width, height))
    return console.export_text().removesuffix("\n").split("\n")


@pytest.mark.parametrize("height", [10, 24, 50])
@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("rules", [3, 500])
def test_it_fits_the_terminal(width, height, rules):
    shown = recorded(busy(rules), width=width, height=height)
    assert max(map(len, shown)) <= width
    assert len(shown) <= height
    assert "q ends" == shown[-1].strip()


def test_two_pictures_fit_as_well():
    assert len(recorded(busy(500), busy(500), height=40)) <= 40


def test_at_80_by_24_there_is_something_of_everything():
    shown = "\n".join(recorded(busy(500)))
    for word in (
        "per-user",
        "payments",
        "5 failed in a row",
        "9 of 10",
        "10 of 100 calls (10%)",
        "is away",
        "rule (3 of 500)",
    ):
        assert word in shown


def test_numbers_are_never_cut_names_are():
    shown = recorded(busy(), width=80)
    assert any(line.startswith("GET /v1/cus") and "…" in line for line in shown)
    [row] = [line.split() for line in shown if line.startswith("per-user ") and "enforce" in line]
    assert ["per-user", "enforce", "1,800", "300", "16.7%", "0", "40.0", "25", "ms"] == row


def test_the_words_are_the_same_without_a_terminal():
    shown = recorded(busy(), width=300, height=200)
    assert [line.rstrip() for line in lines([busy()])] == [line.rstrip() for line in shown[:-1]]


def test_where_it_is_too_narrow_the_last_columns_are_left_out():
    [names] = [line.split() for line in recorded(busy(), width=40) if "calls/s" in line]
    assert ["rule", "mode", "calls/s"] == names


def test_without_a_terminal_nothing_is_cut():
    text = "\n".join(lines([busy(500)]))
    assert "more-496" in text
    assert "q ends" not in text


def test_what_matters_most_stands_first():
    shown = list(lines([busy(10)]))[5:8]
    assert ["per-user", "GET", "search"] == [line.split()[0] for line in shown]  # refuses, would, is called most


@pytest.mark.parametrize("nasty", ["\x1b[2J", "[bold red]x[/]", "a\nb", "\x07", "\u202e", " x ", "[link=file:///]"])
def test_names_and_keys_cannot_do_anything_to_a_terminal(nasty):
    opened = breaker("open", reason=nasty, moved_at=AT)
    picture = picture_of(
        [
            sight(
                snapshot(
                    rule(nasty, mode="shadow", shadow_refused=1),
                    breakers=(breakers(nasty, {"open": 1}, **{nasty: opened}),),
                    bulkheads=(bulkhead(nasty),),
                    hot_keys=(hot(nasty, nasty, 5, 5),),
                    store=store(store=nasty, available=False, reason=nasty),
                )
            )
        ],
        hashed=False,
    )
    for text in ("\n".join(lines([picture])), "\n".join(recorded(picture, width=200))):
        assert all(character.isprintable() or character == "\n" for character in text)
        assert len(text.split("\n")) < 30
        if nasty.startswith("["):
            assert nasty in text


def test_a_process_that_does_not_answer_is_named_with_for_how_long():
    gone = sight(snapshot(rule(allowed=5)), trouble="nobody listens at 127.0.0.1:9911", away_s=75.0)
    shown = list(lines([picture_of([gone])]))
    assert "guardrail top   nobody answers" == shown[0]
    assert "nobody listens at 127.0.0.1:9911, for 1 min 15 s; looking on" == shown[1]
    assert ["r", "enforce", "-", "-", "-", "-", "-"] == shown[-1].split()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"mode": "shadow"}, "the guard's mode is shadow: no rule refuses"),
        ({"store": store()}, "store   redis://localhost:6379/0 answers"),
        (
            {"store": store(seconds=Distribution(1, 0.1, (0,) * 10 + (1,)), errors={"timeout": 2}, outages=1)},
            "store   redis://localhost:6379/0 answers, p50 1.024 ms, p99 1.024 ms, 2 errors, 1 outage",
        ),
        (
            {"store": store(available=False, reason="timed out")},
            "store   redis://localhost:6379/0 is away: timed out; each rule's on_store_error decides",
        ),
    ],
)
def test_what_holds_for_all_rules_stands_above(fields, said):
    assert said in list(lines([picture_of([sight(snapshot(rule(), **fields))])]))


def test_rules_that_could_not_be_taken_up_are_said_with_the_first_mistake():
    from dataclasses import replace

    now = snapshot(rule())
    now = replace(now, reload=replace(now.reload, reloads=2, failures=1, error="rules/a.yaml:3:5: no\n    burst: 0"))
    shown = list(lines([picture_of([sight(now), sight(snapshot(rule()))])]))
    assert "the rule files cannot be used: rules/a.yaml:3:5: no" in shown
    assert "rules   abc123 from rules/, in force for 1 min, 2 reloads" in shown


def test_rows_are_shared_out_evenly():
    one, other = (Section(("x", "y"), [(Cell("a"), Cell("b"))] * count) for count in (10, 2))
    assert [10, 2] == [len(cut.rows) for cut in fitting([one, other], 16)]
    assert [4, 2] == [len(cut.rows) for cut in fitting([one, other], 10)]
    assert [1, 1] == [len(cut.rows) for cut in fitting([one, other], 6)]
    assert [3] == [len(cut.rows) for cut in fitting([one, other], 5)]
    assert [] == fitting([one, other], 2)
    assert "x (4 of 10)" == fitting([one, other], 10)[0].columns[0]
