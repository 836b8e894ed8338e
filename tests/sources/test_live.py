"""Live rules take up what two looks in a row agree on, and whatever cannot be used changes nothing."""

import threading
from contextlib import suppress

import pytest

from guardrail.errors import RuleError
from tests.sources.followed import Followed, Shown

GONE = FileNotFoundError(2, "gone", "rules.yaml")


def test_loading_returns_the_rules_without_a_word(followed):
    assert "first" == followed.live.load() == followed.live.current
    assert ([], []) == (followed.taken, followed.problems)


@pytest.mark.parametrize(
    ("shown", "error"), [("bad", RuleError), ("bug", ZeroDivisionError), (GONE, FileNotFoundError)]
)
def test_a_first_load_that_fails_raises_and_tells_nobody(shown, error):
    with pytest.raises(error):
        Followed(Shown(shown), on_problem=pytest.fail)


# What the looks after loading `1` show, one letter each (`-`: nothing, `!`: something bad, `?`: something else that is bad),
# what comes into force in turn, and what is reported.
HISTORIES = [
    ("1111", "", ""),
    ("2", "", ""),
    ("22", "2", ""),
    ("222222", "2", ""),
    ("2211", "21", ""),
    ("2121212", "", ""),  # never twice in a row
    ("2323233", "3", ""),
    ("212", "", ""),  # a look at what is in force starts the count again
    ("!", "", ""),
    ("!!", "", "!"),
    ("!!!!!!", "", "!"),
    ("!!2!", "", "!"),  # one odd look is no news
    ("!!22", "2", "!"),
    ("!!??", "", "!?"),
    ("!!??!!", "", "!?!"),
    ("!!1!!", "", "!!"),  # one look at what is in force suffices: it needs no second opinion
    ("!!22!!", "2", "!!"),
    ("--", "", "-"),
    ("-1-1-1", "", ""),  # an editor that removes the file before it writes it
    ("------", "", "-"),
    ("--11--", "", "--"),
    ("--!!--", "", "-!-"),
    ("-!-!-!", "", ""),
    ("--22", "2", "-"),
]


@pytest.mark.parametrize(("shown", "taken", "reported"), HISTORIES)
def test_a_history_of_looks(shown, taken, reported):
    text = {"!": "bad!", "?": "bad?", "-": GONE}
    followed = Followed(Shown("1", *(text.get(letter, letter) for letter in shown)))
    current = followed.look(len(shown))
    assert taken == "".join(followed.taken)
    assert reported == "".join("-" if problem is GONE else str(problem)[-1] for problem in followed.problems)
    assert (taken or "1")[-1] == current


def test_a_look_says_whether_it_wants_another():
    live = Followed(Shown("1", "1", "2", "2", "2", "bad", "bad", "1")).live
    assert [False, True, False, False, True, False, True] == [live.poll() for _ in range(7)]


@pytest.mark.parametrize("shown", ["bad", "bug", GONE])
def test_a_reload_that_fails_is_reported_and_raised_and_changes_nothing(shown):
    followed = Followed(Shown("1", shown))
    for times in (1, 2):
        with pytest.raises(Exception) as caught:
            followed.live.reload()
        assert followed.problems == [caught.value] if times == 1 else times == len(followed.problems)
    assert "1" == followed.look(3)  # and looking on finds nothing new to report
    assert 2 == len(followed.problems)


def test_a_reload_takes_up_at_once_what_it_sees():
    followed = Followed(Shown("1", "2", "2", "2", "1"))
    assert "2" == followed.live.reload()
    assert "2" == followed.look(3)
    assert ["2"] == followed.taken


def test_what_was_seen_before_a_reload_does_not_count_as_a_look():
    followed = Followed(Shown("1", "2", "3", "2", "3"))
    followed.look()
    followed.live.reload()
    assert "3" == followed.look(2)
    assert ["3"] == followed.taken


def test_a_reload_parses_even_what_has_not_changed():
    """Rules may name environment variables."""
    followed = Followed(Shown("1"))
    assert "1" == followed.live.reload()
    assert ["1"] == followed.taken


