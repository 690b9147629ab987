"""Taking a release in."""

import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal.model import Database, Definition, DefinitionPayload, Release, now
from b2cal.settings import Settings

from .errors import ReleaseRefused
from .inspection import TIME_LIMIT_S, Inspection, inspect_copy
from .snapshot import copy_release, store

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Added:
    """A release that was taken in.

    Attributes:
        release_id: of its row.
        known: whether the same contents were there before.
        inspection: what was found in the copy that is kept.
    """

    release_id: int
    known: bool
    inspection: Inspection


def newest(db: Session, name: str) -> Release | None:
    """The release that a name means: the one of this name that was added last, for the first time or again."""
    named = select(Release).where(Release.name == name)
    return db.scalar(named.order_by(Release.added_at.desc(), Release.id.desc()).limit(1))


def add(database: Database, settings: Settings, folder: Path, time_limit_s: float = TIME_LIMIT_S) -> Added:
    """Take a release in: a snapshot of its folder and the rows of its definitions.

    What is stored is the very copy that was looked through. The same contents give the same release again, and make it
    the newest of its name: so one goes back to it.

    Raises:
        ReleaseRefused: with all its problems; nothing was written, no row and no file.
        CannotWrite: the snapshot could not be stored; nothing was added.
    """
    with tempfile.TemporaryDirectory(prefix="b2cal-release-") as temporary:
        copy = Path(temporary) / "release"
        copy_release(folder, copy)
        inspection = inspect_copy(copy, time_limit_s)
        if inspection.problems:
            hint = f"Correct this in {folder} and add it again."
            raise ReleaseRefused(f"The release {inspection.name!r}", inspection.problems, hint)
        store(copy, settings.releases)
    return database.write(lambda db: _register(db, inspection))


def _register(db: Session, inspection: Inspection) -> Added:
    before = newest(db, inspection.name)
    # Clocks go back or stand still; what is added now comes after what was added before all the same.
    added_at = now(db) if before is None else max(now(db), before.added_at + _TICK)
    known = db.scalar(select(Release).where(Release.digest == inspection.digest))
    if known is None:
        return Added(_new(db, inspection, added_at), known=False, inspection=inspection)
    if known is not before:
        known.added_at = added_at
    return Added(known.id, known=True, inspection=inspection)


def _new(db: Session, inspection: Inspection, added_at: datetime) -> int:
    release = Release(
        name=inspection.name,
        digest=inspection.digest,
        interpreter=inspection.interpreter,
        environment=dict(inspection.environment),
        vocabulary=dict(inspection.vocabulary),
        added_at=added_at,
    )
    db.add(release)
    db.flush()
    for found in inspection.definitions:
        # A unit of work may run several times: it makes its own rows and leaves those of the inspection alone.
        definition = Definition(
            release_id=release.id,
            name=found.name,
            module=found.module,
            step=found.step,
            kind=found.kind,
            expert=found.expert,
            settings=found.settings,
            config_schema=found.config_schema,
            traits=found.traits,
        )
        db.add(definition)
        db.flush()
        for payload in found.payloads:
            name = payload.payload_name
            db.add(DefinitionPayload(release_id=release.id, payload_name=name, definition_id=definition.id))
    return release.id
