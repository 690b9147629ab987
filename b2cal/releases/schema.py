"""JSON Schema of expert_config: derived from the defaults, or given by the script and then looked through."""

from collections.abc import Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

Schema = dict[str, Any]

_MAX_ITEMS = 10_000
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
# Patterns may take exponential time on a text made for it; references may go in circles or to other machines.
_NOT_EVALUATED = frozenset({"pattern", "patternProperties", "$ref", "$dynamicRef"})

_BOUNDARIES = {
    "type": "array",
    "description": "runs, as [experiment, run], from each of which on there are new constants",
}


def schema_from_defaults(defaults: Mapping[str, Any]) -> Schema:
    """The same types as the defaults, no unknown keys, sane sizes.

    Below the top level further keys are allowed: a nested object is replaced whole, so a key misspelt there is a key
    missing, which the script notices; misspelt at the top it would silently leave the default in force.
    """
    return {**_covering([dict(defaults)]), "additionalProperties": False}


def with_boundaries(schema: Schema) -> Schema:
    """A schema that also says what every class that divides its runs by boundaries has in its configuration.

    The key is b2cal's, so no script needs to describe it; where one does, its own words count.
    """
    from b2cal.calibration.strategy import BOUNDARIES_KEY  # here, because it brings numpy with it

    properties = schema.get("properties", {})
    own = properties.get(BOUNDARIES_KEY, {})
    described = {**_BOUNDARIES, **own} if isinstance(own, dict) else own  # true and false are schemas too
    return {**schema, "properties": {**properties, BOUNDARIES_KEY: described}}


def schema_problem(schema: Any) -> str | None:
    """What is wrong with a schema that a script gives; None if b2cal can use it."""
    if not isinstance(schema, dict):
        return "expert_config_schema is no JSON object"
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return f"expert_config_schema is no JSON Schema: {error.message.rstrip('.')}"
    unusable = sorted(_not_evaluated(schema))
    if unusable:
        return f"expert_config_schema uses {', '.join(unusable)}, which b2cal does not evaluate; try enum"
    return None


def _covering(samples: Sequence[Any]) -> Schema:
    """A schema that all samples fit. None says nothing about the type, nor does an empty list about its items."""
    if not samples or any(sample is None for sample in samples):
        return {}
    types = sorted({_TYPES[type(sample)] for sample in samples})
    if types == ["integer", "number"]:
        types = ["number"]
    schema: Schema = {"type": types[0] if len(types) == 1 else types}
    if "array" in types:
        items = [item for sample in samples if isinstance(sample, list) for item in sample]
        schema |= {"items": _covering(items), "maxItems": _MAX_ITEMS}
    if "object" in types:
        objects = [sample for sample in samples if isinstance(sample, dict)]
        keys = sorted({key for sample in objects for key in sample})
        schema["properties"] = {key: _covering([sample[key] for sample in objects if key in sample]) for key in keys}
    return schema


def _not_evaluated(schema: Any) -> set[str]:
    """Keywords of the schema, at any depth, that b2cal leaves alone. Keys of `properties` are names, not keywords."""
    if isinstance(schema, list):
        return set().union(*map(_not_evaluated, schema))
    if not isinstance(schema, dict):
        return set()
    found = set(_NOT_EVALUATED & schema.keys())
    for key, value in schema.items():
        found |= _not_evaluated(list(value.values()) if key in ("properties", "$defs") else value)
    return found
