"""Runs and files as the catalogue knows them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.core.iov import ExpRun, InvalidIoV
from b2cal.data import GONE
from b2cal.model import DataFile, Run, UnreadableFile

PAGE = 100


@dataclass
class RunRow:
    """A run with what can be used of it: events and files by data name, those of productions apart."""

    run: Run
    found: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    produced: int = 0

    @property
    def is_short(self) -> bool:
        """Fewer events are there than the run registry promises."""
        return any(self.found.get(name, 0) < expected for name, expected in self.run.expected.items())

    @property
    def is_over(self) -> bool:
        """More events are there than the run registry promises: perhaps some twice."""
        return any(self.found.get(name, 0) > expected for name, expected in self.run.expected.items())


@dataclass(frozen=True)
class RunPage:
    """Runs from one on, the latest first. `older` is where the next page begins."""

    rows: Sequence[RunRow]
    data_names: tuple[str, ...]
    older: int | None
    n_runs: int
    n_files: int
    size_bytes: int


def runs(db: Session, up_to: int | None) -> RunPage:
    """A page of the run registry with its files, from run `up_to` backwards."""
    query = select(Run).order_by(Run.exprun.desc()).limit(PAGE + 1)
    if up_to is not None:
        query = query.where(Run.exprun <= up_to)
    found = db.scalars(query).all()
    rows = {run.exprun: RunRow(run) for run in found[:PAGE]}
    if rows:
        _count_files(db, rows)
    names = sorted({name for row in rows.values() for name in (*row.run.expected, *row.found)})
    all_files = select(func.count(), func.sum(DataFile.size_bytes)).select_from(DataFile).where(_usable())
    n_files, size = db.execute(all_files).one()
    return RunPage(
        rows=list(rows.values()),
        data_names=tuple(names),
        older=found[PAGE].exprun if len(found) > PAGE else None,
        n_runs=db.scalar(select(func.count()).select_from(Run)) or 0,
        n_files=n_files,
        size_bytes=int(size or 0),
    )


def _count_files(db: Session, rows: dict[int, RunRow]) -> None:
    counts = db.execute(
        select(
            DataFile.exprun,
            DataFile.data_name,
            DataFile.attempt_id.is_not(None).label("made_here"),
            func.sum(DataFile.n_events),
            func.count(),
        )
        .where(DataFile.exprun.between(min(rows), max(rows)), _usable())
        .group_by(DataFile.exprun, DataFile.data_name, "made_here")
    )
    for exprun, name, made_here, n_events, n_files in counts:
        row = rows[exprun]
        if made_here:
            row.produced += n_files
        else:
            row.found[name], row.files[name] = int(n_events), n_files


def _usable() -> ColumnElement[bool]:
    return DataFile.path.not_in(select(UnreadableFile.path))


def unreadable(db: Session) -> Sequence[UnreadableFile]:
    """Files that lie there and cannot be used, the latest first."""
    found = select(UnreadableFile).where(UnreadableFile.reason != GONE)
    return db.scalars(found.order_by(UnreadableFile.seen_at.desc()).limit(200)).all()


def n_gone(db: Session) -> int:
    """How many registered files are not there any more."""
    return db.scalar(select(func.count()).where(UnreadableFile.reason == GONE)) or 0


def objections(db: Session, files: Sequence[DataFile]) -> dict[str, str]:
    """By path why some of these files cannot be used now."""
    paths = [file.path for file in files]
    found = select(UnreadableFile.path, UnreadableFile.reason).where(UnreadableFile.path.in_(paths))
    return {row.path: row.reason for row in db.execute(found)}


def run_named(db: Session, text: str) -> Run:
    """The run that people call `e26r180`.

    Raises:
        NotFound: the registry has none.
    """
    try:
        found = db.get(Run, ExpRun.parse(text).number)
    except InvalidIoV as error:
        raise loop.NotFound(str(error), hint=error.hint) from error
    if found is None:
        raise loop.NotFound(f"The run registry has no run {text}.", hint="`b2cal data scan FOLDER` registers runs.")
    return found


def files_of(db: Session, run: Run) -> Sequence[DataFile]:
    """All files of a run."""
    query = select(DataFile).where(DataFile.exprun == run.exprun)
    return db.scalars(query.order_by(DataFile.format, DataFile.data_name, DataFile.path)).all()
