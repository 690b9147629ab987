"""Why something that a person wrote is refused, in words for people."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from inspect import isclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

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


def suggestion(word: str, known: Sequence[str]) -> str:
    """The end of a sentence about a word that nobody knows, without its full stop: `did you mean 'window'?`."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"


def explained(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """The place of each thing that a model refuses, and what is wrong there, without its full stop.

    Unknown keys come first: as a rule something else is missing because of them.
    """
    details = error.errors(include_url=False)
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
        return f"{_WANTED[kind].format(**context)}, not {detail['input']!r}"
    return f"cannot be used: {str(detail['msg']).removesuffix('.')}"


def _known(model: type[BaseModel], place: Sequence[int | str]) -> list[str]:
    """The keys that there are at a place in a model."""
    for part in place:
        if isinstance(part, str):
            annotation = model.model_fields[part].annotation
            model = next(it for it in (annotation, *get_args(annotation)) if isclass(it) and issubclass(it, BaseModel))
    return list(model.model_fields)
