"""Taking a release in."""

import tempfile
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal.model import Database, Definition, DefinitionPayload, Release, now
from b2cal.settings import Settings

from .errors import ReleaseRefused
from .inspection import TIME_LIMIT_S, Inspection, inspect_copy
from .snapshot import copy_release, store


def add(database: Database, settings: Settings, folder: Path, time_limit_s: float = TIME_LIMIT_S) -> int:
    """Take a release in: a snapshot of its folder and the rows of its definitions. Returns its id.

    What is stored is the very copy that was looked through. The same contents give the same release again.

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


def _register(db: Session, inspection: Inspection) -> int:
    known = db.scalar(select(Release.id).where(Release.digest == inspection.digest))
    if known is not None:
        return known
    release = Release(
        name=inspection.name,
        digest=inspection.digest,
        interpreter=inspection.interpreter,
        vocabulary=dict(inspection.vocabulary),
        added_at=now(db),
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
