"""YAML text as a tree that knows where everything stands."""

import pytest
import yaml

from guardrail.errors import RuleError
from guardrail.rules import reader
from guardrail.rules.page import LARGEST_FILE, Page
from guardrail.rules.reader import read
from guardrail.rules.scalars import Bare
from guardrail.rules.tree import UNREADABLE

LOADERS = [loader for name in ("CSafeLoader", "SafeLoader") if (loader := getattr(yaml, name, None))]


@pytest.fixture(params=LOADERS, ids=lambda loader: loader.__name__, autouse=True)
def both_parsers(request, monkeypatch):
    """Read with libyaml, where PyYAML was built with it, and with the parser in Python."""
    monkeypatch.setattr(reader, "_Loader", request.param)


def tree_of(text: str | bytes):
    return read(Page.of("f.yaml", text), {})


def first_problem(text: str | bytes):
    with pytest.raises(RuleError) as refused:
        tree_of(text)
    return refused.value.problems[0]


def problems_of(text: str):
    return [(problem.line, problem.column, problem.message) for problem in tree_of(text).problems]


def test_values_are_text_and_whole_numbers_and_nothing_else():
    tree = tree_of("a: 5\nb: '5'\nc: x\nd: [1.5, yes, ~]\ne: {f: 2026-11-21}\n010: g\n")
    expected = {"a": 5, "b": "5", "c": "x", "d": ["1.5", "yes", "~"], "e": {"f": "2026-11-21"}, "010": "g"}
    assert expected == tree.root
    assert [str, Bare, Bare] == [type(value) for value in tree.root["d"]]
    assert [Bare] == [type(key) for key in tree.root if key == "010"]
    assert [] == tree.problems


def test_a_value_is_found_by_its_path_and_what_is_missing_by_its_surroundings():
    tree = tree_of("rules:\n  - name: x\n    key: [a, b]\n    when:\n      plan: free\n    burst:\n")
    rows = [
        (("rules", 0, "name"), False, (2, 11)),
        (("rules", 0, "name"), True, (2, 5)),
        (("rules", 0, "key", 1), False, (3, 14)),
        (("rules", 0, "when", "plan"), False, (5, 13)),
        (("rules", 0, "when", "plan"), True, (5, 7)),
        (("rules", 0, "rate"), False, (2, 5)),
        (("rules", 0, "name", 0), False, (2, 11)),
        (("rules", 0, "burst"), False, (6, 5)),  # nothing stands there: its key
        ((), False, (1, 1)),
        (("version",), True, (1, 1)),
    ]
    for path, at_key, place in rows:
        tree.problems.clear()
        tree.report(path, "wrong", at_key=at_key)
        assert place == tree.problems[0][2:4], path


def test_a_problem_shows_its_line_and_a_long_one_around_its_column():
    tree = tree_of("a: 1\n" + "b: " + "x" * 300 + "\n")
    tree.report(("b",), "wrong")
    assert "b: " + "x" * 157 == tree.problems[0].excerpt
    tree.add("far", 1, 250)
    assert "x" * 133 == tree.problems[1].excerpt


NOT_PLAIN = [
    ("a: *b\n", (1, 4), "text that begins with '*' is quoted: \"*b\""),
    ("a: *.orders # all\n", (1, 4), "text that begins with '*' is quoted: \"*.orders\""),
    ("a: [*, x]\n", (1, 5), "text that begins with '*' is quoted: \"*\""),
    ("a: &.x\n", (1, 4), "text that begins with '&' is quoted: \"&.x\""),
    ("a: @x\n", (1, 4), "text that begins with '@' is quoted: \"@x\""),
    ("a: `x`\n", (1, 4), "text that begins with '`' is quoted: \"`x`\""),
    ("a: %x\n", (1, 4), "text that begins with '%' is quoted: \"%x\""),
    ("a: !billing\n", (1, 4), "text that begins with '!' is quoted: \"!billing\""),
    ("a: !b c\n", (1, 4), "text that begins with '!' is quoted: \"!b c\""),
    ("a: !x!y z\n", (1, 4), "text that begins with '!' is quoted: \"!x!y z\""),
    ("a: !!python/object:os.system {}\n", (1, 4), 'tags are not used here; leave out "!!python/object:os.system"'),
    ("a: !!map [b]\n", (1, 4), 'tags are not used here; leave out "!!map"'),
    ("a: 1\na: 2\n", (2, 1), "duplicate key 'a'; the first is on line 1"),
    ("a: 1\n'a': 2\n", (2, 1), "duplicate key 'a'; the first is on line 1"),
    ("<<: {a: 1}\n", (1, 1), "'<<' merges nothing here; write the fields out, or put them under defaults"),
    ("? [a]\n: b\n", (1, 3), "a key is plain text, not a mapping or a list"),
    ("{a: b}: c\n", (1, 1), "a key is plain text, not a mapping or a list"),
    ("${A}: b\n", (1, 1), "variables are filled into values, not into keys: '${A}'"),
    ("a: b\n---\nc: d\n", (2, 1), "one file holds one document; put the other one into a file of its own"),
    ("a: '${NO}'\n", (1, 4), "the environment variable NO is not set; set it, or write ${NO:-default}"),
]


