"""The rule file format as JSON Schema, so that editors complete and check it.

Law: whatever the loader accepts, the schema accepts. It is draft-07, and picks the fields by `kind` with if/then: editors
know neither later drafts nor OpenAPI's discriminator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema

from guardrail.rules.diagnosis import field_names
from guardrail.rules.fields import words
from guardrail.rules.model import MODELS, RuleFields

if TYPE_CHECKING:
    from pydantic_core.core_schema import WithDefaultSchema

_FREE = frozenset({"name"})  # a rule that does not write it gets one
_OWN = frozenset({"name", "resource", "kind"})  # no defaults for these


class _WithoutDefaults(GenerateJsonSchema):
    """Leave defaults to the descriptions; in a model they are microseconds and fractions."""

    def default_schema(self, schema: WithDefaultSchema) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])


def json_schema() -> dict[str, Any]:
    """Return the schema of rule files."""
    definitions: dict[str, Any] = {}
    for kind, model in MODELS.items():
        fields = {**_described(model), "kind": {"const": kind, "description": "What the rule does."}}
        required = [
            name for name, (_, field) in field_names(model).items() if field.is_required() and name not in _FREE
        ]
        definitions[kind] = _mapping(model.__doc__, fields, sorted(required))
        own = {name: {"$ref": f"#/definitions/{kind}/properties/{name}"} for name in fields if name not in _OWN}
        definitions[f"{kind}_defaults"] = _mapping(f"What every {kind} starts from.", own)
    definitions["rule"] = {
        "type": "object",
        "properties": {**_described(RuleFields), "kind": {**words(*MODELS), "description": "What the rule does."}},
        "required": ["kind", "resource"],
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                "then": {"$ref": f"#/definitions/{kind}"},
            }
            for kind in MODELS
        ],
    }
    kinds = {kind: {"$ref": f"#/definitions/{kind}_defaults"} for kind in MODELS}
    document = {
        "version": {**words(1), "description": "The version of this format."},
        "defaults": _mapping("Fields that rules of a kind start from.", kinds),
        "rules": {
            "description": "All that match a call apply, in this order.",
            "type": "array",
            "items": {"$ref": "#/definitions/rule"},
        },
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "guardrail rules",
        **_mapping("Limits, breakers and bulkheads.", document, ["rules"]),
        "definitions": definitions,
    }


def _mapping(description: str | None, properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {
        "description": description,
        "type": "object",
        "properties": properties,
        "required": required or [],
        "additionalProperties": False,
    }


def _described(model: type[RuleFields]) -> dict[str, Any]:
    """Return what each field of a rule takes, by its name in YAML."""
    described: dict[str, Any] = model.model_json_schema(schema_generator=_WithoutDefaults)["properties"]
    for field in described.values():
        field.pop("title", None)
        options = [option for option in field.get("anyOf", ()) if option != {"type": "null"}]
        if options:  # some versions of pydantic put a list of options into another
            field["anyOf"] = [inner for option in options for inner in option.get("anyOf", [option])]
    return described
