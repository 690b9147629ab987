"""`b2cal settings`: all settings with default, range and meaning, from the model that reads them."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from b2cal import loop
from b2cal.settings import LONGEST_S, Door, RetryRule, Settings

from .desk import Desk, pass_desk

RULES_WORD = "tables of rules"

_KINDS = {
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    dict[str, str]: "texts by name",
    tuple[str, ...]: "texts",
    tuple[Door, ...]: "addresses `root://host:1094//folder`",
    tuple[RetryRule, ...]: RULES_WORD,
}
_BOUNDS = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}


@dataclass(frozen=True)
class Setting:
    """One setting, in words."""

    setting: str
    default: str
    may_be: str
    meaning: str


@dataclass(frozen=True)
class Part:
    """A section of the settings, or one kind of a section; the first has no name."""

    name: str
    about: str
    settings: tuple[Setting, ...]


@click.command()
@click.argument("section", required=False)
@pass_desk
def settings(desk: Desk, section: str | None) -> None:
    """List all settings, or those of SECTION, with default, range and meaning.

    A setting comes from the environment (site.port is B2CAL_SITE__PORT), else from b2cal.toml in this folder (port
    under [site]), else it has its default. Centres have names of your choice: NAME.
    """
    parts = [part for part in described() if section in (None, part.name.partition(".")[0])]
    if not parts:
        known = ", ".join(dict.fromkeys(part.name.partition(".")[0] for part in described() if part.name))
        raise loop.NotFound(f"There is no section {section} of the settings.", hint=f"There are: {known}.")

    def human() -> None:
        for part in parts:
            title = f"{part.name}: {part.about}" if part.name else "Settings"
            rows = [(it.setting, it.default, it.may_be, it.meaning) for it in part.settings]
            desk.table(title, ("Setting", "Default", "May be", "Meaning"), rows)

    desk.show([asdict(it) for part in parts for it in part.settings], human)


def described() -> Iterator[Part]:
    """Every setting, section by section."""
    return _parts(Settings, "", "")


def _parts(model: type[BaseModel], part: str, about: str) -> Iterator[Part]:
    prefix = f"{part}." if part else ""
    plain = {name: field for name, field in model.model_fields.items() if not _sections_of(field)}
    rows = (
        Setting(f"{prefix}{name}", _default(name, field), _allowed(field), field.description or "")
        for name, field in plain.items()
    )
    yield Part(part, about, tuple(rows))
    for name, field in model.model_fields.items():
        below = name if field.annotation in (inners := _sections_of(field)) else f"{name}.NAME"
        for inner in inners:
            yield from _parts(inner, f"{prefix}{below}", (inner.__doc__ or "").strip())


def _sections_of(field: FieldInfo) -> list[type[BaseModel]]:
    """The section that a setting is, or the kinds of section of which it gives each a name."""
    kind: object = field.annotation
    if get_origin(kind) is tuple:
        return []
    if get_origin(kind) is dict:
        kind = get_args(kind)[1]
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return [each for each in (get_args(kind) or (kind,)) if isinstance(each, type) and issubclass(each, BaseModel)]


def _default(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    value = int(field.default) if isinstance(field.default, float) and field.default.is_integer() else field.default
    written = f"`{json.dumps(value, default=str)}`"
    if not name.endswith("_s") or value < 60:
        return written
    return f"{written} ({loop.spoken(timedelta(seconds=value)).removesuffix(' 00')})"


def _allowed(field: FieldInfo) -> str:
    bounds = [
        f"{words} {getattr(limit, bound)}"
        for limit in field.metadata or _of_each(field)
        for bound, words in _BOUNDS.items()
        if getattr(limit, bound, None) not in (None, LONGEST_S)
    ]
    if get_origin(field.annotation) is Literal:
        return " or ".join(f"`{json.dumps(word)}`" for word in get_args(field.annotation))
    return ", ".join([_KINDS.get(field.annotation, "numbers"), *bounds])  # type: ignore[arg-type]


def _of_each(field: FieldInfo) -> Iterator[object]:
    """The limits of the numbers of a list."""
    for part in get_args(field.annotation):
        yield from (limit for told in getattr(part, "__metadata__", ()) for limit in getattr(told, "metadata", ()))
