"""Until when files are kept where they lie."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, or_, update
from sqlalchemy import select as query
from sqlalchemy.orm import Session

from b2cal.core.errors import B2calError
from b2cal.model import AttemptFile, DataFile, UnreadableFile

from .catalogue import below


class NothingThere(B2calError):
    """No file is registered at that place."""


def set_expiry(db: Session, place: str, expires_at: datetime | None) -> int:
    """Note until when a file, or all files below a folder, are kept; None: for ever. Tells how many these are.

    Raises:
        NothingThere: none is registered there.
    """
    there = or_(DataFile.path == place, below(DataFile.path, place))
    n_files = db.scalar(query(func.count()).select_from(DataFile).where(there)) or 0
    if not n_files:
        raise NothingThere(
            f"No file is registered at {place}.", hint="Give a folder that was scanned, or the whole path of a file."
        )
    db.execute(update(DataFile).where(there).values(expires_at=expires_at))
    return n_files


def expiry_of_attempt(db: Session, attempt_id: int) -> datetime | None:
    """When the first of the files expires that an attempt has frozen; None: none does."""
    frozen = query(AttemptFile.data_file_id).where(AttemptFile.attempt_id == attempt_id)
    return db.scalar(query(func.min(DataFile.expires_at)).where(DataFile.id.in_(frozen)))


def expiry_of_streams(db: Session, streams: Collection[str], first: int, last: int) -> datetime | None:
    """When the first of the usable files of some streams expires, of the runs (numbers) from `first` to `last`."""
    return db.scalar(
        query(func.min(DataFile.expires_at))
        .where(DataFile.data_name.in_(streams), DataFile.exprun.between(first, last))
        .where(DataFile.path.not_in(query(UnreadableFile.path)))
    )
