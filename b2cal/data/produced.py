"""Files that productions write, and files that came too late for an attempt."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from sqlalchemy import select as query
from sqlalchemy.orm import Session

from b2cal.core.checksums import sha256_file
from b2cal.core.errors import B2calError
from b2cal.model import Attempt, DataFile, DataFormat, Kind, now
from b2cal.settings import Settings

from .behind_doors import look_behind_doors
from .inputs import select
from .opening import header_problem


class UnusableFile(B2calError):
    """A file that a production reported is not there, or is not whole."""


class Written(Protocol):
    """What a production tells about a file. `exprun` is the number of the run; a checksum has a file behind a door."""

    @property
    def path(self) -> Path | str: ...
    @property
    def data_name(self) -> str: ...
    @property
    def exprun(self) -> int: ...
    @property
    def n_events(self) -> int: ...
    @property
    def checksum(self) -> str: ...


@dataclass(frozen=True)
class NewFile:
    """A produced file that was looked at and can be registered."""

    path: str
    data_name: str
    exprun: int
    n_events: int
    size_bytes: int
    mtime_ns: int
    sha256: str
    format: DataFormat = DataFormat.CDST

    @classmethod
    def of(cls, file: Written, settings: Settings, centre: str) -> Self:
        """Look at a file of a centre: on a disk take its checksum, behind a door compare it with the one reported.

        Raises:
            UnusableFile: it is not there, is truncated, or another.
            DoorTrouble, NoDoor: nobody can say that now.
        """
        if isinstance(file.path, str):
            return cls._behind_doors(file, file.path, settings, centre)
        path = file.path.absolute()
        if problem := header_problem(path):
            raise UnusableFile(f"The produced file {path} cannot be used: {problem}.", hint="Restart its production.")
        status = path.stat()
        return cls(
            path=str(path),
            data_name=file.data_name,
            exprun=file.exprun,
            n_events=file.n_events,
            size_bytes=status.st_size,
            mtime_ns=status.st_mtime_ns,
            sha256=sha256_file(path),
        )

    @classmethod
    def _behind_doors(cls, file: Written, url: str, settings: Settings, centre: str) -> Self:
        lying, checksum = look_behind_doors(url, settings, centre)
        if lying.problem or checksum != file.checksum:
            problem = lying.problem or f"it has {checksum}, but its job wrote {file.checksum}"
            raise UnusableFile(f"The produced file {url} cannot be used: {problem}.", hint="Restart its production.")
        return cls(
            path=url,
            data_name=file.data_name,
            exprun=file.exprun,
            n_events=file.n_events,
            size_bytes=lying.size_bytes,
            mtime_ns=lying.mtime_ns,
            sha256=checksum,
        )


def register_produced(db: Session, attempt_id: int, files: Iterable[NewFile]) -> None:
    """Enter the files of an attempt into the catalogue. Entering them again changes nothing."""
    known = {row.path: row for row in db.scalars(query(DataFile).where(DataFile.attempt_id == attempt_id))}
    for file in files:
        row = known.get(file.path)
        if row is None:
            row = DataFile(path=file.path, attempt_id=attempt_id, registered_at=now(db))
            db.add(row)
        row.data_name, row.format, row.exprun = file.data_name, file.format, file.exprun
        row.n_events, row.size_bytes = file.n_events, file.size_bytes
        row.mtime_ns, row.sha256 = file.mtime_ns, file.sha256
    db.flush()


def late_files(db: Session, attempt_id: int) -> list[DataFile]:
    """Files that the attempt's selection would take now, but that it has not, or has as they were before a change."""
    attempt = db.get_one(Attempt, attempt_id)
    calibration = attempt.calibration
    if calibration.kind is Kind.COPY:
        return []  # it reads a tag, no files
    settings, processing = calibration.definition.settings, calibration.processing
    inputs = select(
        db,
        processing.release.vocabulary,
        settings["input_data_formats"],
        settings["input_data_names"],
        attempt.submission.selection,
        processing.run_first,
        processing.run_last,
        produced_by={frozen.file.attempt_id for frozen in attempt.files if frozen.file.attempt_id is not None},
    )
    frozen_as = {(frozen.data_file_id, frozen.data_name): frozen.sha256 for frozen in attempt.files}
    late = [one.file for one in inputs.files if frozen_as.get((one.file.id, one.data_name)) != one.file.sha256]
    return list(dict.fromkeys(late))