@pytest.mark.parametrize(("text", "place", "message"), NOT_PLAIN)
def test_what_is_more_than_plain_data_is_refused_where_it_stands(text, place, message):
    assert [(*place, message)] == problems_of(text)


NO_YAML = [
    ("a: b: c\n", (1, 5), "no ':' is expected here; put text that contains ': ' in quotes"),
    ("a: - b\n", (1, 4), "no '- ' is expected here; begin a list on a line of its own"),
    ("a: 'b\n", (1, 4), "the quote that opens here is never closed"),
    ("a: [b, {c}\n", (1, 4), "the '[' that opens here is not closed; put text that contains [ ] { } , or ': ' in quotes"),
    ("a: {b: ${C}}\n", (1, 4), "the '{' that opens here is not closed; put text that contains [ ] { } , or ': ' in quotes"),
    ("a: 1\nb\n", (2, 1), "this is no 'key: value'"),
    ('a: "\\q"\n', (1, 4), "double quotes contain an unknown escape; use single quotes, or two backslashes for one"),
    ("a: |x\n", (1, 4), "text that begins with '|' or '>' is quoted"),
    ("a: ]\n", (1, 4), "a value is expected here, or the end of what was opened; text that begins with ] } or , is quoted"),
    ("- a\nb: c\n", (2, 1), "what stands here does not fit what is above it; check the indentation and the quotes"),
    ("a: 'b' c\n", (1, 8), "what stands here does not fit what is above it; check the indentation and the quotes"),
    ("%YAML 3.0\n---\na: b\n", (1, 1), "this version of YAML is not known; leave the %YAML line out"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "place", "message"), NO_YAML)
def test_broken_syntax_is_explained_where_it_began(text, place, message):
    assert [(*place, message)] == problems_of(text)


def test_lines_are_indented_with_spaces():
    (problem,) = tree_of("a:\n\tb: c\n").problems
    assert "lines are indented with spaces, not with tabs" == problem.message


def test_an_error_without_a_place_is_a_problem_too(monkeypatch):
    def broken(*args, **kwargs):
        raise yaml.YAMLError("something  else\nentirely")

    monkeypatch.setattr(yaml, "parse", broken)
    assert [(1, 1, "this is no YAML: something else entirely")] == problems_of("a: b\n")


def test_an_error_nobody_foresaw_is_passed_on_in_the_parsers_words(monkeypatch):
    def broken(*args, **kwargs):
        mark = yaml.Mark("f", 3, 0, 3, None, None)
        raise yaml.MarkedYAMLError("while somewhere", mark, "the moon is wrong", mark)

    monkeypatch.setattr(yaml, "parse", broken)
    assert [(1, 4, "this is no YAML: the moon is wrong")] == problems_of("a: b\n")


def test_reading_goes_on_behind_unquoted_stars():
    text = "a: *.x\nb: @y\nc: 1\nc: 2\nd: * /z\n"
    assert [1, 2, 4, 5] == sorted(problem.line for problem in tree_of(text).problems)
    assert {"a": UNREADABLE, "b": UNREADABLE, "c": 1, "d": UNREADABLE} == tree_of(text).root


def test_reading_stops_behind_too_many_of_them():
    tree = tree_of("".join(f"a{number}: *.x\n" for number in range(30)))
    assert 21 == len(tree.problems)
    assert not tree.complete


