"""The decorators: `limit`, `breaker`, `bulkhead` and `guarded`, over the guard of a host.

Law: an option means in code what the field of that name means in a file. What is wrong with one is said when decorating.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from guardrail.decorators.fallback import UNSET
from guardrail.decorators.options import Cost, Duration, Errors, Exceptions, Key, Options, When
from guardrail.decorators.stack import check_parentheses, decorate

if TYPE_CHECKING:
    from guardrail.admission.host import Host

F = TypeVar("F", bound=Callable[..., Any])


class Decorators:
    """Offer the decorators of one host. A decorated callable keeps its signature, its name and its kind.

    Options that all of them take:
        name: The resource; default: the function's module and qualified name.
        key: What has a state of its own: an argument's name (`user_id`, `user.id`), an attribute of the request around the
            call (`client.ip`, `header.x-tenant`), a list of these, or a callable over the arguments.
        when: Attributes and the values they must have for the rule to apply.
        mode: `enforce`, `shadow` (count, never refuse) or `off`.
        enforce: The share of keys for which the rule is enforced (`"10%"`); for the rest it is shadow.
        fallback: Answers refusals in the function's place: a value, or a callable with the function's signature, to which
            a parameter named `refused` brings the refusal.
        fallback_on: Errors of the function that the fallback answers too.

    All of them raise, when decorating:
        RuleError: An option is wrong; the text says what to write instead.
        TypeError: This cannot be decorated, or the fallback does not fit the function.
    """

    def __init__(self, host: Host) -> None:
        self._host = host

    def limit(
        self,
        rate: str,
        *,
        burst: int | None = None,
        algorithm: str | None = None,
        key: Key | None = None,
        cost: Cost | None = None,
        charge: str | None = None,
        overrides: Mapping[str, str] | None = None,
        max_wait: Duration | None = None,
        scope: str | None = None,
        on_store_error: str | None = None,
        when: When | None = None,
        mode: str | None = None,
        enforce: str | float | None = None,
        name: str | None = None,
        failed: Callable[[Any], bool] | None = None,
        fallback: Any = UNSET,
        fallback_on: Errors = (),
    ) -> Callable[[F], F]:
        """Limit how often a function is called; raises RateLimited where it is called more.

        Args:
            rate: An amount per time: `100/s`, `5 per 15 minutes`, `10/500ms`.
            burst: Most at once (token_bucket only). Default: the rate's amount.
            algorithm: token_bucket, sliding_window, fixed_window, sliding_log or leaky_bucket.
            cost: Tokens a call takes: a number, an argument's name, or a callable over the arguments. Default 1.
            charge: `failure`: the tokens are given back unless the call fails.
            overrides: Other rates for single values of the key.
            max_wait: Queue for capacity this long: seconds, or `"250ms"`.
            failed: Tells of a result whether it is a failure.
        """
        check_parentheses(rate, "limit", '"100/s"')
        options = Options(
            "limit",
            rate=rate,
            burst=burst,
            algorithm=algorithm,
            key=key,
            cost=cost,
            charge=charge,
            overrides=overrides,
            max_wait=max_wait,
            scope=scope,
            on_store_error=on_store_error,
            when=when,
            mode=mode,
            enforce=enforce,
        )
        return lambda function: decorate(function, self._host, options, name, failed, fallback, fallback_on)

    def breaker(
        self,
        function: None = None,
        /,
        *,
        failure_rate: str | float | None = None,
        slow_call: Duration | None = None,
        slow_rate: str | float | None = None,
        consecutive_failures: int | None = None,
        window: Duration | None = None,
        window_calls: int | None = None,
        min_calls: int | None = None,
        open_for: Duration | None = None,
        open_for_max: Duration | None = None,
        half_open_calls: int | None = None,
        probe_timeout: Duration | None = None,
        failures: Exceptions | None = None,
        ignore: Exceptions | None = None,
        key: Key | None = None,
        when: When | None = None,
        mode: str | None = None,
        enforce: str | float | None = None,
        name: str | None = None,
        failed: Callable[[Any], bool] | None = None,
        fallback: Any = UNSET,
        fallback_on: Errors = (),
    ) -> Callable[[F], F]:
        """Keep calls away from a function that is failing; raises BreakerOpen meanwhile.

        Args:
            failure_rate: Opens at this share of failures: `0.5` or `"50%"`. Default 50 % unless another trigger is given.
            slow_call: Longer than this is slow: seconds, or `"1s"`.
            slow_rate: Opens at this share of slow calls. Default 50 %.
            consecutive_failures: Opens after so many in a row.
            window: The time that is looked at. Default 30 s. Or `window_calls`: the last so many calls.
            min_calls: Calls in the window before rates count. Default 10.
            open_for: How long it stays open. Default 5 s. Each re-opening doubles it up to `open_for_max`.
            half_open_calls: Probes let through then. Default 3.
            probe_timeout: A probe not back by then loses its slot and its vote. Default 30 s.
            failures: Exceptions that count, as classes or names. Default: all.
            ignore: Exceptions that say nothing of the other side; wins over `failures`.
            failed: Tells of a result whether it is a failure.
        """
        check_parentheses(function, "breaker")
        options = Options(
            "breaker",
            failure_rate=failure_rate,
            slow_call=slow_call,
            slow_rate=slow_rate,
            consecutive_failures=consecutive_failures,
            window=window,
            window_calls=window_calls,
            min_calls=min_calls,
            open_for=open_for,
            open_for_max=open_for_max,
            half_open_calls=half_open_calls,
            probe_timeout=probe_timeout,
            failures=failures,
            ignore=ignore,
            key=key,
            when=when,
            mode=mode,
            enforce=enforce,
        )
        return lambda function: decorate(function, self._host, options, name, failed, fallback, fallback_on)

    def bulkhead(
        self,
        max_concurrent: int,
        *,
        max_wait: Duration | None = None,
        max_queue: int | None = None,
        key: Key | None = None,
        scope: str | None = None,
        lease: Duration | None = None,
        when: When | None = None,
        mode: str | None = None,
        enforce: str | float | None = None,
        name: str | None = None,
        fallback: Any = UNSET,
        fallback_on: Errors = (),
    ) -> Callable[[F], F]:
        """Limit how many calls of a function run at once; raises BulkheadFull beyond that.

        Args:
            max_concurrent: Places.
            max_wait: Queue for a place this long, first come, first served: seconds, or `"500ms"`. Default: not at all.
            max_queue: Most that may queue.
        """
        check_parentheses(max_concurrent, "bulkhead", "10")
        options = Options(
            "bulkhead",
            max_concurrent=max_concurrent,
            max_wait=max_wait,
            max_queue=max_queue,
            key=key,
            scope=scope,
            lease=lease,
            when=when,
            mode=mode,
            enforce=enforce,
        )
        return lambda function: decorate(function, self._host, options, name, None, fallback, fallback_on)

    def guarded(
        self,
        name: str | None = None,
        *,
        failed: Callable[[Any], bool] | None = None,
        fallback: Any = UNSET,
        fallback_on: Errors = (),
    ) -> Callable[[F], F]:
        """Guard a function by what the rule files say of its resource, and nothing else.

        Args:
            name: The resource; default: the function's module and qualified name.
            failed: Tells of a result whether it is a failure.
        """
        check_parentheses(name, "guarded")
        return lambda function: decorate(function, self._host, None, name, failed, fallback, fallback_on)
