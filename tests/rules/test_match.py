"""Which resources a pattern means, and that looking it up costs the same among ten rules and among ten thousand."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guardrail.rules.match import Index, compile_pattern, is_pattern, matches_when
from tests.rules.naive import naive_match

#   pattern                 matches                                         does not match
ROWS = [
    ("orders.create", "orders.create", "orders.create.x orders orders/create Orders.create"),
    ("orders.*", "orders.create orders.{id} orders.*", "orders orders.a.b orders. orders/a"),
    ("*", "orders unmatched", "orders.create /v1"),
    ("**", "orders orders.create /v1/x GET|/v1 client|GET|a.b", ""),
    ("orders.**", "orders orders.a orders.a.b", "orders/a orders/a.b ordersx"),
    ("orders.v*", "orders.v orders.v1", "orders.w orders.v1.x"),
    ("orders.*.v{n}", "orders.a.v2", "orders.a.b.v2 orders.v2"),
    ("orders.a*b*c", "orders.abc orders.a-b-c orders.abbcc", "orders.acb orders.ab orders.a orders.ac"),
    ("orders.ab*ba", "orders.abba orders.ab-ba", "orders.aba orders.ab"),
    ("/v1/**", "/v1 /v1/ /v1/a /v1/a/b", "/v2 /v1x GET|/v1 v1"),
    ("/v1/*", "/v1/a /v1/a.b", "/v1 /v1/ /v1/a/b"),
    ("/v1/{id}/items", "/v1/7/items /v1/{id}/items /v1/{order}/items", "/v1//items /v1/items"),
    ("GET /v1/orders/{id}", "GET|/v1/orders/7 GET|/v1/orders/{id}", "POST|/v1/orders/7 /v1/orders/7 GET|/v1/orders"),
    ("GET /v1/**", "GET|/v1 GET|/v1/a|b/c", "HEAD|/v1 /v1/a client|GET|/v1"),
    ("GET /**", "GET|/ GET|/a/b", "GET POST|/"),
    ("* /admin/**", "GET|/admin POST|/admin/x", "/admin client|GET|/admin"),
    ("P* /x", "POST|/x PUT|/x P|/x", "GET|/x"),
    ("client * *.example.com", "client|GET|api.example.com", "client|GET|example.com GET|api.example.com api.example.com"),
    ("client GET **", "client|GET|api.example.com client|GET|localhost", "client|POST|a.b client|/pkg.Service/Method"),
    ("client /pkg.Service/*", "client|/pkg.Service/Get", "/pkg.Service/Get client|/pkg.Other/Get"),
    ("/pkg.*/Get", "/pkg.Service/Get", "/pkg/Get"),
    ("orders/**", "orders orders/a", "orders.a ordersx"),
    ("{a}{b}.x", "c.x cd.x", ".x"),
    ("{a.b}.x", "c.x", "a.b.x"),
]  # fmt: skip


def index_of(*patterns: str) -> Index:
    return Index((pattern, number) for number, pattern in enumerate(patterns))


@pytest.mark.parametrize(("pattern", "matching", "other"), ROWS, ids=lambda row: row[:25])
def test_a_pattern_matches_what_it_says_and_nothing_else(pattern, matching, other):
    index = index_of(pattern)
    for resource in (text.replace("|", " ") for text in matching.split()):
        assert {0} == index.find(resource), resource
        assert naive_match(pattern, resource), resource
    for resource in (text.replace("|", " ") for text in other.split()):
        assert set() == index.find(resource), resource
        assert not naive_match(pattern, resource), resource


segments = st.sampled_from("a b ab aab v1 v v12 abab".split())
wild = st.sampled_from("* {id} v* *b a*b a*b*b {x}b v{n} a{x}*b ** a**".split())


def texts(segment: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    path = st.lists(segment, min_size=1, max_size=4)
    words = st.sampled_from(["", "", "GET ", "* ", "client GET ", "P* "])
    named = st.tuples(words, st.sampled_from([".", "/"]), st.sampled_from(["", "/"]), path)
    return named.map(lambda drawn: drawn[0] + drawn[2] + drawn[1].join(drawn[3]))


def is_valid(pattern: str) -> bool:
    try:
        compile_pattern(pattern)
    except ValueError:
        return False
    return True


patterns = texts(st.one_of(segments, wild)).filter(lambda text: not is_pattern(text) or is_valid(text))
resources = texts(st.one_of(segments, st.sampled_from(["", "{id}", "a b", "a.b"]))).map(str.strip).filter(bool)


@settings(max_examples=200)
@given(st.lists(patterns, min_size=1, max_size=12), resources)
@example(["*/**"], "a.b")
@example(["a*/**"], "ab")
@example(["GET **"], "GET a.b")
@example(["a b/**"], "a b")
def test_the_index_finds_what_a_naive_matcher_finds(patterns, resource):
    expected = {number for number, pattern in enumerate(patterns) if naive_match(pattern, resource)}
    assert expected == index_of(*patterns).find(resource)


@settings(max_examples=200)
@given(*(st.text(letters, max_size=12).map(str.strip).filter(bool) for letters in ("ab*{}./ ", "ab./ {}")))
def test_odd_texts_are_refused_or_matched_as_naively(pattern, resource):
    if not is_pattern(pattern) or is_valid(pattern):
        assert naive_match(pattern, resource) == bool(index_of(pattern).find(resource))


@pytest.mark.parametrize("pattern", ["a.**.b", "**.b", "/v1/**/x", "a**", "orders.v**", "** /x", "***"])
def test_two_stars_stand_only_at_the_end_as_a_segment_of_their_own(pattern):
    with pytest.raises(ValueError, match=r"must have \*\* only as its last segment"):
        compile_pattern(pattern)


@pytest.mark.parametrize("pattern", ["/v1/{id", "/v1/id}", "/{a/b}", "{a{b}}"])
def test_a_brace_needs_its_partner_in_the_same_segment(pattern):
    with pytest.raises(ValueError, match=re.escape("must close each { with a } within one segment")):
        compile_pattern(pattern)


def test_one_number_may_stand_for_many_texts_and_one_text_for_many_numbers():
    index = Index([("a.*", 1), ("a.b", 1), ("a.b", 2), ("a.*", 3), ("a.**", 4), ("a.**", 5)])
    assert {1, 2, 3, 4, 5} == index.find("a.b")


def test_a_look_up_visits_as_many_nodes_among_ten_thousand_patterns_as_among_ten(monkeypatch):
    """Count the steps instead of measuring time."""
    from guardrail.rules.match import _Node

    def steps(size: int) -> int:
        shapes = ("svc{}.*", "svc{}.v*", "GET /v{}/{{id}}/**", "*.op{}", "a*{}", "exact{}")
        index = index_of(*(shapes[number % len(shapes)].format(number) for number in range(size)))
        count = 0
        follow = _Node.follow

        def counted(node, part, found):
            nonlocal count
            count += 1
            follow(node, part, found)

        monkeypatch.setattr(_Node, "follow", counted)
        for resource in ("svc0.x", "svc1.v2", "GET /v2/7/x", "x.op3", "axx4", "exact5", "none.at.all"):
            index.find(resource)
        monkeypatch.setattr(_Node, "follow", follow)
        return count

    assert steps(12) == steps(9_996)


WHEN = [
    ({}, {}, True),
    ({"plan": ("free",)}, {"plan": "free"}, True),
    ({"plan": ("free", "trial")}, {"plan": "trial"}, True),
    ({"plan": ("free",)}, {"plan": "paid"}, False),
    ({"plan": ("free",)}, {}, False),
    ({"plan": ("",)}, {"plan": ""}, True),
    ({"plan": ("",)}, {}, False),
    ({"origin": ("!billing",)}, {"origin": "shop"}, True),
    ({"origin": ("!billing",)}, {"origin": "billing"}, False),
    ({"origin": ("!billing",)}, {}, True),
    ({"origin": ("!billing", "!shop")}, {"origin": "shop"}, False),
    ({"origin": ("!billing", "!shop")}, {"origin": "web"}, True),
    ({"plan": ("free",), "origin": ("!billing",)}, {"plan": "free"}, True),
    ({"plan": ("free",), "origin": ("!billing",)}, {"plan": "free", "origin": "billing"}, False),
    ({"plan": ("free",)}, {"plan": "Free"}, False),
]


@pytest.mark.parametrize(("when", "attributes", "expected"), WHEN)
def test_every_attribute_must_match_and_a_missing_one_matches_only_a_not(when, attributes, expected):
    assert expected == matches_when(when, attributes.get)
