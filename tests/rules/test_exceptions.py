"""Exceptions by name, along the MRO and without importing anything."""

import asyncio
import concurrent.futures
import json
import re
import socket

import pytest

from guardrail.rules.exceptions import ExceptionNames, check_name, is_special


def made(name: str, module: str, *bases: type[BaseException]) -> type[BaseException]:
    """Return an exception class as another package would define it."""
    return type(name, bases or (Exception,), {"__module__": module})


RequestsError = made("ConnectionError", "requests.exceptions", OSError)
TransportError = made("TransportError", "httpx._exceptions")
ReadTimeout = made("ReadTimeout", "httpx._exceptions", TransportError)

ROWS = [
    # name                            class                        matches
    ("TimeoutError", TimeoutError, True),
    ("TimeoutError", asyncio.TimeoutError, True),
    ("TimeoutError", ValueError, False),
    ("OSError", ConnectionResetError, True),
    ("Exception", ValueError, True),
    ("Exception", KeyboardInterrupt, False),
    ("LookupError", KeyError, True),
    ("valueerror", ValueError, False),
    ("ConnectionError", RequestsError, True),
    ("requests.ConnectionError", RequestsError, True),
    ("requests.exceptions.ConnectionError", RequestsError, True),
    ("requests.anything.ConnectionError", RequestsError, True),
    ("requests.ConnectionError", ConnectionError, False),
    ("requests_mock.ConnectionError", RequestsError, False),
    ("builtins.ValueError", ValueError, True),
    ("httpx.TransportError", ReadTimeout, True),
    ("httpx.ReadTimeout", TransportError, False),
    ("json.JSONDecodeError", json.JSONDecodeError, True),
    ("asyncio.CancelledError", asyncio.CancelledError, True),
    # names under which Python offers a class that is called otherwise
    ("IOError", OSError, True),
    ("EnvironmentError", FileNotFoundError, True),
    ("socket.timeout", TimeoutError, True),
    ("socket.error", OSError, True),
    ("socket.gaierror", socket.gaierror, True),
    ("asyncio.TimeoutError", TimeoutError, True),
    ("concurrent.futures.TimeoutError", concurrent.futures.TimeoutError, True),
    # special names mean no class
    ("http.5xx", ValueError, False),
    ("UNAVAILABLE", made("UNAVAILABLE", "some"), False),
]


@pytest.mark.parametrize(("name", "kind", "expected"), ROWS)
def test_a_name_means_a_class_and_its_descendants(name, kind, expected):
    assert expected == ExceptionNames([name]).matches(kind)


def test_code_may_pass_classes():
    names = ExceptionNames([LookupError, "httpx.TransportError"])
    assert names.matches(KeyError)
    assert names.matches(ReadTimeout)
    assert not names.matches(ValueError)


def test_no_names_match_nothing():
    assert not ExceptionNames([]).matches(ValueError)


def test_what_a_class_was_compared_to_is_remembered_but_not_for_ever():
    names = ExceptionNames(["ValueError"])
    for number in range(3_000):
        assert names.matches(made(f"Error{number}", "some", ValueError))
    assert len(names._known) <= 1024
    assert names.matches(ValueError)
    assert names.matches(ValueError)


@pytest.mark.parametrize("name", ["http.5xx", "http.503", "http.4xx", "UNAVAILABLE", "grpc.DATA_LOSS", "UNKNOWN"])
def test_statuses_and_codes_are_names_of_their_own(name):
    assert is_special(name)
    assert name == check_name(name)
    assert frozenset({name}) == ExceptionNames([name, "ValueError", KeyError]).special


@pytest.mark.parametrize(
    "name", ["http.client.HTTPException", "ValueError", "a.b.C", "\N{LATIN SMALL LETTER E WITH ACUTE}r"]
)
def test_any_dotted_identifier_may_be_a_class(name):
    assert name == check_name(name)
    assert not is_special(name)


@pytest.mark.parametrize("name", ["", "a b", "a..b", ".a", "a.", "1a", "a-b", "*", "x" * 201])
def test_what_no_class_can_be_called_is_refused(name):
    with pytest.raises(
        ValueError, match=re.escape("must name exceptions, such as TimeoutError or httpx.TransportError")
    ):
        check_name(name)


@pytest.mark.parametrize("name", ["http.6xx", "http.5x", "http.99", "http.5xx.a"])
def test_what_no_status_can_be_is_refused(name):
    with pytest.raises(ValueError, match=r"must name HTTP statuses as http\.5xx or http\.503"):
        check_name(name)
