"""JSON that people wrote."""

import json
from collections.abc import Mapping
from typing import Any

MOST_LEVELS = 64
"""Deeper than anything that a person nests, and far from where Python's own recursion ends."""


def parsed(text: str) -> Any:
    """The value that a text stands for.

    Raises:
        ValueError: it is no JSON, or nobody can have meant to nest it so deep.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if levels(value) > MOST_LEVELS:
        raise ValueError(_TOO_DEEP)
    return value


def levels(value: Any) -> int:
    """How deep lists and objects are nested: 0 for a number, 1 for a list of numbers."""
    depth, level = 0, [value]
    while containers := [each for each in level if isinstance(each, (Mapping, list))]:
        level = [inner for each in containers for inner in (each.values() if isinstance(each, Mapping) else each)]
        depth += 1
    return depth


_TOO_DEEP = f"it is nested more than {MOST_LEVELS} levels deep"
