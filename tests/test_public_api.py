"""What users import is exactly this, and each of it says what it is."""

import ast
import re
from pathlib import Path

import pytest

import guardrail

FACE = [
    "BreakerOpen",
    "BulkheadFull",
    "Decision",
    "Guard",
    "GuardrailError",
    "Listener",
    "Permit",
    "RateLimited",
    "RedisStore",
    "Refused",
    "RuleError",
    "RuleSet",
    "StoreError",
    "attributes",
    "breaker",
    "bulkhead",
    "configure",
    "default_guard",
    "guarded",
    "limit",
]


def test_the_face_is_exactly_this_and_sorted():
    assert sorted(FACE) == guardrail.__all__


def test_a_star_import_brings_the_face_and_nothing_else():
    names = {}
    exec("from guardrail import *", names)  # only a module may hold the statement itself
    assert FACE == sorted(names.keys() - {"__builtins__"})


def test_completion_offers_the_face():
    assert set(FACE) <= set(dir(guardrail))


@pytest.mark.parametrize("name", FACE)
def test_each_name_resolves_and_has_a_docstring_of_its_own(name):
    text = getattr(guardrail, name).__doc__
    assert text
    assert re.match(r"[A-Z][^\n]*[.:]", text), f"{name}: a docstring opens with one sentence"


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        guardrail.no_such_name  # noqa: B018  the look-up is what is tested


def test_type_checkers_see_the_same_names_as_a_running_program():
    """Names that are loaded lazily must be imported for type checkers too."""
    tree = ast.parse(Path(guardrail.__file__).read_bytes())
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert set() == set(FACE) - imported - defined


def test_there_is_a_version_outside_of_the_face():
    assert re.fullmatch(r"\d+\.\d+\.\d+", guardrail.__version__)
    assert "__version__" not in guardrail.__all__
