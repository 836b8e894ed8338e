"""On a terminal there are tables and colours; everywhere else, and where they are not wanted, plain lines."""

import re

import pytest

from tests.cli.rules import RULES
from tests.cli.shell import process, terminal

EXPLAIN = ["explain", "orders.create", "--rules", "rules.yaml", "--attr", "plan=free"]
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rules")
    (folder / "rules.yaml").write_text(RULES)
    (folder / "one.yaml").write_text("version: 1\nrules:\n  - {resource: a, kind: limit, rate: 1/s}\n")
    (folder / "bad.yaml").write_text("version: 1\nrules:\n  - {resource: a, kind: limit, rate: often}\n")
    return folder


@pytest.fixture(scope="module")
def shown(folder):
    """What a terminal shows."""
    done = terminal(*EXPLAIN, cwd=folder)
    assert 0 == done.code
    return done.out


@pytest.fixture(scope="module")
def plain(folder):
    """What a pipe gets."""
    return process(*EXPLAIN, cwd=folder).out


def test_rules_have_a_colour_and_the_others_a_table(shown):
    assert "\x1b[1;32m1. breaker warehouse\x1b[0m" in shown
    assert "\x1b[1;33m4. limit free-plan\x1b[0m" in shown  # only watches
    lines = [ESCAPE.sub("", line) for line in shown.splitlines()]
    assert f"│ limit old   │ {'mode: off':30} │" in lines
    assert max(map(len, lines)) <= 100


def test_the_words_are_those_without_a_terminal(shown, plain):
    words = re.sub(r"[│┃┏┓┡┩└┘━─┳╇┴\s]+", " ", ESCAPE.sub("", shown))
    assert plain.split() == words.replace("Not asked rule why", "Not asked:").split()


def test_how_many_more_there_are_stands_below_the_table(folder):
    many = [f"  - {{resource: job{number}, kind: limit, rate: 1/s}}\n" for number in range(1, 51)]
    (folder / "many.yaml").write_text(RULES + "".join(many))
    done = terminal("explain", "orders.create", "--rules", "many.yaml", cwd=folder)
    assert "and 31 more, about other resources; --all lists them" in done.out


def test_where_every_rule_is_asked_there_is_no_table(folder):
    done = terminal("explain", "a", "--rules", "one.yaml", cwd=folder)
    assert "1. limit a/limit" in done.out
    assert "Not asked" not in done.out


def test_mistakes_have_their_place_in_bold_and_are_not_broken_into_lines(folder):
    done = terminal("validate", "bad.yaml", cwd=folder, env={"COLUMNS": "40"})
    assert 1 == done.code
    assert (
        "\x1b[1mbad.yaml:3:38: \x1b[0mrate must be an amount per time, such as 100/min, got 'often'\n"
        "\x1b[2m    - {resource: a, kind: limit, rate: often}\x1b[0m\n"
        "1 mistake in 1 file\n"
    ) == done.out


def test_colours_can_be_declined(folder):
    done = terminal(*EXPLAIN, cwd=folder, env={"NO_COLOR": "1"})
    assert "│ limit old" in done.out
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", done.out)


def test_a_dumb_terminal_gets_plain_lines(folder, plain):
    assert plain == terminal(*EXPLAIN, cwd=folder, env={"TERM": "dumb"}).out
