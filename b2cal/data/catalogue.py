"""The catalogue over a folder of ROOT files: which files there are, of which run, with how many events."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from b2cal.core.iov import ExpRun
from b2cal.model import Base, Database, DataFile, DataFormat, Run, UnreadableFile, now

from .opening import Opened
from .registry import RunEntry, read_registry
from .shelf import Folder, Lying, Shelf

_NAME = re.compile(r"(?P<stream>[A-Za-z0-9][\w.+-]{0,63}?)_e(?P<exp>\d{4,9})_r(?P<run>\d{5,9})(_f\d+)?\.root", re.ASCII)

GONE = "it is not there any more"
"""The reason of registered files that were deleted or moved out of sight: nobody has to correct them."""


@dataclass
class ScanReport:
    """What a scan found: numbers of runs and files, and by path why files cannot be used, those that are gone too.

    `surplus` names the runs of which there are more events than the registry expects: they may be there twice.
    """

    files_unchanged: int
    unreadable: dict[str, str]
    runs_added: int = 0
    runs_changed: int = 0
    files_added: int = 0
    files_moved: int = 0
    files_changed: int = 0
    files_restored: int = 0
    surplus: list[str] = field(default_factory=list)

    @property
    def n_usable(self) -> int:
        """How many files of the folder can be read, whether they were known before or not."""
        return self.files_unchanged + self.files_added + self.files_moved + self.files_changed

    @property
    def unusable(self) -> dict[str, str]:
        """By path why files that lie there cannot be used."""
        return {path: reason for path, reason in self.unreadable.items() if reason != GONE}

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        """What a person is told, with the files that cannot be used or are gone one by one."""
        unusable = self.unusable
        counts = (
            f"Runs: {self.runs_added} new, {self.runs_changed} changed. Files: {self.files_added} new,"
            f" {self.files_moved} moved, {self.files_changed} changed, {self.files_unchanged} as before,"
            f" {len(unusable)} not usable."
        )
        told = [counts, *(f"  {path}: {reason}" for path, reason in self.unreadable.items())]
        if unusable:
            told.append("Files that are not usable are left out until they are corrected and scanned again.")
        n_gone = len(self.unreadable) - len(unusable)
        if n_gone:
            told.append(f"Files that are gone are in no input any more: {n_gone}.")
        if self.surplus:
            told.append(
                f"Runs with more events than the registry expects: {len(self.surplus)}, {self.surplus[0]} the first."
                " Perhaps files are there twice, and what reads these runs waits for a manager: take the wrong files"
                " away, and scan their folder once more."
            )
        return "\n".join(told)


@dataclass(frozen=True)
class _Seen(Lying):
    """A file that may hold events."""

    stream: str = ""
    exprun: int = 0


def scan(database: Database, place: Path | Shelf, keep: timedelta | None = None) -> ScanReport:
    """Bring the catalogue up to date with a folder: its `runs.json` and all ROOT files below.

    A file is opened and its checksum taken when it is new or its size or age has changed. A changed file keeps its
    row; attempts keep the checksum that they froze. So does a file that was moved here: its run, stream and content
    are those of a registered file that no longer lies where it was. What cannot be used, is gone, or is a copy of a
    registered file, is kept as unreadable with the reason and is never selected. Where the folder itself is gone, all
    that is registered below is. Runs and files are registered in one transaction; a second scan changes nothing.
    New and changed files expire when the time `keep` has passed from now on.

    Raises:
        RegistryRefused: `runs.json` is missing or wrong; nothing was kept.
        CannotWorkApart: files cannot be opened at all; nothing was kept.
        DoorTrouble: the folder lies behind a door that does not answer any more; nothing was kept.
    """
    folder = Folder(place.resolve()) if isinstance(place, Path) else place
    with database.read() as db:
        rows = _files_of(db, folder)
        ages = {row.path: (row.size_bytes, row.mtime_ns) for row in rows if row.attempt_id is None}
        produced = {row.path for row in rows if row.attempt_id is not None}
        is_known = bool(ages) or bool(_unreadable_of(db, folder))
    registry = [] if is_known and not folder.exists() else read_registry(folder)
    seen, reasons = _look_around(folder.files(), {entry.exprun for entry in registry}, leave_out=produced)
    changed = [file for file in seen if ages.get(file.path) != (file.size_bytes, file.mtime_ns)]
    usable: dict[_Seen, Opened] = {}
    for file, found in zip(changed, folder.open(changed), strict=True):
        if found.reason or not folder.lies_there(file.path, file.size_bytes, file.mtime_ns):
            reasons[file.path] = found.reason or "it changed while it was read"
        else:
            usable[file] = found
    gone = ages.keys() - {file.path for file in seen} - reasons.keys()
    reasons |= dict.fromkeys(gone, GONE)

    def register(db: Session) -> ScanReport:
        report = ScanReport(len(seen) - len(changed), dict(reasons))
        _register_runs(db, registry, report)
        db.flush()  # files refer to their runs
        _register_files(db, folder, usable, keep, report)
        report.unreadable = dict(sorted(report.unreadable.items()))
        _register_unreadable(db, folder, report)
        db.flush()  # what cannot be used does not count
        report.surplus = _with_surplus(db, registry)
        return report

    return database.write(register)


def _look_around(
    files: Iterable[Lying], runs: Collection[int], leave_out: Collection[str]
) -> tuple[list[_Seen], dict[str, str]]:
    """The files that may hold events, and why others do not."""
    seen, reasons = [], {}
    for file in files:
        if file.path in leave_out:
            continue
        if file.problem:
            reasons[file.path] = file.problem
            continue
        name = _NAME.fullmatch(file.name)
        if name is None:
            reasons[file.path] = "its name is not of the form bhabha_e0026_r00180.root"
            continue
        exprun = ExpRun(int(name["exp"]), int(name["run"]))
        if exprun.number not in runs:
            reasons[file.path] = f"its run {exprun} is not in runs.json"
            continue
        seen.append(_Seen(file.path, file.size_bytes, file.mtime_ns, stream=name["stream"], exprun=exprun.number))
    return seen, reasons


def _register_runs(db: Session, registry: Sequence[RunEntry], report: ScanReport) -> None:
    expruns = [entry.exprun for entry in registry]
    known = {
        run.exprun: run
        for run in db.scalars(select(Run).where(Run.exprun.between(min(expruns, default=0), max(expruns, default=0))))
    }
    for entry in registry:
        told = {
            "started_at": entry.started.astimezone(UTC),
            "duration_s": entry.duration_s,
            "n_events": entry.n_events,
            "attributes": entry.attributes,
            "expected": entry.expected,
        }
        run = known.get(entry.exprun)
        if run is None:
            db.add(Run(exprun=entry.exprun, **told))
            report.runs_added += 1
        elif _update(run, told):
            report.runs_changed += 1


def _register_files(
    db: Session, folder: Shelf, usable: Mapping[_Seen, Opened], keep: timedelta | None, report: ScanReport
) -> None:
    known = {row.path: row for row in _files_of(db, folder)}
    expires_at = now(db) + keep if keep is not None else None
    twins = _by_content(db, [file for file in usable if file.path not in known])
    for file, found in usable.items():
        content = {"data_name": file.stream, "exprun": file.exprun, "n_events": found.n_events, "sha256": found.sha256}
        its = (file.stream, file.exprun, found.sha256, file.size_bytes, found.n_events)
        twin = twins.get(its)
        row = known.get(file.path)
        if row is not None:
            if _update(row, content):
                row.registered_at = now(db)
                row.expires_at = expires_at or row.expires_at
                report.files_changed += 1
            else:
                report.files_unchanged += 1
        elif twin is None:
            row = DataFile(
                path=file.path, format=DataFormat.RAW, registered_at=now(db), expires_at=expires_at, **content
            )
            db.add(row)
            twins[its] = row
            report.files_added += 1
        elif folder.lies_there(twin.path, twin.size_bytes, twin.mtime_ns):
            report.unreadable[file.path] = f"it is the same as {twin.path}"
            continue
        else:
            _move(db, twin, file, report)
            row = twin
        _update(row, {"size_bytes": file.size_bytes, "mtime_ns": file.mtime_ns})


def _by_content(db: Session, files: Collection[_Seen]) -> dict[tuple[str, int, str, int, int], DataFile]:
    """The registered files of the same runs, by stream, run, checksum, bytes and events.

    Bytes and events because the checksum of a file behind a door has only 32 bits.
    """
    expruns = [file.exprun for file in files]
    within = DataFile.exprun.between(min(expruns, default=0), max(expruns, default=-1))
    rows = db.scalars(select(DataFile).where(within, DataFile.attempt_id.is_(None)))
    return {(row.data_name, row.exprun, row.sha256, row.size_bytes, row.n_events): row for row in rows}


def _move(db: Session, row: DataFile, to: _Seen, report: ScanReport) -> None:
    """Let a registered file lie at its new place, for the attempts that read it as well."""
    if missed := db.get(UnreadableFile, row.path):
        db.delete(missed)
        db.flush()
    report.unreadable.pop(row.path, None)
    row.path = to.path
    report.files_moved += 1


def _register_unreadable(db: Session, folder: Shelf, report: ScanReport) -> None:
    known = {row.path: row for row in _unreadable_of(db, folder)}
    for path in known.keys() - report.unreadable.keys():
        db.delete(known[path])
        report.files_restored += 1
    for path, reason in report.unreadable.items():
        if path not in known:
            db.add(UnreadableFile(path=path, reason=reason, seen_at=now(db)))
        elif _update(known[path], {"reason": reason}):
            known[path].seen_at = now(db)


def _with_surplus(db: Session, registry: Sequence[RunEntry]) -> list[str]:
    """The runs of a registry of which the catalogue has more events than expected, wherever their files lie."""
    expected = {(entry.exprun, name): number for entry in registry for name, number in entry.expected.items()}
    expruns = [entry.exprun for entry in registry]
    found = db.execute(
        select(DataFile.exprun, DataFile.data_name, func.sum(DataFile.n_events))
        .where(DataFile.exprun.between(min(expruns, default=0), max(expruns, default=-1)))
        .where(DataFile.attempt_id.is_(None), DataFile.path.not_in(select(UnreadableFile.path)))
        .group_by(DataFile.exprun, DataFile.data_name)
    )
    over = {exprun for exprun, name, n_events in found if n_events > expected.get((exprun, name), n_events)}
    return [str(ExpRun.from_number(exprun)) for exprun in sorted(over)]


def _update(row: Base, columns: Mapping[str, Any]) -> bool:
    """Set columns to what they should be; whether any was something else."""
    changed = {name: value for name, value in columns.items() if getattr(row, name) != value}
    for name, value in changed.items():
        setattr(row, name, value)
    return bool(changed)


def _files_of(db: Session, folder: Shelf) -> list[DataFile]:
    rows = db.scalars(select(DataFile).where(below(DataFile.path, folder.name)))
    return [row for row in rows if folder.holds(row.path)]


def _unreadable_of(db: Session, folder: Shelf) -> list[UnreadableFile]:
    rows = db.scalars(select(UnreadableFile).where(below(UnreadableFile.path, folder.name)))
    return [row for row in rows if folder.holds(row.path)]


def below(path: InstrumentedAttribute[str], folder: str) -> ColumnElement[bool]:
    """Whether a path lies below a folder."""
    # As a range, because LIKE of SQLite takes raw and Raw for the same; "0" is the character after "/".
    outside = folder.rstrip("/")
    return and_(path >= f"{outside}/", path < f"{outside}0")
