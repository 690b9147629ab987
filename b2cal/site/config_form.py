"""An expert_config as a form: one text per key, beside its default and its value in the previous processing.

Texts go in and out, so that nothing an expert typed is lost, whatever is wrong with it. What the values may be is said
by the definition's JSON Schema and checked by the verb; here only texts are turned into JSON values.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from b2cal.core.json_text import parsed

PREFIX = "config."
"""What the name of an input begins with; the key follows."""


@dataclass(frozen=True)
class Field:
    """One key of the configuration.

    Attributes:
        shape: how it is asked for: "choice", "number", "text" or "json" (a list or an object, several lines).
        default: as a text.
        previous: the same in the previous processing; None: there is none, or it had no such key.
        text: what stands in the input.
        changed: `text` means something else than the default.
        choices: of a choice, as texts.
        help: what the schema says about the key, in words.
        problem: why `text` was refused.
        origin: where the default comes from, if not from the script.
    """

    key: str
    shape: str
    default: str
    previous: str | None
    text: str
    changed: bool
    choices: tuple[str, ...] = ()
    help: str = ""
    problem: str = ""
    origin: str = ""

    @property
    def name(self) -> str:
        return PREFIX + self.key

    @property
    def differs(self) -> bool:
        """Another value than the default, or than in the previous processing."""
        return self.changed or self.previous not in (None, self.text)

    @property
    def stands_out(self) -> bool:
        """Whoever looks quickly wants to see it: another value than usual, or not that of the script."""
        return self.differs or bool(self.origin)

    @property
    def rows(self) -> int:
        """Lines that an input for the longer of text and default needs, within reason."""
        return min(12, 1 + max(self.text.count("\n"), self.default.count("\n")))


@dataclass(frozen=True)
class Entered:
    """What came back: `changes` against the defaults, and `problems` for texts that are no values."""

    changes: dict[str, Any]
    problems: dict[str, str]


def fields(
    schema: Mapping[str, Any],
    defaults: Mapping[str, Any],
    previous: Mapping[str, Any],
    texts: Mapping[str, str],
    problems: Mapping[str, str],
    origins: Mapping[str, str] = MappingProxyType({}),
) -> list[Field]:
    """The form. A key that `texts` lacks shows its default."""
    properties = schema.get("properties", {})
    plain = [
        _field(key, properties.get(key, {}), default, previous, texts.get(key), problems.get(key, ""))
        for key, default in defaults.items()
    ]
    return [replace(field, origin=origins.get(field.key, "")) for field in plain]


def origins(script: Mapping[str, Any], carried_over: Mapping[str, Any]) -> dict[str, str]:
    """Where defaults come from that were taken over, in words: `from bucket22; the script says 5000`."""
    return {
        key: f"from {it['of']}" + ("" if _same(it["value"], script[key]) else f"; the script says {shown(script[key])}")
        for key, it in carried_over.items()
    }


def entered(schema: Mapping[str, Any], defaults: Mapping[str, Any], texts: Mapping[str, str]) -> Entered:
    """Turn texts into changes; a key without a text, or with that of its default, is no change."""
    changes, problems = {}, {}
    for key, default in defaults.items():
        if key not in texts:
            continue
        try:
            value = _value(texts[key], _types(schema.get("properties", {}).get(key, {}), default), default)
        except ValueError as error:
            problems[key] = str(error)
        else:
            if not _same(value, default):
                changes[key] = value
    return Entered(changes, problems)


def shown(value: Any) -> str:
    """A value as the text that stands for it; lists of lists and objects take several lines."""
    if isinstance(value, str):
        return value
    text = json.dumps(value, ensure_ascii=False)
    return json.dumps(value, indent=2, ensure_ascii=False) if len(text) > 60 else text


def texts_of(config: Mapping[str, Any]) -> dict[str, str]:
    """The texts of a configuration that was submitted before."""
    return {key: shown(value) for key, value in config.items()}


def _field(
    key: str, schema: Mapping[str, Any], default: Any, previous: Mapping[str, Any], text: str | None, problem: str
) -> Field:
    types = _types(schema, default)
    text = shown(default) if text is None else text
    return Field(
        key=key,
        shape=_shape(schema, types),
        default=shown(default),
        previous=shown(previous[key]) if key in previous else None,
        text=text,
        changed=bool(problem) or not _means(text, types, default),
        choices=("true", "false") if types == ("boolean",) else tuple(map(shown, schema.get("enum", ()))),
        help=_help(schema),
        problem=problem,
    )


def _types(schema: Mapping[str, Any], default: Any) -> tuple[str, ...]:
    named = schema.get("type")
    if isinstance(named, str):
        return (named,)
    if isinstance(named, Sequence):
        return tuple(named)
    return ("string",) if isinstance(default, str) else ()


def _shape(schema: Mapping[str, Any], types: Sequence[str]) -> str:
    if "enum" in schema or types == ("boolean",):
        return "choice"
    if types and set(types) <= {"integer", "number"}:
        return "number"
    return "text" if types == ("string",) else "json"


def _value(text: str, types: Sequence[str], default: Any) -> Any:
    if types == ("string",):
        return text.replace("\r\n", "\n")
    try:
        return parsed(text)
    except ValueError:
        if "string" in types or not types:
            return text
        raise ValueError(_expected(text, types, default)) from None


def _expected(text: str, types: Sequence[str], default: Any) -> str:
    words = {
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "array": "a list",
        "object": "an object",
    }
    wanted = " or ".join(words.get(name, name) for name in types)
    example = "" if isinstance(default, bool) else f" such as {_shortened(shown(default))}"
    return f"must be {wanted}{example}, not {_shortened(text.strip())!r}"


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."


def _means(text: str, types: Sequence[str], default: Any) -> bool:
    try:
        return _same(_value(text, types, default), default)
    except ValueError:
        return False


def _same(value: Any, default: Any) -> bool:
    return _plain(value) == _plain(default)


def _plain(value: Any) -> str:
    """JSON in which 5 and 5.0 are the same number, as to JSON Schema; true and 1 are not."""

    def whole(inner: Any) -> Any:
        if isinstance(inner, list):
            return [whole(item) for item in inner]
        if isinstance(inner, dict):
            return {key: whole(item) for key, item in inner.items()}
        return int(inner) if isinstance(inner, float) and inner.is_integer() else inner

    return json.dumps(whole(value), sort_keys=True)


def _help(schema: Mapping[str, Any]) -> str:
    parts = [str(schema["description"])] if "description" in schema else []
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        parts.append(f"{low} to {high}")
    elif low is not None:
        parts.append(f"at least {low}")
    elif high is not None:
        parts.append(f"at most {high}")
    return "; ".join(parts)
