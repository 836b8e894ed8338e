"""What a rule can say: one model for each kind.

Law: a rule that exists is whole. Every field has one meaning, durations are microseconds and ratios fractions, nothing
stands in it that does not apply, and its limit, breaker or bulkhead can be built.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from guardrail.rules import fields as read
from guardrail.rules.compiled import core_limit
from guardrail.rules.conflicts import contradictions, misplaced

if TYPE_CHECKING:
    from guardrail.core.breaker import Breaker
    from guardrail.core.bulkhead import Bulkhead
    from guardrail.core.limit import Limit
    from guardrail.rules.units import Rate

_HALF = Fraction(1, 2)


class RuleFields(BaseModel):
    """Hold what rules of every kind can say, and what this one was made of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: read.Text = Field(description="Unique; state is kept under it. Default: resource/kind.")
    resource: read.Resources = Field(description="An exact name, a pattern (*, {x}, **) or a list of these.")
    except_: read.Excepted = Field((), alias="except", description="Resources and patterns it leaves out.")
    when: read.When = Field({}, description="Attributes and the values they must have; `!x` must not be x.")
    key: read.Key = Field((), description="Attributes that each get a state of their own; `a|b`: the first present.")
    mode: read.Mode = Field("enforce", description="enforce, shadow (count, never refuse) or off.")
    enforce: read.Ratio = Field(Fraction(1), description="Of so many keys, by a stable hash; the rest is shadow.")

    _written: frozenset[str] = PrivateAttr(default_factory=frozenset)
    _fields: Mapping[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def written(self) -> frozenset[str]:
        """The fields this rule itself wrote, by their names in YAML; those from `defaults` are not among them."""
        return self._written

    @property
    def fields(self) -> dict[str, Any]:
        """The plain values it was made from, defaults merged in, by their names in YAML."""
        return dict(self._fields)

    def remember(self, written: frozenset[str], plain: Mapping[str, Any]) -> Self:
        """Keep what the rule was made of; whoever makes it calls this once."""
        self._written, self._fields = written, plain
        return self

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        for find in misplaced, contradictions:
            for conflict in find(self.__dict__, self.model_fields_set):
                raise ValueError(conflict.message)
        return self


class LimitRule(RuleFields):
    """How often."""

    kind: Literal["limit"]
    rate: read.RateText = Field(description="An amount per time: 100/s, 5 per 15 minutes, 10/500ms, 0.5/s.")
    burst: read.Whole | None = Field(None, description="token_bucket only. Most at once; default: the rate's amount.")
    algorithm: read.Algorithm = Field("token_bucket", description="How calls are counted.")
    cost: read.Cost | None = Field(None, description="A number or an attribute that has one; default: the call's cost.")
    charge: read.Charge = Field("always", description="failure: given back unless the outcome is a failure.")
    overrides: read.Overrides = Field({}, description="Other rates for single values of the key.")
    max_wait_us: read.Duration = Field(0, alias="max_wait", description="Queue for capacity this long. Default 0.")
    scope: read.Scope = Field("shared", description="shared: the guard's store; local: this process.")
    on_store_error: read.OnStoreError = Field("local", description="What to do while the store cannot be asked.")

    def limit(self, rate: Rate | None = None) -> Limit[Any]:
        """Build the limit; an override's *rate* stands for the rule's, and for its burst unless that is written."""
        return core_limit(self.algorithm, rate or self.rate, self.burst, self.max_wait_us)


class BreakerRule(RuleFields):
    """Is the other side well."""

    kind: Literal["breaker"]
    failure_rate: read.Threshold | None = Field(None, description="Opens at >=. Default 50% unless another trigger is.")
    slow_call_us: read.PositiveDuration | None = Field(None, alias="slow_call", description="Longer (>) is slow.")
    slow_rate: read.Threshold | None = Field(None, description="Opens at >=. Default 50% where slow_call is written.")
    consecutive_failures: read.Whole | None = Field(None, description="Opens after so many in a row. Default off.")
    window_us: read.PositiveDuration | None = Field(None, alias="window", description="Time looked at. Default 30s.")
    window_calls: read.Whole | None = Field(None, description="Instead of window: the last so many calls.")
    min_calls: read.Whole = Field(10, description="Calls before rates count. Default 10.")
    open_for_us: read.PositiveDuration = Field(5_000_000, alias="open_for", description="Default 5s.")
    open_for_max_us: read.PositiveDuration | None = Field(
        None, alias="open_for_max", description="Each re-opening doubles open_for up to this. Default off."
    )
    half_open_calls: read.Whole = Field(3, description="Probes let through while half-open. Default 3.")
    probe_timeout_us: read.PositiveDuration = Field(
        30_000_000, alias="probe_timeout", description="A probe not back by then loses slot and vote. Default 30s."
    )
    failures: read.Exceptions | None = Field(None, description="Exceptions that count; default: all.")
    ignore: read.Exceptions = Field((), description="Exceptions that do not count; wins over failures.")
    key: read.Key = Field((("resource",),), description="Default: one state for each resource that the rule matches.")

    def breaker(self) -> Breaker:
        """Build the breaker's thresholds, defaults filled in where they depend on one another."""
        from guardrail.core.breaker import Breaker

        others = self.slow_call_us is not None or self.consecutive_failures is not None
        min_calls = self.min_calls
        if self.window_calls is not None and "min_calls" not in self.model_fields_set:
            min_calls = min(min_calls, self.window_calls)
        return Breaker(
            failure_rate=self.failure_rate if self.failure_rate is not None or others else _HALF,
            slow_call_us=self.slow_call_us,
            slow_rate=self.slow_rate if self.slow_rate is not None or self.slow_call_us is None else _HALF,
            consecutive_failures=self.consecutive_failures,
            window_us=self.window_us if self.window_us is not None or self.window_calls is not None else 30_000_000,
            window_calls=self.window_calls,
            min_calls=min_calls,
            open_for_us=self.open_for_us,
            open_for_max_us=self.open_for_max_us,
            half_open_calls=self.half_open_calls,
            probe_timeout_us=self.probe_timeout_us,
        )


class BulkheadRule(RuleFields):
    """How many at once."""

    kind: Literal["bulkhead"]
    max_concurrent: read.Whole = Field(description="Places.")
    max_wait_us: read.Duration = Field(0, alias="max_wait", description="Queue for a place this long. Default 0.")
    max_queue: read.Whole | None = Field(None, description="Most that may queue. Default: any number.")
    scope: read.Scope = Field("local", description="local: this process; shared: leases in the guard's store.")
    lease_us: read.PositiveDuration = Field(
        30_000_000, alias="lease", description="shared only. A holder that dies gives its place back after this."
    )

    def bulkhead(self) -> Bulkhead:
        """Build the bulkhead."""
        from guardrail.core.bulkhead import Bulkhead

        return Bulkhead(self.max_concurrent, self.max_queue)


Rule = LimitRule | BreakerRule | BulkheadRule
MODELS: dict[str, type[LimitRule | BreakerRule | BulkheadRule]] = {
    "limit": LimitRule,
    "breaker": BreakerRule,
    "bulkhead": BulkheadRule,
}
