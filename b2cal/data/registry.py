"""The run registry beside the data: `runs.json`."""

import json
from collections import Counter
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from b2cal.core.errors import B2calError, sentence
from b2cal.core.iov import END_OF_EXPERIMENT, ExpRun
from b2cal.refusal import explained, spelled

from .shelf import Shelf

FILE = "runs.json"

_Count = Annotated[int, Field(ge=0, lt=2**63)]


class RegistryRefused(B2calError):
    """The run registry is missing, incomplete or contradicts itself. Nothing of the scan was kept."""


class RunEntry(BaseModel):
    """One run. `expected` tells how many events of each stream should arrive."""

    model_config = ConfigDict(frozen=True, strict=True)

    exp: Annotated[int, Field(ge=0, lt=2**31 - 1)]
    run: Annotated[int, Field(ge=0, lt=END_OF_EXPERIMENT)]
    started: AwareDatetime
    duration_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    n_events: _Count
    attributes: dict[str, list[str]]
    expected: dict[str, _Count]

    @property
    def exprun(self) -> int:
        """The run's number."""
        return ExpRun(self.exp, self.run).number


def read_registry(folder: Shelf) -> list[RunEntry]:
    """Read the `runs.json` of a folder.

    Raises:
        RegistryRefused: it is missing, or an entry of it is wrong; names the entry.
    """
    path = f"{folder.name.rstrip('/')}/{FILE}"
    try:
        text = folder.read(FILE)
    except FileNotFoundError as error:
        raise RegistryRefused(
            f"There is no run registry {path}.", hint="Give the folder that holds runs.json beside the data files."
        ) from error
    except OSError as error:
        raise RegistryRefused(f"{path} cannot be read: {error.strerror}.", hint="Make it readable.") from error
    try:
        entries = TypeAdapter(list[RunEntry]).validate_json(text)
    except ValidationError as error:
        raise RegistryRefused(
            sentence(f"{path}{_first_problem(text, error)}"), hint="Correct it and scan again."
        ) from error
    _check_consistent(path, entries)
    return entries


def _check_consistent(path: str, entries: list[RunEntry]) -> None:
    for exprun, count in Counter(entry.exprun for entry in entries).items():
        if count > 1:
            raise RegistryRefused(
                f"{path}: {ExpRun.from_number(exprun)} stands there {count} times.", hint="Keep the entry that is true."
            )
    for entry in entries:
        for stream, n_events in entry.expected.items():
            if n_events > entry.n_events:
                raise RegistryRefused(
                    f"{path}: {ExpRun.from_number(entry.exprun)} expects {n_events:,} events of {stream},"
                    f" but the run has only {entry.n_events:,}.",
                    hint="Correct n_events or expected of this entry.",
                )


def _first_problem(text: bytes, error: ValidationError) -> str:
    (place, what), *more = explained(error, RunEntry)
    others = f"; {len(more):,} more of the registry cannot be used" if more else ""
    match place:
        case (int(index), *inside):
            where = f"entry {index + 1}{_run_of(text, index)}"
            return f": {', '.join(filter(None, [where, spelled(tuple(inside))]))} {what}{others}"
        case _:
            return f" {what}"


def _run_of(text: bytes, index: int) -> str:
    """Which run an entry that does not validate is about, as far as it can be told."""
    entry: Any = json.loads(text)[index]
    try:
        return f" ({ExpRun(entry['exp'], entry['run'])})"
    except (KeyError, TypeError, B2calError):
        return ""