@pytest.mark.parametrize("refusal", [RuleError([]), KeyError("a fault in the guard")])
def test_rules_that_the_guard_refuses_are_like_bad_content(refusal):
    refused = []

    def refuse(rules):
        refused.append(rules)
        if rules == "2":
            raise refusal

    followed = Followed(Shown("1", "2", "2", "2", "3"), on_change=refuse)
    assert "1" == followed.look(3)
    assert (["2"], [refusal]) == (refused, followed.problems)
    assert "3" == followed.look(2)
    with pytest.raises(type(refusal)):
        followed.live.apply("2")
    assert "3" == followed.live.current


class TestApply:
    def test_it_stays_while_the_source_shows_the_same(self, followed):
        followed.live.apply("by hand")
        assert "by hand" == followed.look(3)
        assert ["by hand"] == followed.taken

    def test_a_later_change_of_the_source_replaces_it(self, followed, path):
        followed.live.apply("by hand")
        path.write_text("second")
        assert "second" == followed.look(2)

    def test_an_earlier_change_that_was_not_yet_taken_up_does_not(self, followed, path):
        path.write_text("second")
        assert "first" == followed.look()
        followed.live.apply("by hand")
        assert "by hand" == followed.look(3)

    def test_bad_content_that_was_there_before_leaves_it_and_the_good_content_coming_back_replaces_it(
        self, followed, path
    ):
        path.write_text("bad")
        followed.look(2)
        followed.live.apply("by hand")
        assert "by hand" == followed.look(2)
        path.write_text("first")
        assert "first" == followed.look(2)
        assert 1 == len(followed.problems)

    def test_bad_content_that_comes_and_goes_leaves_it(self, followed, path):
        followed.live.apply("by hand")
        path.write_text("bad")
        followed.look(2)
        path.write_text("first")
        assert "by hand" == followed.look(2)

    def test_it_stays_while_the_source_is_away_until_it_comes_back(self, followed, path):
        path.unlink()
        followed.live.apply("by hand")
        assert "by hand" == followed.look(2)
        path.write_text("first")
        assert "first" == followed.look(2)

    def test_a_reload_replaces_it(self, followed):
        followed.live.apply("by hand")
        assert "first" == followed.live.reload()


class TestCallingBack:
    def test_rules_brought_in_while_others_are_taken_up_win(self):
        live = Followed(Shown("1", "2"), on_change=lambda rules: rules == "2" and live.apply("3")).live
        live.reload()
        assert "3" == live.current

    STEPS = (
        lambda live: (live.poll(), live.poll()),
        lambda live: live.reload(),
        lambda live: live.apply("2"),
    )

    @pytest.mark.parametrize("step", STEPS, ids=["poll", "reload", "apply"])
    def test_who_hears_of_a_change_may_wait_for_another_thread_that_reloads(self, step):
        heard = []

        def hear(rules, previous):
            heard.append((rules, previous))
            if len(heard) == 1:
                source.shown = ["3"]
                reload_elsewhere(live)

        source = Shown("1", "2")
        live = Followed(source, after_change=hear).live
        step(live)
        assert [("2", "1"), ("3", "2")] == heard
        assert "3" == live.current

    @pytest.mark.parametrize("step", STEPS[:2], ids=["poll", "reload"])
    def test_who_hears_of_a_problem_may_wait_for_another_thread_that_reloads(self, step):
        def hear(_):
            source.shown = ["3"]
            reload_elsewhere(live)

        source = Shown("1", "bad")
        live = Followed(source, on_problem=hear).live
        with suppress(RuleError):
            step(live)
        assert "3" == live.current


def reload_elsewhere(live):
    elsewhere = threading.Thread(target=live.reload, daemon=True)
    elsewhere.start()
    elsewhere.join(5)
    assert not elsewhere.is_alive()


def test_changes_come_one_at_a_time_and_the_last_one_is_in_force():
    inside, overlaps, taken = [], [], []

    def take(rules):
        inside.append(rules)
        overlaps.append(len(inside) - 1)
        taken.append(rules)
        inside.remove(rules)

    live = Followed(Shown(*"123" * 500), on_change=take).live
    steps = [live.reload, live.poll, lambda: live.apply("by hand")] * 2
    storm = [threading.Thread(target=lambda step=step: [step() for _ in range(100)]) for step in steps]
    for thread in storm:
        thread.start()
    for thread in storm:
        thread.join()
    assert {0} == set(overlaps)
    assert taken[-1] == live.current
