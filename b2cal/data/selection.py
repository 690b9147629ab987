"""Which runs and streams an expert wants: the selection of a submission, and what can be wrong with it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from b2cal import releases
from b2cal.core.errors import B2calError
from b2cal.core.iov import ExpRun, InvalidIoV, IoV

_KEYS = ("filters", "exclude", "only")


class InvalidSelection(B2calError):
    """A selection has another form than b2cal writes; `selection_problems` says so before it is stored."""


@dataclass(frozen=True)
class Selection:
    """A choice of runs.

    Its JSON is `{"filters": {data name: [values]}, "exclude": ["e26r180"], "only": ["e26r181"]}`, where `exclude` and
    `only` may be left out.

    Attributes:
        filters: by data name, what to ask of runs and streams.
        exclude: numbers of runs that are left out.
        only: numbers of the only runs that may be taken; None leaves it to the filters.
    """

    filters: Mapping[str, tuple[str, ...]]
    exclude: frozenset[int]
    only: frozenset[int] | None

    def bars(self, exprun: int) -> str:
        """Why a run is left out whatever its attributes are; empty if it is not."""
        if exprun in self.exclude:
            return "excluded by the selection"
        if self.only is not None and exprun not in self.only:
            return "not among the runs that the selection names"
        return ""

    def last_run(self, last: int) -> int:
        """The last run up to `last` that may be taken; -1 if none may."""
        if self.only is not None:
            return max((exprun for exprun in self.only - self.exclude if exprun <= last), default=-1)
        while last in self.exclude:
            last -= 1
        return last

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form.

        Raises:
            InvalidSelection: it has another form.
        """
        try:
            only = value.get("only")
            return cls(
                {str(name): tuple(map(str, filters)) for name, filters in value.get("filters", {}).items()},
                _runs(value.get("exclude", [])),
                None if only is None else _runs(only),
            )
        except (TypeError, AttributeError, InvalidIoV) as error:
            raise InvalidSelection(f"{value!r} is no selection: {error}", hint="See b2cal.data.Selection.") from error


def default_selection(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The selection that a definition declares; its filters are empty if it declares none."""
    return {"filters": settings["input_data_filters"]}


def selection_problems(
    vocabulary: releases.Vocabulary, settings: Mapping[str, Any], selection: Any, within: IoV
) -> list[str]:
    """What is wrong with a selection for a definition, one sentence each.

    Args:
        vocabulary: of the release.
        settings: of the definition, as they stand in the database.
        selection: what somebody gave for its JSON form.
        within: the run range of the processing; a run outside of it is a slip of the pen.
    """
    if not isinstance(selection, dict):
        return [f"A selection is an object with {', '.join(_KEYS)}."]
    unknown = sorted(set(selection) - set(_KEYS))
    if unknown:
        return [f"A selection has no {', '.join(unknown)}; it has {', '.join(_KEYS)}."]
    return [
        *_filter_problems(vocabulary, sorted(settings["input_data_names"]), selection.get("filters", {})),
        *_run_problems(selection, within),
    ]


@dataclass(frozen=True)
class Reader:
    """One data name of a calibration with its filters.

    The stream of a file is its Data Tag.

    Attributes:
        data_name: the name in the calibration's settings.
        asked_of_runs: what every category but Data Tag must fulfil.
        streams: what it reads.
    """

    data_name: str
    asked_of_runs: tuple[releases.Asked, ...]
    streams: frozenset[str]

    @classmethod
    def of(cls, vocabulary: releases.Vocabulary, data_name: str, filters: Sequence[str]) -> Self:
        asked = releases.asked_for(vocabulary, filters)
        of_runs = tuple(one for one in asked if one.category != releases.DATA_TAG)
        return cls(data_name, of_runs, releases.streams_of(vocabulary, data_name, filters))

    def objection(self, attributes: Mapping[str, Sequence[str]]) -> str:
        """Why a run with these attributes is left out: "magnet is Off, asked for On"; empty if it is not."""
        return " and ".join(
            f"{asked.category.lower()} is {_listed(attributes.get(asked.category, ()))}, asked for {asked}"
            for asked in self.asked_of_runs
            if not asked.fits(attributes.get(asked.category, ()))
        )


def _filter_problems(vocabulary: releases.Vocabulary, names: list[str], filters: Any) -> list[str]:
    if not isinstance(filters, dict) or not all(_is_list_of_texts(values) for values in filters.values()):
        return ["The filters of a selection are a list of texts for each data name."]
    if not filters:
        return [f"No filters are given for {', '.join(names)}: the manager must give a selection."]
    if sorted(filters) != names:
        return [f"The filters are for {', '.join(sorted(filters))}, but the calibration reads {', '.join(names)}."]
    return [f"{name} {problem}" for name in names for problem in releases.filter_problems(vocabulary, filters[name])]


def _run_problems(selection: Mapping[str, Any], within: IoV) -> list[str]:
    chosen: dict[str, set[int]] = {}
    for key in ("exclude", "only"):
        texts = selection.get(key)
        if texts is None:
            continue
        if not _is_list_of_texts(texts):
            return [f"{key} must be a list of runs such as e26r180."]
        try:
            chosen[key] = set(_runs(texts))
        except InvalidIoV as error:
            return [f"{key}: {error} {error.hint}"]
    named = map(ExpRun.from_number, sorted(set().union(*chosen.values())))
    outside = [run for run in named if not within.contains(run)]
    if outside:
        return [f"The runs of the processing are {within}; not among them: {', '.join(map(str, outside))}."]
    if "only" not in chosen:
        return []
    if not chosen["only"] - chosen.get("exclude", set()):
        return ["No run is left: those in only are none, or all of them stand in exclude."]
    return []


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _runs(texts: Collection[str]) -> frozenset[int]:
    return frozenset(ExpRun.parse(text).number for text in texts)


def _listed(values: Sequence[str]) -> str:
    return " and ".join(map(releases.shown, values)) or "not known"
