"""expert_config: changes over its defaults, and what is wrong with a changed one."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from b2cal.core.checksums import canonical_json
from b2cal.core.errors import sentence
from b2cal.core.json_text import levels
from b2cal.model import Definition
from b2cal.refusal import suggestion

from .schema import Schema

_MAX_BYTES = 64 * 1024
_MAX_LEVELS = 16

_TYPES = {
    "string": "a text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_BOUNDS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than",
}


@dataclass(frozen=True)
class ConfigProblem:
    """One thing wrong with an expert_config; `key` is the top-level key, empty if it is about the whole."""

    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.key or 'expert_config'} {self.message}"


def merged_config(definition: Definition, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults with `changes` over them. As in b2caf-prompt-run the merge is shallow: a value is replaced whole."""
    return {**definition.settings["expert_config"], **changes}


def config_problems(definition: Definition, config: Mapping[str, Any]) -> list[ConfigProblem]:
    """What is wrong with a merged configuration, at most one problem per key, in the order of keys."""
    return problems_by_schema(config, definition.config_schema) or boundary_problems(definition.traits, config)


def problems_by_schema(config: Mapping[str, Any], schema: Schema) -> list[ConfigProblem]:
    """What is wrong with a configuration by its schema, and by what is sane for any: JSON, size, depth."""
    try:
        size = len(canonical_json(config))
    except (TypeError, ValueError, RecursionError):
        return [ConfigProblem("", "holds something that JSON cannot say: NaN, infinity, or an object of Python.")]
    if size > _MAX_BYTES:
        return [ConfigProblem("", f"takes {size:,} bytes; {_MAX_BYTES:,} are allowed. Put tables into the release.")]
    if levels(config) > _MAX_LEVELS:
        return [ConfigProblem("", f"is nested more than {_MAX_LEVELS} levels deep.")]
    found: dict[str, ConfigProblem] = {}
    for error in Draft202012Validator(schema).iter_errors(dict(config)):
        for problem in _explained(error, schema):
            found.setdefault(problem.key, problem)
    return [found[key] for key in sorted(found)]


def boundary_problems(traits: Mapping[str, Any], config: Mapping[str, Any]) -> list[ConfigProblem]:
    """What no schema says: a class that divides its runs by boundaries needs boundaries that are runs."""
    # Imported here, because it brings numpy with it and most processes of b2cal check no configuration.
    from b2cal.calibration.strategy import BOUNDARIES_KEY, InvalidBoundaries, Strategy, boundaries

    if traits.get("strategy") != Strategy.BOUNDARIES:
        return []
    try:
        boundaries(config)
    except InvalidBoundaries:
        value = f", not {_shown(config[BOUNDARIES_KEY])}" if BOUNDARIES_KEY in config else ""
        return [ConfigProblem(BOUNDARIES_KEY, f"must be a list of runs such as [[26, 8], [26, 12]]{value}.")]
    return []


def carrying_problems(keys: Iterable[str], defaults: Mapping[str, Any]) -> list[ConfigProblem]:
    """Which keys no calibration can take over from another processing, because they are none, or bound to its runs."""
    from b2cal.calibration.strategy import BOUNDARIES_KEY  # here for the same reason

    wrong = {
        key: "holds runs of one processing, which mean nothing to the next."
        if key == BOUNDARIES_KEY
        else f"is no key of expert_config; {_suggestion(key, sorted(defaults))}"
        for key in keys
        if key == BOUNDARIES_KEY or key not in defaults
    }
    return [ConfigProblem(key, message) for key, message in wrong.items()]


def _explained(error: ValidationError, schema: Schema) -> Iterable[ConfigProblem]:
    path = [str(part) for part in error.absolute_path]
    instance: Any = error.instance
    wanted: Any = error.validator_value
    if not path and error.validator == "additionalProperties":
        known = sorted(schema.get("properties", {}))
        for key in sorted(set(instance) - set(known)):
            yield ConfigProblem(key, f"is not known; {_suggestion(key, known)}")
    elif not path and error.validator == "required":
        yield from (ConfigProblem(key, "is missing.") for key in wanted if key not in instance)
    else:
        place = f"at {'.'.join(path[1:])} " if path[1:] else ""
        yield ConfigProblem(path[0] if path else "", f"{place}{_reason(str(error.validator), wanted, instance)}.")


def _reason(keyword: str, wanted: Any, found: Any) -> str:
    match keyword:
        case "type":
            types = [wanted] if isinstance(wanted, str) else wanted
            return f"must be {' or '.join(_TYPES[name] for name in types)}, not {_shown(found)}"
        case "enum":
            return f"must be one of {', '.join(map(_shown, wanted))}, not {_shown(found)}"
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum":
            return f"must be {_BOUNDS[keyword]} {wanted}, not {_shown(found)}"
        case "minItems":
            return f"must have at least {wanted:,} entries, not {len(found):,}"
        case "maxItems":
            return f"must have at most {wanted:,} entries, not {len(found):,}"
        case _:
            return f"does not fit {keyword!r} of its schema: {_shown(found)}"


def _suggestion(key: str, known: Sequence[str]) -> str:
    return sentence(suggestion(key, known) if known else "there is nothing to configure")


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
