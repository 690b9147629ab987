"""Why something that a person wrote is refused, in words for people: the one translation of what pydantic says."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from inspect import isclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

Place = tuple[int | str, ...]
"""Where in a document: keys and, counted from 0, numbers of entries."""

_MOMENT = "must be a point in time with its zone, like '2026-11-02T06:00:00Z'"
_WANTED = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "string_type": "must be a text",
    "path_type": "must be a path",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "int_parsing_size": "must be a number that a computer can count to",
    "finite_number": "must be a finite number",
    "datetime_type": _MOMENT,
    "datetime_parsing": _MOMENT,
    "datetime_from_date_parsing": _MOMENT,
    "datetime_object_invalid": _MOMENT,
    "timezone_aware": _MOMENT,
    "enum": "must be {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
}
_LENGTH = {
    "missing": "is missing",
    "too_short": "must have a length of at least {min_length}, not {actual_length}",
    "too_long": "must have a length of at most {max_length}, not {actual_length}",
    "string_too_short": "must have a length of at least {min_length}",
    "string_too_long": "may have at most {max_length} characters",
}


_SHOWN = 60
"""Characters of what stands there; more would hide what is wrong with it."""


def suggestion(word: str, known: Sequence[str]) -> str:
    """The end of a sentence about a word that nobody knows, without its full stop: `did you mean 'window'?`."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"


def spelled(place: Place) -> str:
    """A place as people count: `definition.2.script`."""
    return ".".join(str(part + 1) if isinstance(part, int) else part for part in place)


def explained(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[Place, str]]:
    """The place of each thing that a model refuses, and what is wrong there, without its full stop.

    Unknown keys come first: as a rule something else is missing because of them. A list is not said to be too short
    because of an item that is refused itself.
    """
    every = error.errors(include_url=False)
    inside = {detail["loc"][:depth] for detail in every for depth in range(len(detail["loc"]))}
    details = [detail for detail in every if detail["type"] != "too_short" or detail["loc"] not in inside]
    for detail in sorted(details, key=lambda it: it["type"] != "extra_forbidden"):
        yield detail["loc"], _explained(detail, model)


def _explained(detail: Mapping[str, Any], model: type[BaseModel]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        *place, key = detail["loc"]
        return f"is not known; {suggestion(str(key), _known(model, place))}"
    if kind == "value_error":
        return str(context["error"])
    if kind in _LENGTH:
        return _LENGTH[kind].format(**context)
    if kind in _WANTED:
        return f"{_WANTED[kind].format(**context)}, not {_shown(detail['input'])}"
    if kind == "json_invalid":
        return f"is not valid JSON: {context['error']}"
    return f"cannot be used: {str(detail['msg']).removesuffix('.')}"


def _shown(value: object) -> str:
    """What stands there, cut where it is long."""
    text = "null" if value is None else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _known(model: type[BaseModel], place: Sequence[int | str]) -> list[str]:
    """The keys that there are at a place in a model."""
    for part in place:
        if isinstance(part, str):
            annotation = model.model_fields[part].annotation
            model = next(it for it in (annotation, *get_args(annotation)) if isclass(it) and issubclass(it, BaseModel))
    return list(model.model_fields)
