"""The types of the fields of a rule: how each is read, and how a schema describes it.

Law: every schema admits whatever its reader does, `${VAR}` included.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, PlainValidator, WithJsonSchema

from guardrail.rules.compiled import Algorithm as _Algorithm
from guardrail.rules.readers import (
    at_least_one,
    listed,
    mapping_like,
    one_of,
    read_alternatives,
    read_attribute,
    read_condition,
    read_conditions,
    read_cost,
    read_duration_us,
    read_exception,
    read_mode,
    read_positive_us,
    read_rate,
    read_ratio,
    read_resource,
    read_text,
    read_threshold,
    read_value,
    read_whole,
)
from guardrail.rules.units import Rate

_VARIABLE = {"type": "string", "pattern": r"\$\{"}
_TEXT = {"type": ["string", "number"]}


def _or_list(item: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"anyOf": [item, {"type": "array", "items": item, **more}]}


def words(*choices: str | bool | int) -> dict[str, Any]:
    """Return the schema of a field that takes one of a few words."""
    return {"anyOf": [{"enum": list(choices)}, _VARIABLE]}


_DURATION = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^\s*(P|[0-9])|\$\{"}]}
_RATE = {"type": "string", "pattern": r"/|per|\$\{"}
_RATIO = {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "string", "pattern": r"[0-9]|\$\{"}]}
_WHOLE = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^[0-9]+_[0-9_]+$|\$\{"}]}

Text = Annotated[str, PlainValidator(read_text), WithJsonSchema(_TEXT)]
Whole = Annotated[int, PlainValidator(read_whole), WithJsonSchema(_WHOLE)]
Cost = Annotated[
    int | str, PlainValidator(read_cost), WithJsonSchema({"anyOf": [*_WHOLE["anyOf"], {"type": "string"}]})
]
Duration = Annotated[int, PlainValidator(read_duration_us), WithJsonSchema(_DURATION)]
PositiveDuration = Annotated[int, PlainValidator(read_positive_us), WithJsonSchema(_DURATION)]
RateText = Annotated[Rate, PlainValidator(read_rate), WithJsonSchema(_RATE)]
Ratio = Annotated[Fraction, PlainValidator(read_ratio), WithJsonSchema(_RATIO)]
Threshold = Annotated[Fraction, PlainValidator(read_threshold), WithJsonSchema(_RATIO)]

_Value = Annotated[str, PlainValidator(read_value)]
_Attribute = Annotated[str, PlainValidator(read_attribute)]
_Resource = Annotated[str, PlainValidator(read_resource)]
_KeyPart = Annotated[tuple[str, ...], PlainValidator(read_alternatives)]
_Exception = Annotated[str | type[BaseException], PlainValidator(read_exception)]
_Condition = Annotated[str, PlainValidator(read_condition)]
_Conditions = Annotated[tuple[_Condition, ...], BeforeValidator(listed), AfterValidator(read_conditions)]

Resources = Annotated[
    tuple[_Resource, ...],
    BeforeValidator(listed),
    AfterValidator(at_least_one),
    WithJsonSchema(_or_list(_TEXT, minItems=1)),
]
Excepted = Annotated[tuple[_Resource, ...], BeforeValidator(listed), WithJsonSchema(_or_list(_TEXT))]
Key = Annotated[tuple[_KeyPart, ...], BeforeValidator(listed), WithJsonSchema(_or_list(_TEXT))]
Exceptions = Annotated[tuple[_Exception, ...], BeforeValidator(listed), WithJsonSchema(_or_list({"type": "string"}))]
When = Annotated[
    dict[_Attribute, _Conditions],
    BeforeValidator(mapping_like("{plan: free}")),
    WithJsonSchema({"type": "object", "additionalProperties": _or_list(_TEXT, minItems=1)}),
]
Overrides = Annotated[
    dict[_Value, RateText],
    BeforeValidator(mapping_like("{vip: 1000/min}")),
    WithJsonSchema({"type": "object", "additionalProperties": _RATE}),
]

_Mode = Literal["enforce", "shadow", "off"]
_Charge = Literal["always", "failure"]
_Scope = Literal["shared", "local"]
_Policy = Literal["local", "allow", "deny"]


def _one_of(choices: tuple[str, ...]) -> PlainValidator:
    return PlainValidator(one_of(*choices))


Mode = Annotated[_Mode, PlainValidator(read_mode), WithJsonSchema(words(*get_args(_Mode), False))]
Algorithm = Annotated[_Algorithm, _one_of(get_args(_Algorithm)), WithJsonSchema(words(*get_args(_Algorithm)))]
Charge = Annotated[_Charge, _one_of(get_args(_Charge)), WithJsonSchema(words(*get_args(_Charge)))]
Scope = Annotated[_Scope, _one_of(get_args(_Scope)), WithJsonSchema(words(*get_args(_Scope)))]
OnStoreError = Annotated[_Policy, _one_of(get_args(_Policy)), WithJsonSchema(words(*get_args(_Policy)))]