def test_what_was_read_before_the_text_broke_off_is_kept():
    tree = tree_of("version: 1\nrules:\n  - a: 1\n  - b: 2\n    c: 'never closed\n")
    assert not tree.complete
    assert {"version": 1, "rules": [{"a": 1}]} == tree.root
    assert UNREADABLE is tree_of("'never closed\n").root
    assert {"a": 1} == tree_of("a: 1\nb\n").root


def test_two_documents_leave_the_first_one_readable():
    assert {"a": 1} == tree_of("a: 1\n---\na: 2\n").root


def test_an_alias_is_named_once_where_its_key_is_wrong_already():
    assert 1 == len(problems_of("a: &b {c: d}\n<<: *b\n"))


DEEP = [
    ("[" * 5_000, (1, 21)),
    ("{a: " * 5_000, (1, 81)),
    ("- " * 5_000, (1, 41)),
    ("\n".join(" " * depth + "a:" for depth in range(500)), (21, 21)),
]


@pytest.mark.parametrize(("text", "place"), DEEP, ids=lambda text: str(text)[:4])
def test_depth_is_bounded_before_anything_recurses(text, place):
    tree = tree_of(text)
    assert [(*place, "the file has more than 20 levels; make it smaller")] == problems_of(text)
    assert UNREADABLE is tree.root


def test_twenty_levels_are_allowed():
    assert [] == tree_of("[" * 20 + "]" * 20).problems


def test_the_number_of_values_is_bounded(monkeypatch):
    monkeypatch.setattr(reader, "MOST_NODES", 10)
    assert [] == tree_of("[" + "a," * 9 + "]").problems
    assert [(1, 20, "the file has more than 10 values; make it smaller")] == problems_of("[" + "a," * 10 + "]")


def test_the_size_of_a_file_is_bounded():
    assert "the file is larger than 4 MiB; split it" == first_problem(b"#" * (LARGEST_FILE + 1)).message
    assert "the file is larger than 4 MiB; split it" == first_problem("\N{EURO SIGN}" * (LARGEST_FILE // 3 + 1)).message
    assert LARGEST_FILE == len(Page.of("f", b"#" * LARGEST_FILE).text)


ENCODED = [
    "a: \N{EURO SIGN}\n".encode(),
    b"\xef\xbb\xbfa: \xe2\x82\xac\n",
    b"\xff\xfe" + "a: \N{EURO SIGN}\n".encode("utf-16-le"),
    b"\xfe\xff" + "a: \N{EURO SIGN}\n".encode("utf-16-be"),
    b"\xff\xfe\0\0" + "a: \N{EURO SIGN}\n".encode("utf-32-le"),
    b"\0\0\xfe\xff" + "a: \N{EURO SIGN}\n".encode("utf-32-be"),
    "\ufeffa: \N{EURO SIGN}\n",
]


@pytest.mark.parametrize("content", ENCODED, ids=repr)
def test_a_byte_order_mark_says_how_a_file_is_encoded(content):
    assert {"a": "\N{EURO SIGN}"} == tree_of(content).root


NO_TEXT = [
    (b"a: b\nc: \xff\n", 2, 4, "the file is no UTF-8 text: invalid start byte; save it as UTF-8"),
    (b"\xff\xfea\0:\0 ", 1, 3, "the file is no UTF-16 text: truncated data; save it as UTF-8"),
    (b"a: \0\n", 1, 4, "the character U+0000 cannot stand in YAML"),
    (b"a: b\r\nc: \x1b[0m\n", 2, 4, "the character U+001B cannot stand in YAML"),
    ("a: \ud800\n", 1, 4, "the character U+D800 cannot stand in YAML"),
    (b"a: b\n\xef\xbb\xbfc: d\n", 2, 1, "the character U+FEFF cannot stand in YAML"),
    ("a: b\n".encode("utf-16-le"), 1, 2, "the character U+0000 cannot stand in YAML"),
]


@pytest.mark.parametrize(("content", "line", "column", "message"), NO_TEXT, ids=repr)
def test_what_is_no_text_is_refused_at_its_first_wrong_character(content, line, column, message):
    problem = first_problem(content)
    assert (line, column, message) == (problem.line, problem.column, problem.message)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x85", "\u2028"])
def test_lines_end_where_YAML_says(end):
    tree = tree_of(f"a: 1{end}b: 2{end}b: 3{end}")
    assert [(3, 1, "b: 3")] == [problem[2:] for problem in tree.problems]
