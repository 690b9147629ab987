"""Copies of what productions have made in a second place, as a rule on tape.

They are made beside everything else: nothing waits for them. Whoever makes them may be killed at any moment.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, joinedload

from b2cal.core.errors import B2calError
from b2cal.data import Original, copy_file, proving
from b2cal.model import (
    Attempt,
    Calibration,
    CopyState,
    DataFile,
    FileCopy,
    Kind,
    Processing,
    State,
    now,
)
from b2cal.settings import Settings, StorageSettings

from .workplace import Workplace

_FIRST_PAUSE = timedelta(minutes=1)
_LONGEST_PAUSE = timedelta(hours=6)


@dataclass(frozen=True)
class Made:
    """What came of the copy of a file."""

    place: str
    target: str
    error: str = ""

    def __str__(self) -> str:
        return f"{self.place} -> {self.target}: {self.error or 'done'}"


def make_copies(workplace: Workplace) -> Iterator[Made]:
    """Note which copies are wanted, and make all that are due, one after the other. Only one process may do that."""
    workplace.database.write(lambda db: _want(db, workplace.settings))
    with workplace.database.read() as db:
        due = select(FileCopy.id).where(FileCopy.state != CopyState.DONE, FileCopy.not_before <= now(db))
        numbers = db.scalars(due.order_by(FileCopy.id)).all()
    for number in numbers:
        made = _make(workplace, number)
        if made is not None:
            yield made


def copies_of(db: Session, attempt_id: int) -> Sequence[FileCopy]:
    """Copies of the files that an attempt has made, in the order of their paths."""
    mine = select(FileCopy).join(FileCopy.file).where(DataFile.attempt_id == attempt_id)
    return db.scalars(mine.order_by(DataFile.path).options(joinedload(FileCopy.file))).all()


def copy_again(db: Session) -> int:
    """Try at once what has failed; tells how many copies that are."""
    failed = db.scalars(select(FileCopy.id).where(FileCopy.state == CopyState.FAILED)).all()
    db.execute(update(FileCopy).where(FileCopy.id.in_(failed)).values(not_before=now(db)))
    return len(failed)


def _want(db: Session, settings: Settings) -> None:
    """Of productions that are signed off every file is wanted; what none counts on any more is not."""
    gone = select(DataFile.id).join(Attempt, Attempt.id == DataFile.attempt_id).where(Attempt.live.is_(None))
    db.execute(delete(FileCopy).where(FileCopy.state != CopyState.DONE, FileCopy.data_file_id.in_(gone)))
    at = now(db)
    for file, processing, centre in db.execute(
        select(DataFile, Processing.name, Processing.centre)
        .join(Attempt, Attempt.id == DataFile.attempt_id)
        .join(Calibration, Calibration.id == Attempt.calibration_id)
        .join(Processing, Processing.id == Calibration.processing_id)
        .where(Calibration.kind == Kind.PRODUCE, Calibration.state == State.SIGNED_OFF, Attempt.live.is_(True))
        .where(DataFile.id.not_in(select(FileCopy.data_file_id)))
        .order_by(DataFile.id)
    ):
        storage = settings.storages.get(centre)
        if storage is not None and storage.tape:
            name = file.path.rpartition("/")[2]
            target = f"{storage.tape.rstrip('/')}/{processing}/{file.attempt_id}/{file.id}/{name}"
            row = FileCopy(data_file_id=file.id, target=target, state=CopyState.WANTED, error="")
            row.not_before = row.wanted_at = at
            db.add(row)
    db.flush()


def _make(workplace: Workplace, number: int) -> Made | None:
    def begin(db: Session) -> tuple[Original, str, StorageSettings] | None:
        row = db.get(FileCopy, number)
        if row is None:
            return None
        row.state, row.tries = CopyState.COPYING, row.tries + 1
        attempt = db.get_one(Attempt, row.file.attempt_id)
        # A centre may have gone from the settings since; then nothing is proved.
        storage = workplace.settings.storages.get(attempt.calibration.processing.centre, StorageSettings())
        return Original(row.file.path, row.file.size_bytes, row.file.sha256), row.target, storage

    begun = workplace.database.write(begin)
    if begun is None:
        return None
    original, target, storage = begun
    try:
        with proving(storage):
            copy_file(original, target)
    except (B2calError, OSError) as error:
        said = f"{error} {error.hint}".rstrip() if isinstance(error, B2calError) else str(error)
        workplace.database.write(lambda db: _put_off(db, number, said))
        return Made(original.place, target, said)
    workplace.database.write(lambda db: _done(db, number))
    return Made(original.place, target)


def _put_off(db: Session, number: int, error: str) -> None:
    row = db.get(FileCopy, number)
    if row is not None:
        pause = min(_FIRST_PAUSE * 2 ** min(row.tries - 1, 20), _LONGEST_PAUSE)
        row.state, row.error, row.not_before = CopyState.FAILED, error, now(db) + pause


def _done(db: Session, number: int) -> None:
    row = db.get(FileCopy, number)
    if row is not None:
        row.state, row.error, row.done_at = CopyState.DONE, "", now(db)
