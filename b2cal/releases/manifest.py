"""`release.toml`: what a release is called, who interprets it, its filter vocabulary, step and kind of each script."""

import os
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from b2cal.calibration.job import REPRODUCIBLE
from b2cal.core.errors import sentence
from b2cal.model import Kind, Step
from b2cal.refusal import explained, spelled

from .errors import ReleaseRefused

FILE = "release.toml"

_Name = Annotated[str, Field(min_length=1, max_length=64)]
_Value = Annotated[str, Field(max_length=8192)]

_OURS = ("B2CAL_", "XRD_")
_SET_FOR_EACH_JOB = {*REPRODUCIBLE, "PYTHONPATH"}


class _Part(BaseModel):
    """A key that nobody knows is refused, so that a slip of the pen is seen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Entry(_Part):
    """One script of the release."""

    script: Annotated[str, Field(max_length=128)]
    step: Step
    kind: Kind = Kind.CALIBRATE


class Manifest(_Part):
    """The whole file.

    Attributes:
        interpreter: absolute; empty: the one that runs b2cal, whichever that is after an upgrade.
        environment: what the scripts find set, in jobs and when they are looked through.
    """

    name: _Name
    interpreter: str = ""
    environment: dict[_Name, _Value] = {}
    vocabulary: dict[_Name, list[Annotated[str, Field(max_length=128)]]] = {}
    definition: Annotated[tuple[Entry, ...], Field(min_length=1)]


def read_manifest(folder: Path) -> Manifest:
    """Read and check the `release.toml` of a release.

    Raises:
        ReleaseRefused: with everything that is wrong.
    """
    try:
        manifest = Manifest.model_validate(tomllib.loads((folder / FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        problems = [f"There is no {FILE} in the folder. Write one: name, vocabulary, and a [[definition]] per script."]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems = [f"{FILE} is not valid TOML: {error}."]
    except ValidationError as error:
        problems = [sentence(f"{FILE}, {spelled(place)} {what}") for place, what in explained(error, Manifest)]
    else:
        problems = _problems(manifest, folder)
        if not problems:
            return manifest
    raise ReleaseRefused("The release", problems, hint=f"Correct {FILE} and try again.")


def _problems(manifest: Manifest, folder: Path) -> list[str]:
    problems = []
    interpreter = Path(manifest.interpreter)
    runs = interpreter.is_absolute() and interpreter.is_file() and os.access(interpreter, os.X_OK)
    if manifest.interpreter and not runs:
        problems.append(f"{FILE}: the interpreter {interpreter} is not the absolute path of a program on this machine.")
    for name, value in manifest.environment.items():
        if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) or "\0" in value:
            problems.append(f"{FILE}, environment: {name!r} is no variable: letters, digits and _, and no null in it.")
        elif name in _SET_FOR_EACH_JOB or name.startswith(_OURS):
            problems.append(f"{FILE}, environment: {name} is set by b2cal for each job; take it out.")
    for script, count in Counter(entry.script for entry in manifest.definition).items():
        if not script.isidentifier():
            problems.append(f"{FILE}: {script!r} cannot be imported; a script is given by the name of its module.")
        elif not (folder / f"{script}.py").is_file():
            problems.append(f"{FILE} names the script {script!r}, but there is no file {script}.py in the folder.")
        if count > 1:
            problems.append(f"{FILE} names the script {script!r} {count} times; keep one.")
    return problems
