"""What a release's scripts say about themselves, as far as their process lets them."""

import re
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from b2cal.core import confined
from b2cal.core.errors import B2calError, sentence
from b2cal.model import DataFormat, Kind
from b2cal.refusal import explained, spelled

from .manifest import Manifest

_OUTPUT_BYTES = 16_000_000
_HINT = "Import the scripts by hand in this interpreter, one after the other."
_SHIPPED = ("core", "calibration")
_FRAME = re.compile(r'File "(?P<path>.+)", line (?P<line>\d+)')

_Name = Annotated[str, Field(min_length=1, max_length=64)]
_Label = Annotated[str, Field(min_length=1, max_length=128)]


class CannotDescribe(B2calError):
    """The release's interpreter gave no description: it is broken, or a script took it down."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Settings(_Part):
    """CalibrationSettings as JSON. A script may have forged it, so nothing is taken on trust."""

    name: _Name
    expert_username: _Name
    description: str
    input_data_formats: Annotated[list[DataFormat], Field(min_length=1)]
    input_data_names: Annotated[list[_Name], Field(min_length=1)]
    input_data_filters: dict[str, list[str]]
    depends_on: list[str]
    expert_config: dict[str, Any]
    subsystem: str | None
    produced_payloads: list[_Label] | None


class Described(_Part):
    """One script; `settings` is None if it could not be imported, for the reason in `error`."""

    script: str
    imports: list[str] = []
    error: str | None = None
    hint: str = ""
    settings: Settings | None = None
    kind: Kind = Kind.COPY
    produced_payloads: list[_Label] = []
    expert_config_schema: Any = None
    tree: str = ""
    branches: dict[str, list[str]] = {}
    strategy: str = ""
    max_iterations: Annotated[int, Field(ge=1)] = 1
    limits: dict[str, dict[str, Any]] = {}
    carried_over: list[str] = []


class _Document(_Part):
    scripts: list[Described]


def describe(folder: Path, manifest: Manifest, time_limit_s: float) -> list[Described]:
    """Let the release's interpreter import all scripts and tell about them, in the order of `release.toml`.

    Raises:
        CannotDescribe: it did not end in time, died, or told something else.
    """
    folder = folder.resolve()
    interpreter = manifest.interpreter or sys.executable
    with tempfile.TemporaryDirectory(prefix="b2cal-describe-") as scratch:
        ended = confined.run(
            [interpreter, "-m", "b2cal.calibration.describe", str(folder)],
            folder=Path(scratch),
            environment=_environment(Path(scratch), Path(interpreter), manifest.environment),
            limits=confined.Limits(time_limit_s, output_bytes=_OUTPUT_BYTES),
        )
    place = _place(ended.errors, folder)
    if not ended.in_time:
        raise CannotDescribe(
            f"{place or 'A script'} did not come to its end within {time_limit_s:g} s of being imported.",
            hint="A script only declares; what takes time belongs into collect or fit.",
        )
    if ended.too_much:
        raise CannotDescribe(f"The scripts wrote more than {_OUTPUT_BYTES:,} bytes.", hint="Make settings smaller.")
    try:
        described = _Document.model_validate_json(ended.output).scripts
    except ValidationError as error:
        raise _no_description(ended, place, error, manifest) from error
    if [script.script for script in described] != [entry.script for entry in manifest.definition]:
        raise CannotDescribe("The scripts that were described are not those of release.toml.", hint=_HINT)
    return described


def _environment(scratch: Path, interpreter: Path, own: Mapping[str, str]) -> dict[str, str]:
    """The release's own variables, and of b2cal's all that a script may see: what ships with a job, and no secret."""
    package = scratch / "shipped" / "b2cal"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for room in _SHIPPED:
        (package / room).symlink_to(Path(__file__).parents[1] / room)
    return {
        "PATH": f"{interpreter.parent}:/usr/local/bin:/usr/bin:/bin",
        **own,
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(package.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONFAULTHANDLER": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _place(errors: str, folder: Path) -> str:
    """The line of the release in which the process was, "time_offsets.py, line 12", if Python wrote it down."""
    for frame in _FRAME.finditer(errors):
        path = Path(frame["path"])
        if path.is_relative_to(folder):
            return f"{path.relative_to(folder)}, line {frame['line']}"
    return ""


def _no_description(ended: confined.Ended, place: str, error: ValidationError, manifest: Manifest) -> CannotDescribe:
    if ended.code < 0:
        says = f"The interpreter died of {signal.Signals(-ended.code).name}{place and f' in {place}'}."
    elif ended.code > 0:
        last = ended.errors.strip().splitlines()[-1:] or ["no message"]
        says = f"The interpreter ended with exit code {ended.code}: {last[0]}."
    elif not ended.output:
        says = "A script ended its interpreter when it was imported."
    else:
        return _unusable(error, manifest)
    return CannotDescribe(says, hint=_HINT)


def _unusable(error: ValidationError, manifest: Manifest) -> CannotDescribe:
    (place, what), *_ = explained(error, _Document)
    match place:
        case ("scripts", int(index), *inside) if index < len(manifest.definition):
            script = f"{manifest.definition[index].script}.py"
            where = " ".join(filter(None, [spelled(tuple(inside)), what]))
            return CannotDescribe(sentence(f"{script}: {where}"), hint=f"Correct it in {script}.")
        case _:
            where = " ".join(filter(None, [spelled(place), what]))
            return CannotDescribe(sentence(f"What the scripts' process told cannot be used: {where}"), hint=_HINT)
