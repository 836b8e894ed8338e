"""URL patterns of Django as rules name them."""

import pytest

from guardrail.adapters.django.routes import template_of


@pytest.mark.parametrize(
    ("expected", "route"),
    [
        ("/", ""),
        ("/v1/orders/{order}/", "v1/orders/<int:order>/"),
        ("/v1/orders/{order}", "/v1/orders/<order>"),
        ("/year/{year}/", r"^year/(?P<year>[0-9]{4})/$"),
        ("/api/year/{year}", r"api/^year/(?P<year>(?:19|20)\d\d)\Z"),
        ("/{var}/{var}.html", r"^(\w+)/([(]+)\.html$"),
        ("/a+b/", "a+b/"),
        ("/{var}{var}/x", r"^[a-z]\d/x?$"),
    ],
)
def test_patterns_of_urls_lose_what_is_a_regular_expression(expected, route):
    assert expected == template_of(route)
