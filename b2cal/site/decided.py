"""What is kept with a decision, in words."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from b2cal.core.iov import ExpRun

from .desk import reader

_LONGEST = 120


def facts(details: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    """The facts of a decision as short phrases: `submission 2`, `iterations = 7`, `until 22:00 JST`."""
    phrases = []
    for key, value in details.items():
        if value is not None:
            phrases += _WORDS[key](value, names) if key in _WORDS else [f"{key.replace('_', ' ')} {_json(value)}"]
    return [phrase if len(phrase) <= _LONGEST else f"{phrase[: _LONGEST - 1]}…" for phrase in phrases]


def _changes(value: Any, _names: Mapping[str, str]) -> list[str]:
    """Of a submission: keys with their values. Of a publication: how many payloads; a page of its own tells which."""
    if isinstance(value, Mapping):
        return [f"{key} = {_json(new)}" for key, new in value.items()]
    return [_counted(len(value), "payload")]


def _people(value: Any, names: Mapping[str, str]) -> list[str]:
    return [" → ".join(names.get(name, name) for name in value)]


def _until(value: Any, _names: Mapping[str, str]) -> list[str]:
    return [f"until {reader().plain(datetime.fromisoformat(value))}"]


def _selection(value: Any, _names: Mapping[str, str]) -> list[str]:
    words = {"exclude": "without", "only": "only"}
    runs = [f"{word} {', '.join(value[key])}" for key, word in words.items() if value.get(key)]
    filters = [f"{name}: {', '.join(asked) or 'everything'}" for name, asked in value["filters"].items()]
    return [*runs, *filters]


def _shortage(value: Any, _names: Mapping[str, str]) -> list[str]:
    places = [f"{name} in {ExpRun.from_number(run)}" for run, name, _ in value["events"]]
    more = f" and {len(places) - 1:,} more" if len(places) > 1 else ""
    newest = value["newest_run"]
    return [
        *([f"not all events of {places[0]}{more}"] if places else []),
        *([f"no run known after {ExpRun.from_number(newest)}"] if newest else []),
    ]


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_WORDS: dict[str, Callable[[Any, Mapping[str, str]], list[str]]] = {
    "changes": _changes,
    "selection": _selection,
    "expert": _people,
    "manager": _people,
    "deputy": lambda change, names: [f"deputy {names.get(change[1], change[1]) or 'nobody'}"],
    "origin": lambda origin, _names: [f"from {origin}"],
    "instead_of": lambda number, _names: [f"in the place of attempt {number}"],
    "payloads": lambda payloads, _names: [_counted(len(payloads), "payload")],
    "window_ends_at": _until,
    "shortage": _shortage,
    "outage": lambda _period, _names: [],  # the reason tells it
    "carried_over": lambda value, _names: [f"{key} as in {of}" for key, of in value.items()],
    "fallback_tag": lambda tag, _names: [f"constants of {tag} stand in"],
    "files": lambda number, _names: [_counted(number, "file")],
    "reads": lambda number, _names: [f"{_counted(number, 'payload')} read"],
    "groups_cancelled": lambda number, _names: [f"{_counted(number, 'group')} of jobs cancelled"] if number else [],
}
