"""What the gRPC guards share: options that fail early, attributes worked out late, and what a refusal looks like."""

import pickle
from types import SimpleNamespace

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, QuotaFailure, RetryInfo
from google.rpc.status_pb2 import Status

from guardrail import Guard
from guardrail.adapters import grpc as on_threads
from guardrail.adapters import grpc_aio as on_asyncio
from guardrail.adapters.escapes import as_outgoing
from guardrail.adapters.grpc.attributes import SentAttributes, ServedAttributes, client_ip, metadata_value, withdraw
from guardrail.adapters.grpc.options import EXEMPT, checked, longest_wait
from guardrail.adapters.grpc.status import DETAILS, PUSHBACK, answer_of, escaped, status_of
from guardrail.admission.ambient import around, attributes, publish
from guardrail.core.verdict import Decision, Verdict
from guardrail.default import substituted
from guardrail.errors import BreakerOpen, BulkheadFull, RateLimited

GUARDS = [on_threads.ServerGuard, on_threads.ClientGuard, on_asyncio.ServerGuard, on_asyncio.ClientGuard]


async def asynchronous(_):
    return "ann"


@pytest.mark.parametrize("kind", GUARDS, ids=lambda kind: f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}")
@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"guard": "rules/"}, TypeError, "guard must be a Guard, .* got 'rules/'"),
        (
            {"exempt": "/pkg.Service/Method"},
            TypeError,
            "exempt must be a list of methods, .* got '/pkg.Service/Method'",
        ),
        ({"exempt": 3}, TypeError, "exempt must be a list of methods, .* got 3"),
        ({"exempt": ["pkg.Service/Method"]}, ValueError, "exempt must list methods as /pkg.Service/Method or "),
        ({"exempt": ["/pkg.*/Method"]}, ValueError, "exempt must list methods"),
        ({"exempt": [b"/pkg.Service/Method"]}, ValueError, "exempt must list methods"),
        ({"user": "ann"}, TypeError, "user must be a callable, got 'ann'"),
        ({"user": asynchronous}, TypeError, "user must not be async here"),
        ({"resource": "greet"}, TypeError, "resource must be a callable, got 'greet'"),
        ({"exmpt": []}, TypeError, "exmpt"),
    ],
)
def test_a_wrong_option_fails_when_the_guard_is_built(kind, options, error, text):
    with pytest.raises(error, match=text):
        kind(**options)


def test_without_a_guard_it_is_the_default_one_of_the_moment():
    options = checked(None, EXEMPT, None, None)
    for _ in range(2):
        with substituted() as guard:
            assert guard is options.current()
    mine = Guard()
    assert mine is checked(mine, EXEMPT, None, None).current()


@pytest.mark.parametrize(
    ("method", "exempt"),
    [
        ("/grpc.health.v1.Health/Check", True),
        ("/grpc.health.v1.Health/Watch", True),
        ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", True),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", True),
        ("/grpc.health.v2.Health/Check", False),
        ("/pkg.grpc.health.v1.Health/Check", False),
        ("/pkg.Greeter/Hello", False),
        ("", False),
        ("*", False),
    ],
)
def test_health_and_reflection_are_exempt(method, exempt):
    assert exempt is checked(None, EXEMPT, None, None).exempts(method)


def test_single_methods_and_whole_services_can_be_exempt():
    options = checked(None, ["/a.B/C", "/d.E/*"], None, None)
    assert [True, False, True] == [options.exempts(method) for method in ("/a.B/C", "/a.B/D", "/d.E/F")]
    assert not checked(None, (), None, None).exempts("/grpc.health.v1.Health/Check")


def test_no_deadline_is_written_in_two_ways():
    assert [None, None, 1.5, 0] == [
        None if wait is None else wait.total_seconds()
        for wait in (longest_wait(None), longest_wait(9.2e18), longest_wait(1.5), longest_wait(-1.0))
    ]


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:50051", "192.0.2.1"),
        ("ipv6:[2001:db8:1:2:3::4]:50051", "2001:db8:1:2::/64"),
        ("ipv6:%5B2001:db8:1:2:3::4%5D:50051", "2001:db8:1:2::/64"),
        ("ipv6:%5B::ffff:192.0.2.1%5D:50051", "192.0.2.1"),
        ("ipv6:%5Bfe80::1%25eth0%5D:50051", "fe80::/64"),
        ("unix:/run/service.sock", None),
        ("unix:", None),
        ("ipv4:nonsense", None),
        ("192.0.2.1:50051", None),
        ("", None),
    ],
)
def test_a_peer_counts_by_its_address(peer, address):
    assert address == client_ip(peer)


