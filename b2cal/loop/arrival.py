"""Arrival of data: what lies in watched folders becomes known, and what waits for it looks again."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from b2cal.core.errors import B2calError
from b2cal.data import ScanReport, note_scanned, note_trouble, scan_watched, set_expiry, watches
from b2cal.model import Watch

from .processings import data_arrived
from .workplace import Workplace


@dataclass(frozen=True)
class Look:
    """What came of the scan of a watched folder: a report, or why there is none."""

    watch: Watch
    report: ScanReport | None
    error: str = ""

    def __str__(self) -> str:
        return f"{self.watch.place}: {self.report if self.report is not None else self.error}"


def look_at_watched(workplace: Workplace) -> list[Look]:
    """Scan every watched folder. What ails one of them is kept with it and stops no other."""
    with workplace.database.read() as db:
        watched = watches(db)
    return [_look(workplace, watch) for watch in watched]


def keep_until(db: Session, place: str, expires_at: datetime | None) -> int:
    """Note until when a file, or all files below a folder, are kept; None: for ever. Tells how many these are.

    Raises:
        NothingThere: none is registered there.
    """
    n_files = set_expiry(db, place, expires_at)
    data_arrived(db)  # what waits because they had expired
    return n_files


def _look(workplace: Workplace, watch: Watch) -> Look:
    database = workplace.database
    try:
        report = scan_watched(database, workplace.settings, watch)
    except (B2calError, OSError) as error:
        said = f"{error} {error.hint}".rstrip() if isinstance(error, B2calError) else str(error)
        database.write(lambda db: note_trouble(db, watch.id, said))
        return Look(watch, None, said)

    def wake(db: Session) -> None:
        data_arrived(db)  # also when nothing is new: the scan before may have been killed here
        note_scanned(db, watch.id)

    database.write(wake)
    return Look(watch, report)
