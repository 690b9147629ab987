"""Files that tries of productions left behind a door and that nobody has registered: b2cal removes them after a while.

A job whose end nobody saw, one that was cancelled, or a production that was done again has brought whole files, too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from b2cal.core.errors import B2calError
from b2cal.data import FolderBehindDoors, files_in, folders_in, remove_from
from b2cal.model import Attempt, DataFile, JobGroup, Outcome, Stage

from .workplace import Workplace

KEPT = timedelta(days=2)
"""A file that was written later than that may be of a job that still runs, although nobody wants it any more."""


@dataclass(frozen=True)
class Removed:
    """What became of the leftovers in a folder."""

    folder: str
    files: int
    error: str = ""

    def __str__(self) -> str:
        return f"{self.folder}: {self.error or f'{self.files:,} files removed'}"


def place_in_output(db: Session, group: JobGroup) -> str:
    """The folder, below the output of a centre, of an attempt alone: others, of another home too, have other names."""
    first = select(JobGroup.token).where(
        JobGroup.attempt_id == group.attempt_id,
        JobGroup.stage == group.stage,
        JobGroup.iteration == group.iteration,
    )
    return _place(group.attempt_id, db.scalars(first.order_by(JobGroup.round).limit(1)).one())


def remove_leftovers(workplace: Workplace) -> Iterator[Removed]:
    """Remove, behind the doors of all centres, what productions that are over have brought there in vain."""
    settings = workplace.settings
    outputs = {storage.output: centre for centre, storage in settings.storages.items() if storage.output}
    for output, centre in outputs.items():
        try:
            folder = FolderBehindDoors.find(output, settings, centre)
            with workplace.database.read() as db:
                over = _places_that_are_over(db)
            for place in sorted(over & folders_in(folder)):
                yield from _clear(workplace, folder, place)
        except B2calError as error:
            yield Removed(output, 0, f"{error} {error.hint}")


def _clear(workplace: Workplace, folder: FolderBehindDoors, place: str) -> Iterator[Removed]:
    before = workplace.database.clock.now() - KEPT
    old = {name for name, written_at in files_in(folder, place).items() if written_at < before}
    if not old:
        return
    with workplace.database.read() as db:
        old -= _registered(db, place)
    if old:
        remove_from(folder, place, old)
        yield Removed(f"{folder.name}/{place}", len(old))


def _place(attempt_id: int, token: str) -> str:
    return f"{attempt_id}-{token}"


def _places_that_are_over(db: Session) -> set[str]:
    """Of attempts that do not count any more, and of those whose files are registered: nothing else will be."""
    # What a failed attempt has made still counts: its other jobs may be tried again.
    over = (
        select(JobGroup.attempt_id, JobGroup.token)
        .join(Attempt, Attempt.id == JobGroup.attempt_id)
        .where(JobGroup.stage == Stage.PRODUCE, JobGroup.round == 0)
        .where(or_(Attempt.live.is_(None), Attempt.outcome == Outcome.FILES))
    )
    return {_place(*row) for row in db.execute(over)}


def _registered(db: Session, place: str) -> set[str]:
    """What is registered of a place, whoever did it and through whichever door, by its path below."""
    inside = f"/{place}/"
    paths = db.scalars(select(DataFile.path).where(DataFile.path.contains(inside, autoescape=True)))
    return {path.partition(inside)[2] for path in paths}