def test_metadata_sent_more_than_once_is_one_value():
    metadata = (("a", "1"), ("b-bin", b"\x00\xff"), ("a", "2"), ("b-bin", b"\x01"))
    assert ["1,2", "00ff,01", None] == [metadata_value(metadata, key) for key in ("a", "b-bin", "c")]
    assert b"\x01" == metadata_value(metadata[3:], "b-bin")


class Context:
    def __init__(self, asked):
        self.asked = asked

    def invocation_metadata(self):
        self.asked.append("metadata")
        return (("x-tenant", "acme"),)

    def peer(self):
        self.asked.append("peer")
        return "ipv4:192.0.2.1:1"


def attributes_of(user=None, asked=()):
    return ServedAttributes("/pkg.Greeter/Hello", Context(asked if isinstance(asked, list) else []), user)


def test_attributes_are_worked_out_when_a_rule_names_them_and_once():
    asked = []
    found = attributes_of(asked=asked)
    assert [] == asked
    assert ["acme", "acme", None] == [found.get(f"metadata.{key}") for key in ("x-tenant", "X-Tenant", "nothing")]
    assert "acme" == found["metadata.x-tenant"]
    assert ["metadata"] * 3 == asked


def test_attributes_are_a_mapping():
    found = attributes_of(user=lambda context: "ann")
    everything = {
        "client.ip": "192.0.2.1",
        "user": "ann",
        "resource": "/pkg.Greeter/Hello",
        "metadata.x-tenant": "acme",
    }
    assert everything == dict(found)
    assert 4 == len(found)
    assert "nothing" not in found
    with pytest.raises(KeyError):
        found["nothing"]
    assert ["resource"] == list(SentAttributes("/pkg.Greeter/Hello", SimpleNamespace(metadata=None), None))
    assert "else" == found.get("nothing", "else")


def test_a_user_hook_that_raises_means_that_nobody_is_known():
    assert attributes_of(user=lambda context: 1 / 0).get("user") is None


def test_what_is_published_is_seen_further_in_over_what_was_there():
    with attributes({"tenant": "bolt", "client.ip": "203.0.113.9"}):
        published = publish(attributes_of())
        assert ("bolt", "192.0.2.1", "acme") == (around("tenant"), around("client.ip"), around("metadata.x-tenant"))
        with attributes(user="ann"):
            assert ("bolt", "ann", "acme") == (around("tenant"), around("user"), around("metadata.x-tenant"))
        withdraw(published)
        assert "203.0.113.9" == around("client.ip")
    assert around("client.ip") is None


def refusal(kind=RateLimited, resource="/pkg.Greeter/Hello", **differences):
    word = {RateLimited: "limit", BreakerOpen: "breaker", BulkheadFull: "bulkhead"}[kind]
    reason = {"limit": "rate", "breaker": "breaker_open", "bulkhead": "bulkhead_full"}[word]
    verdict = {"rule": "r", "kind": word, "allowed": False, "reason": reason, "text": "1/min", "retry_after": 1.5}
    return kind(resource, Decision.of((Verdict(**{**verdict, **differences}),)))


def unpacked(answer):
    status = Status.FromString(dict(answer.trailers)[DETAILS])
    assert (answer.code.value[0], answer.text) == (status.code, status.message)
    found = {}
    for packed in status.details:
        for message in (RetryInfo(), QuotaFailure(), ErrorInfo()):
            if packed.Unpack(message):
                found[type(message)] = message
    return found


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (RateLimited, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (BreakerOpen, grpc.StatusCode.UNAVAILABLE),
        (BulkheadFull, grpc.StatusCode.UNAVAILABLE),
    ],
)
def test_a_limit_is_exhausted_and_all_else_unavailable(kind, code):
    assert code is answer_of(refusal(kind)).code
    assert code is escaped(refusal(kind)).code
    assert code is escaped(refusal(kind, "client search")).code  # a service may call what it serves so
    assert grpc.StatusCode.UNAVAILABLE is escaped(as_outgoing(refusal(kind))).code
    assert code is answer_of(as_outgoing(refusal(kind))).code


