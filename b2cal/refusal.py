"""Why something that a person wrote is refused, in words for people: the one translation of what pydantic says."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from inspect import isclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

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
    "pattern_regex": "must be a regular expression",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
}
_SAID = {
    "missing": "is missing",
    "union_tag_not_found": "is missing",
    "union_tag_invalid": "must be one of {expected_tags}, not {tag!r}",
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
        place, known = _walked(model, detail["loc"])
        if detail["type"].startswith("union_tag"):  # the key that says of which kind a table is
            place = (*place, detail["ctx"]["discriminator"].strip("'"))
        yield place, _explained(detail, known)


def _explained(detail: Mapping[str, Any], known: Sequence[str]) -> str:
    """What is wrong; `known` are the keys that there are where it is."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return f"is not known; {suggestion(str(detail['loc'][-1]), known)}"
    if kind == "value_error":
        return str(context["error"])
    if kind in _SAID:
        return _SAID[kind].format(**context)
    if kind in _WANTED:
        return f"{_WANTED[kind].format(**context)}, not {_shown(detail['input'])}"
    if kind == "json_invalid":
        return f"is not valid JSON: {context['error']}"
    return f"cannot be used: {str(detail['msg']).removesuffix('.')}"


def _shown(value: object) -> str:
    """What stands there, cut where it is long."""
    text = "null" if value is None else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _walked(model: type[BaseModel], place: Place) -> tuple[Place, list[str]]:
    """A place as it stands in a document, and the keys that are known in the last table on the way.

    pydantic also counts the kind of a table as a part of the way, and says of a bad key that it is one.
    """
    way: list[int | str] = []
    here: Any = model
    keys: list[str] = []
    for part in place:
        models = list(_models(here))
        keys = [key for one in models for key in one.model_fields] or keys
        kind = next((one for one in models if part not in one.model_fields and part in _kinds(one)), None)
        if kind is not None:
            here = kind
        elif part != "[key]":
            way.append(part)
            here = next((one.model_fields[part].annotation for one in models if part in one.model_fields), _item(here))
    return tuple(way), keys


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The kinds of tables that may stand there."""
    if isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Annotated, Union, UnionType):
        for one in get_args(annotation):
            yield from _models(one)


def _kinds(model: type[BaseModel]) -> set[object]:
    """The words by which a table is known to be of this kind."""
    annotations = [field.annotation for field in model.model_fields.values()]
    return {word for it in annotations if get_origin(it) is Literal for word in get_args(it)}


def _item(annotation: Any) -> Any:
    """What the items are of a list, or of a table with keys of one's own."""
    items = [it for it in get_args(annotation) if it is not Ellipsis]
    return items[-1] if items else None
