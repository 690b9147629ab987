"""What a calibration script says about itself. Standard library only.

Fields, order and checks are those of Belle II's `prompt.CalibrationSettings`, so its scripts read the same here.
Whether a filter value is known depends on the release's vocabulary and is checked when the release is added.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from b2cal.core.errors import B2calError

DATA_FORMATS = frozenset({"raw", "cdst", "mdst", "udst"})
MAX_NAME_LENGTH = 64


class InvalidSettings(B2calError, ValueError, TypeError):
    """The settings contradict themselves. Both a ValueError and a TypeError: Belle II's class raises either."""


@dataclass(frozen=True, eq=False, init=False)
class CalibrationSettings:
    """One calibration as its script declares it; nothing of it can be changed afterwards.

    Attributes:
        name: what it is called everywhere; up to 64 characters, unique in a release.
        expert_username: its contact and first responsible.
        description: for people; nearly always the script's docstring.
        input_data_formats: which of raw, cdst, mdst, udst it reads.
        input_data_names: the streams that it reads, for instance "hadron".
        input_data_filters: by stream, the values that choose its runs: values of one category are alternatives,
            "NOT x" excludes. Empty: the calibration cannot be submitted automatically.
        depends_on: settings of the calibrations whose constants it reads.
        expert_config: what the expert may tune, with defaults; any JSON object.
        subsystem: the part of the detector that it belongs to.
        produced_payloads: names of the payloads that it makes; None: one, named like the script's class.
    """

    name: str
    expert_username: str
    description: str
    input_data_formats: frozenset[str]
    input_data_names: frozenset[str]
    input_data_filters: Mapping[str, Sequence[str]]
    depends_on: tuple["CalibrationSettings", ...]
    subsystem: str | None
    produced_payloads: tuple[str, ...] | None

    def __init__(
        self,
        name: str,
        expert_username: str,
        description: str,
        input_data_formats: Iterable[str],
        input_data_names: Iterable[str],
        input_data_filters: Mapping[str, Iterable[str]] | None = None,
        depends_on: Iterable["CalibrationSettings"] | None = None,
        expert_config: Mapping[str, Any] | None = None,
        *,
        subsystem: str | None = None,
        produced_payloads: Iterable[str] | None = None,
    ) -> None:
        """Take the fields as a script writes them.

        Raises:
            InvalidSettings: the first thing that is wrong.
        """
        if not 0 < len(name) <= MAX_NAME_LENGTH:
            raise InvalidSettings(f"The name {name!r} must have 1 to {MAX_NAME_LENGTH} characters, not {len(name)}.")
        names = frozenset(_texts("input_data_names", input_data_names))
        if not names:
            raise InvalidSettings(f"{name!r} must name at least one of input_data_names.")
        vars(self).update(  # the class is frozen: this is the one place that may write
            name=name,
            expert_username=expert_username,
            description=description,
            input_data_formats=_formats(name, input_data_formats),
            input_data_names=names,
            input_data_filters=_filters(name, input_data_filters or {}, names),
            depends_on=_dependencies(name, depends_on or ()),
            subsystem=subsystem,
            produced_payloads=None if produced_payloads is None else _texts("produced_payloads", produced_payloads),
            _expert_config=_json_object(name, expert_config if expert_config is not None else {}),
        )

    @property
    def expert_config(self) -> dict[str, Any]:
        """The defaults, as a copy of one's own."""
        return dict(json.loads(vars(self)["_expert_config"]))

    def to_json(self) -> dict[str, Any]:
        """All fields as plain JSON: sets as sorted lists, depends_on as names."""
        return {
            "name": self.name,
            "expert_username": self.expert_username,
            "description": self.description,
            "input_data_formats": sorted(self.input_data_formats),
            "input_data_names": sorted(self.input_data_names),
            "input_data_filters": {name: list(values) for name, values in self.input_data_filters.items()},
            "depends_on": [other.name for other in self.depends_on],
            "expert_config": self.expert_config,
            "subsystem": self.subsystem,
            "produced_payloads": None if self.produced_payloads is None else list(self.produced_payloads),
        }


def _texts(field: str, values: Iterable[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise InvalidSettings(f"{field} must be a list, not the text {values!r}.", hint=f"Write [{values!r}].")
    return tuple(values)


def _formats(name: str, formats: Iterable[str]) -> frozenset[str]:
    lower = frozenset(value.lower() for value in _texts("input_data_formats", formats))
    if not lower:
        raise InvalidSettings(f"{name!r} must name at least one of input_data_formats.")
    if unknown := lower - DATA_FORMATS:
        raise InvalidSettings(
            f"{name!r} names the unknown input_data_formats {', '.join(sorted(unknown))}.",
            hint=f"Known are {', '.join(sorted(DATA_FORMATS))}.",
        )
    return lower


def _filters(name: str, filters: Mapping[str, Iterable[str]], names: frozenset[str]) -> Mapping[str, tuple[str, ...]]:
    if filters and filters.keys() != names:
        raise InvalidSettings(
            f"input_data_filters of {name!r} are for {', '.join(sorted(filters))},"
            f" its input_data_names are {', '.join(sorted(names))}.",
            hint="Give one list of filters for each of input_data_names, or none at all.",
        )
    return MappingProxyType({key: _texts(f"input_data_filters[{key!r}]", values) for key, values in filters.items()})


def _dependencies(name: str, depends_on: Iterable[Any]) -> tuple[CalibrationSettings, ...]:
    others = tuple(depends_on)
    for other in others:
        if not isinstance(other, CalibrationSettings):
            raise InvalidSettings(
                f"depends_on of {name!r} must be a list of CalibrationSettings; {other!r} is none.",
                hint="Import the other script and give its settings: depends_on=[alignment.settings].",
            )
    return others


def _json_object(name: str, config: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(config), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidSettings(
            f"expert_config of {name!r} cannot be written as JSON: {error}.",
            hint="Use numbers, texts, booleans, None, lists and dictionaries with texts as keys; no NaN.",
        ) from error