def test_a_limit_whose_store_is_away_is_unavailable_and_nothing_is_used_up():
    away = refusal(reason="store_unavailable")
    answer = answer_of(away)
    assert [grpc.StatusCode.UNAVAILABLE] * 2 == [answer.code, escaped(away).code]
    found = unpacked(answer)
    assert {RetryInfo, ErrorInfo} == found.keys()
    assert ("STORE_UNAVAILABLE", 1) == (found[ErrorInfo].reason, found[RetryInfo].retry_delay.seconds)
    assert "1500" == dict(answer.trailers)[PUSHBACK]


def test_beside_a_limit_that_is_used_up_one_whose_store_is_away_is_no_violation():
    row = {"kind": "limit", "allowed": False, "text": "1/min"}
    used_up = Verdict("used-up", reason="rate", retry_after=9.0, **row)
    away = Verdict("away", reason="store_unavailable", retry_after=1.0, **row)
    answer = answer_of(RateLimited("/a.B/C", Decision.of((used_up, away))))
    assert grpc.StatusCode.RESOURCE_EXHAUSTED is answer.code
    assert ["used-up"] == [violation.subject for violation in unpacked(answer)[QuotaFailure].violations]


@pytest.mark.parametrize(
    ("retry_after", "seconds", "nanos", "pushback"),
    [
        (1.5, 1, 500_000_000, "1500"),
        (0.000001, 0, 1_000, "1"),
        (0.0, 0, 0, "0"),
        (86_400.1234, 86_400, 123_400_000, "86400124"),
    ],
)
def test_when_to_come_back_is_exact_and_never_too_early(retry_after, seconds, nanos, pushback):
    answer = answer_of(refusal(retry_after=retry_after))
    delay = unpacked(answer)[RetryInfo].retry_delay
    assert (seconds, nanos, pushback) == (delay.seconds, delay.nanos, dict(answer.trailers)[PUSHBACK])


def test_no_time_to_come_back_is_no_time():
    answer = answer_of(refusal(BulkheadFull, retry_after=None))
    assert {QuotaFailure, ErrorInfo} == unpacked(answer).keys()
    assert PUSHBACK not in dict(answer.trailers)
    assert "-1" == dict(answer_of(refusal(reason="cost_too_large", retry_after=None)).trailers)[PUSHBACK]


def test_every_rule_that_refuses_is_named_and_no_other():
    row = {"kind": "limit", "text": "1/min", "reason": "rate", "retry_after": 1.0}
    verdicts = (
        Verdict("one", allowed=False, **row),
        Verdict("two", allowed=True, **row),
        Verdict("three", allowed=False, **row),
        Verdict("four", allowed=False, shadow=True, **row),
    )
    found = unpacked(answer_of(RateLimited("/a.B/C", Decision.of(verdicts))))[QuotaFailure].violations
    assert ["one", "three"] == [violation.subject for violation in found]
    assert "1/min exceeded by rule 'three'; retry after 1 s" == found[1].description
    many = tuple(Verdict(f"rule-{number}", allowed=False, **row) for number in range(1000))
    assert 16 == len(unpacked(answer_of(RateLimited("/a.B/C", Decision.of(many))))[QuotaFailure].violations)


@pytest.mark.parametrize("name", ["per user\r\nx-evil: 1", "na\u00efve \u2603", "nul\0", "half \ud83d"])
def test_names_of_rules_cannot_break_a_status(name):
    answer = answer_of(refusal(rule=name))
    assert name.encode("utf-8", "replace").decode() == unpacked(answer)[ErrorInfo].metadata["rule"]


@pytest.mark.parametrize(
    ("code", "error", "status"),
    [
        (None, None, "OK"),
        (None, ValueError(), "UNKNOWN"),
        (grpc.StatusCode.NOT_FOUND, None, "NOT_FOUND"),
        (grpc.StatusCode.NOT_FOUND, ValueError(), "NOT_FOUND"),
        (14, None, "UNAVAILABLE"),
        (0, None, "OK"),
        (99, None, "UNKNOWN"),
        ("NOT_FOUND", None, "UNKNOWN"),
    ],
)
def test_the_final_status_is_what_was_set_else_what_happened(code, error, status):
    assert grpc.StatusCode[status] is status_of(code, error)


def test_the_error_of_asyncio_survives_pickling():
    from guardrail.adapters.grpc.refused import refused_error

    error = refused_error(refusal())
    assert error.details() == pickle.loads(pickle.dumps(error)).details()
