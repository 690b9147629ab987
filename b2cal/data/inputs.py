"""From a selection to runs and files, with the reason for every run."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Any

from sqlalchemy import Select, and_, func, or_
from sqlalchemy import select as query
from sqlalchemy.orm import Session

from b2cal import releases
from b2cal.core.iov import ExpRun
from b2cal.model import DataFile, DataFormat, Run, UnreadableFile

from .selection import Reader, Selection


class Completeness(StrEnum):
    """Whether everything that the run registry promises has arrived."""

    COMPLETE = auto()
    OUTDATED = auto()
    """There are more events than the registry expects: registry and files are of different times."""
    MISSING = auto()
    """Events or runs are missing, or there is no file at all. No job starts on an empty input."""


@dataclass(frozen=True)
class RunChoice:
    """A run of the range, and in one sentence why it was taken or left out."""

    exprun: int
    taken: bool
    reason: str

    def to_json(self) -> dict[str, Any]:
        return {"run": str(ExpRun.from_number(self.exprun)), "taken": self.taken, "reason": self.reason}


@dataclass(frozen=True)
class Shortfall:
    """A run and stream whose events are not as many as the registry expects."""

    exprun: int
    data_name: str
    found_events: int
    expected_events: int

    def __str__(self) -> str:
        run = ExpRun.from_number(self.exprun)
        return f"{self.found_events:,} of {self.expected_events:,} events of {self.data_name} in {run}"


@dataclass(frozen=True)
class ChosenFile:
    """A file, and the data name under which the calibration reads it; its stream is `file.data_name`."""

    data_name: str
    file: DataFile


@dataclass(frozen=True)
class Inputs:
    """What a selection comes to now.

    Attributes:
        runs: every known run of the range, in order.
        files: of the runs taken, in order of run, data name, stream and path, each under every data name that reads
            it; files without events are left out.
        missing: where events are missing.
        surplus: where there are more events than the registry expects.
        to_come: between these runs there may be others of which the registry does not know yet: from the newest that
            it has to the last one that may be taken. None: it has come so far.
    """

    runs: list[RunChoice]
    files: list[ChosenFile]
    missing: list[Shortfall]
    surplus: list[Shortfall]
    to_come: tuple[ExpRun, ExpRun] | None = None

    @property
    def completeness(self) -> Completeness:
        if self.missing or self.to_come or not self.files:
            return Completeness.MISSING
        return Completeness.OUTDATED if self.surplus else Completeness.COMPLETE

    @property
    def shortage(self) -> dict[str, Any]:
        """Where events are not as many as expected, to be kept by whoever accepts that."""
        return {
            "events": [[it.exprun, it.data_name, it.found_events] for it in (*self.missing, *self.surplus)],
            "newest_run": self.to_come[0].number if self.to_come else None,
        }

    def is_accepted_with(self, shortage: Mapping[str, Any]) -> bool:
        """Whether nothing lacks but what a shortage names: of that there may be less left, and not more."""
        found = {(exprun, name): n_events for exprun, name, n_events in shortage.get("events", ())}
        known = all(
            it.found_events >= found.get((it.exprun, it.data_name), float("inf"))
            for it in (*self.missing, *self.surplus)
        )
        newest = shortage.get("newest_run")
        return known and (self.to_come is None or (newest is not None and self.to_come[0].number >= newest))

    def __str__(self) -> str:
        """One sentence for people: what is there, or what it waits for."""
        if self.to_come and not self.missing:
            newest, last = self.to_come
            return f"The newest registered run is {newest}: those up to {last} may still come."
        if self.missing or self.surplus:
            differing = self.missing or self.surplus
            more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
            return f"{'Missing' if self.missing else 'More than expected'}: {differing[0]}{more}."
        if self.files:
            taken = sum(run.taken for run in self.runs)
            files = {chosen.file.id: chosen.file for chosen in self.files}
            events = sum(file.n_events for file in files.values())
            return f"Complete: {taken} of {len(self.runs)} runs taken; events: {events:,}; files: {len(files)}."
        if self.runs:
            first = self.runs[0]
            return f"No run was taken; {ExpRun.from_number(first.exprun)} was {first.reason}."
        return "The run registry knows no run in this range."


def select(
    db: Session,
    vocabulary: releases.Vocabulary,
    formats: Collection[str],
    data_names: Collection[str],
    selection: Mapping[str, Any],
    first: int,
    last: int,
    produced_by: Collection[int] = (),
) -> Inputs:
    """The runs from `first` to `last` (numbers, both included) that a selection takes, and their files.

    Args:
        db: any session.
        vocabulary: of the release.
        formats: which of raw, cdst, mdst, udst are read.
        data_names: the names that the calibration reads.
        selection: JSON form of a Selection.
        first: the first run of the range.
        last: the last run of the range.
        produced_by: attempts whose files count; files in other formats than raw come from these only.

    Raises:
        InvalidSelection: `selection` has another form.
    """
    wanted = Selection.from_json(selection)
    readers = [Reader.of(vocabulary, name, wanted.filters.get(name, ())) for name in sorted(data_names)]
    usable = db.scalars(_usable_files(formats, first, last, produced_by)).all()
    files: dict[int, list[DataFile]] = defaultdict(list)
    for file in usable:
        files[file.exprun].append(file)
    reads_raw = DataFormat.RAW in formats
    # Productions of a run cannot come before the run itself: who reads only their files need not look.
    to_come = _to_come(db, wanted.last_run(last)) if reads_raw else None
    choices: list[RunChoice] = []
    finds: list[_Find] = []
    for run in db.scalars(query(Run).where(Run.exprun.between(first, last)).order_by(Run.exprun)):
        if barred := wanted.bars(run.exprun):
            choices.append(RunChoice(run.exprun, taken=False, reason=f"left out: {barred}"))
            continue
        of_run = [_look(reader, run, files[run.exprun], run.expected if reads_raw else {}) for reader in readers]
        choices.append(_choice(run.exprun, of_run))
        finds += of_run
    return Inputs(
        choices,
        [ChosenFile(find.data_name, file) for find in finds for file in find.files],
        list(dict.fromkeys(shortfall for find in finds for shortfall in find.missing)),
        list(dict.fromkeys(shortfall for find in finds for shortfall in find.surplus)),
        to_come,
    )


def _to_come(db: Session, last: int) -> tuple[ExpRun, ExpRun] | None:
    newest = db.scalar(query(func.max(Run.exprun)))
    return (ExpRun.from_number(newest), ExpRun.from_number(last)) if newest is not None and newest < last else None


@dataclass(frozen=True)
class _Find:
    """What one data name finds in one run, in words and in files."""

    data_name: str
    objection: str = ""
    text: str = ""
    files: Sequence[DataFile] = ()
    missing: Sequence[Shortfall] = ()
    surplus: Sequence[Shortfall] = ()


def _look(reader: Reader, run: Run, files: Sequence[DataFile], expected: Mapping[str, int]) -> _Find:
    if objection := reader.objection(run.attributes):
        return _Find(reader.data_name, objection)
    found = [file for file in files if file.data_name in reader.streams]
    raw = [file for file in found if file.format is DataFormat.RAW]  # what a production keeps nobody knows beforehand
    events = {stream: 0 for stream in expected if stream in reader.streams} | {file.data_name: 0 for file in raw}
    for file in raw:
        events[file.data_name] += file.n_events
    missing, surplus = [], []
    for stream, n_events in sorted(events.items()):
        count = Shortfall(run.exprun, stream, n_events, expected.get(stream, n_events))
        if count.found_events < count.expected_events:
            missing.append(count)
        elif count.found_events > count.expected_events:
            surplus.append(count)
    n_events = sum(file.n_events for file in found)
    text = f"{n_events:,} events of {reader.data_name}" if n_events else f"no events of {reader.data_name}"
    if missing:
        text += f", {sum(count.expected_events - count.found_events for count in missing):,} still missing"
    return _Find(reader.data_name, "", text, [file for file in found if file.n_events], missing, surplus)


def _choice(exprun: int, finds: Sequence[_Find]) -> RunChoice:
    """Taken if any data name takes it; the sentence says what each found."""
    taken = any(find.files for find in finds)
    objections = {find.objection for find in finds}
    if len(objections) == 1 and "" not in objections:
        return RunChoice(exprun, taken=False, reason=f"left out: {finds[0].objection}")
    prefix = "not for" if taken else "for"
    texts = [find.text or f"{prefix} {find.data_name}: {find.objection}" for find in finds]
    return RunChoice(exprun, taken, f"{'taken' if taken else 'left out'}: {'; '.join(texts)}")


def _usable_files(formats: Collection[str], first: int, last: int, produced_by: Collection[int]) -> Select[Any]:
    """Files that can be read now, in order of run, stream and path."""
    produced = [DataFormat(name) for name in formats if name != DataFormat.RAW]
    origin = and_(DataFile.format.in_(produced), DataFile.attempt_id.in_(produced_by))
    if DataFormat.RAW in formats:
        origin = or_(origin, and_(DataFile.format == DataFormat.RAW, DataFile.attempt_id.is_(None)))
    return (
        query(DataFile)
        .where(origin, DataFile.exprun.between(first, last), DataFile.path.not_in(query(UnreadableFile.path)))
        .order_by(DataFile.exprun, DataFile.data_name, DataFile.path)
    )
