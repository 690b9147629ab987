"""Watched folders: where data arrive, and whether they can be looked at."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal.calibration.doors import SCHEME
from b2cal.core.errors import B2calError
from b2cal.model import Database, Watch, now
from b2cal.settings import Settings

from .behind_doors import FolderBehindDoors
from .catalogue import ScanReport, scan
from .shelf import Folder, OneStream, Shelf


class NotWatched(B2calError):
    """Nobody watches that folder."""


class WatchedAlready(B2calError):
    """Somebody watches that folder already."""


class FolderGone(B2calError):
    """A watched folder is not there: perhaps its disk is not mounted."""


def watches(db: Session) -> Sequence[Watch]:
    """Those that go on, by place and stream."""
    return db.scalars(select(Watch).where(Watch.live.is_(True)).order_by(Watch.place, Watch.stream)).all()


def begin_watch(db: Session, place: str, stream: str, keep_days: int | None, by: str) -> Watch:
    """Let a folder be scanned again and again.

    Args:
        db: a session to write.
        place: whole path or address.
        stream: only files of it; empty: of all.
        keep_days: for how many days after their arrival files are kept there; None: for ever.
        by: who wants that.

    Raises:
        WatchedAlready: it is.
    """
    present = _watch(db, place, stream)
    if present is not None:
        raise WatchedAlready(
            f"{place}{_of(stream)} is watched since {present.begun_at:%Y-%m-%d}, by {present.begun_by}.",
            hint="To change how long its files are kept, stop that first.",
        )
    watch = Watch(place=place, stream=stream, keep_days=keep_days, live=True, begun_by=by, begun_at=now(db), error="")
    db.add(watch)
    db.flush()
    return watch


def end_watch(db: Session, place: str, stream: str, by: str) -> None:
    """Scan a folder no more; what was registered of it stays.

    Raises:
        NotWatched: it is not watched.
    """
    watch = _watch(db, place, stream)
    if watch is None:
        known = ", ".join(f"{it.place}{_of(it.stream)}" for it in watches(db))
        raise NotWatched(f"{place}{_of(stream)} is not watched.", hint=f"Watched are: {known or 'none'}.")
    watch.live, watch.ended_by, watch.ended_at = None, by, now(db)


def scan_watched(database: Database, settings: Settings, watch: Watch) -> ScanReport:
    """Bring the catalogue up to date with a watched folder.

    Raises:
        FolderGone: it is not there. What is registered of it stays as it is.
        NoDoor, RegistryRefused, CannotWorkApart, DoorTrouble: as in `scan`; nothing was kept.
    """
    folder = _folder(watch.place, settings)
    if not folder.exists():
        raise FolderGone(
            f"{watch.place} is not there.",
            hint="Mount its disk. If it is gone for good, watch it no more and scan it once: nothing reads it then.",
        )
    keep = timedelta(days=watch.keep_days) if watch.keep_days is not None else None
    return scan(database, OneStream(folder, watch.stream) if watch.stream else folder, keep)


def note_scanned(db: Session, watch_id: int) -> None:
    """A watched folder was scanned: all is well with it."""
    watch = db.get_one(Watch, watch_id)
    watch.scanned_at, watch.failing_since, watch.error = now(db), None, ""


def note_trouble(db: Session, watch_id: int, error: str) -> None:
    """A watched folder could not be scanned; since when is kept."""
    watch = db.get_one(Watch, watch_id)
    watch.failing_since, watch.error = watch.failing_since or now(db), error


def _folder(place: str, settings: Settings) -> Shelf:
    return FolderBehindDoors.find(place, settings) if place.startswith(SCHEME) else Folder(Path(place))


def _watch(db: Session, place: str, stream: str) -> Watch | None:
    return db.scalar(select(Watch).where(Watch.place == place, Watch.stream == stream, Watch.live.is_(True)))


def _of(stream: str) -> str:
    return f" ({stream})" if stream else ""
