"""The folders of jobs: one for each try, made whole before the batch system hears of it."""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import b2cal
from b2cal.calibration.job import SHARED
from b2cal.core.checksums import digest, sha256_file
from b2cal.core.errors import B2calError
from b2cal.core.files import put_folder
from b2cal.core.ids import new_token
from b2cal.settings import Settings

from .sandbox import lay_out, shared

_STAGE = "b2cal.calibration.stage"
_PACKAGE = Path(b2cal.__file__).parent
_SHIPPED = ("core", "calibration")
_VERSION = "version"
_FIRST_TRY = "1"
_GOLDEN = 0.6180339887498949
"""Its multiples, without their whole parts, lie evenly between 0 and 1, from whichever one begins."""


class CannotPrepare(B2calError):
    """The folders of a group could not be made; nothing is left of them."""


@dataclass(frozen=True)
class Code:
    """The code that the jobs of an attempt run: version of b2cal, and a hash over names and contents of its modules."""

    version: str
    digest: str


@dataclass(frozen=True)
class PlannedGroup:
    """What the folders of a group are made from.

    Attributes:
        name: for people who look at the batch system.
        interpreter: the Python of its release; empty: the one that runs b2cal.
        spec: what the jobs share of job.json.
        parts: what each has of its own, by number.
        memory_mb: what each asks for, by number, where that is not the usual.
        raced: what the batch system calls the jobs that they race, by number, where they race one.
        doors: of the storage at the centre where they run, in order.
        output: where productions bring their files, behind one of the doors; empty: they leave them in their folders.
        place: a folder in there that is the attempt's alone.
        open_spread_s: their first opening behind doors is spread over this time.
        environment: what they must find set.
        credentials: files by which they prove who they are, by the variable that names each.
    """

    name: str
    attempt_id: int
    stage: str
    iteration: int
    round: int
    interpreter: str
    spec: Mapping[str, Any]
    parts: Mapping[int, Mapping[str, Any]]
    memory_mb: Mapping[int, int] = field(default_factory=dict)
    raced: Mapping[int, str] = field(default_factory=dict)
    doors: Sequence[str] = ()
    output: str = ""
    place: str = ""
    open_spread_s: float = 0.0
    environment: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict)

    def at(self, centre: str, settings: Settings) -> Self:
        """The same as it runs at a centre: by its Python, through its doors, with what must be set there."""
        storage = settings.storages[centre]
        return replace(
            self,
            interpreter=settings.interpreter(centre) or self.interpreter,
            doors=storage.doors,
            environment={**self.environment, **storage.environment},
            credentials=storage.job_credentials,
        )

    def folder(self, epoch: int) -> str:
        """Where the jobs of this epoch live, below the attempts folder."""
        return f"{self.attempt_id}/{self.stage}-{self.iteration}/r{self.round}e{epoch}"

    def job_folder(self, epoch: int, number: int) -> str:
        """Where one job lives: its first try. A batch system that tries again by itself counts on."""
        return f"{self.folder(epoch)}/{number}/{_FIRST_TRY}"

    def storage(self, number: int) -> dict[str, Any]:
        """What a job's part of job.json says of the storage; its place in the output is the same in all rounds."""
        output = [self.output, f"{self.place}/{self.stage}-{self.iteration}/{number}"]
        wait = round(self.open_spread_s * (number * _GOLDEN % 1), 2)
        return {
            "doors": self.doors,
            **({"output": output} if self.output else {}),
            **({"opens_after_s": wait} if self.open_spread_s else {}),
        }


def prepare(attempts: Path, group: PlannedGroup, epoch: int) -> None:
    """Make the folder of every job of the group: job.json, wrapper.json, the wrapper, and the way to what they share.

    They are whole on the disk before anybody can find them: the batch system remembers the group after a power cut, and
    what it starts then must be there.

    Raises:
        CannotPrepare: the disk is full, or not writable.
    """
    target = attempts / group.folder(epoch)
    half = target.with_name(f"{target.name}.{new_token()}.tmp")
    try:
        code = ship_code(attempts / str(group.attempt_id))
        spec, places = shared(group.spec, code)
        lay_out(half / SHARED, places)
        command = {
            "command": [group.interpreter or sys.executable, "-P", "-m", _STAGE],
            "env": {**group.environment, "PYTHONPATH": f"{SHARED}/code"},
            "credentials": group.credentials,
        }
        alike = half / "wrapper.json"
        alike.write_text(json.dumps(command))
        wanted, wrapper = target / SHARED, code / "b2cal/calibration/job.py"
        for number, part in group.parts.items():
            tries = half / str(number)
            tries.mkdir()
            folder = tries / _FIRST_TRY
            folder.mkdir()
            (folder / SHARED).symlink_to(wanted)  # whole, so that a copy of the folder finds it too
            (folder / "job.json").write_text(json.dumps({**spec, **part, **group.storage(number)}, allow_nan=False))
            (folder / "wrapper.json").hardlink_to(alike)  # one file under ten thousand names
            (folder / "job.py").hardlink_to(wrapper)
        alike.unlink()
        put_folder(half, target)
    except OSError as error:
        shutil.rmtree(half, ignore_errors=True)
        raise CannotPrepare(
            f"The folders of the jobs cannot be made in {target}: {_reason(error)}.",
            hint=f"Make room in {attempts} or make it writable for this user; it is tried again by itself.",
        ) from error


def _reason(error: OSError) -> str:
    # Copying a tree gathers what went wrong file by file: (source, target, text).
    return error.args[0][0][2] if isinstance(error, shutil.Error) else str(error.strerror)


def ship_code(attempt: Path) -> Path:
    """The code that an attempt's jobs run, copied once: an upgrade in between does not change a running attempt.

    It is flushed to the disk: whoever finds the folder later, after a power cut too, takes it as whole.

    Raises:
        OSError: it cannot be copied; nothing is left.
    """
    code = attempt / "code"
    if code.is_dir():
        return code
    half = attempt / f"code.{new_token()}.tmp"
    try:
        for room in _SHIPPED:
            shutil.copytree(_PACKAGE / room, half / "b2cal" / room, ignore=shutil.ignore_patterns("__pycache__"))
        # Without it the installed b2cal would be imported instead: a package goes before a mere folder.
        (half / "b2cal" / "__init__.py").touch()
        (half / _VERSION).write_text(b2cal.version())
        put_folder(half, code)
    except OSError:
        shutil.rmtree(half, ignore_errors=True)
        if not code.is_dir():
            raise
    return code


def shipped_code(attempt: Path) -> Code:
    """Which code lies beside the jobs of an attempt.

    Raises:
        CannotPrepare: it cannot be read.
    """
    code = attempt / "code"
    try:
        modules = sorted(code.rglob("*.py"))
        hashed = digest([[module.relative_to(code).as_posix(), sha256_file(module)] for module in modules])
        told = code / _VERSION  # not there if it was shipped before b2cal kept it
        return Code(told.read_text() if told.exists() else "unknown", hashed)
    except OSError as error:
        raise CannotPrepare(
            f"The code of the jobs in {code} cannot be read: {_reason(error)}.",
            hint="Make it readable for this user, or restart the calibration; it is tried again by itself.",
        ) from error
