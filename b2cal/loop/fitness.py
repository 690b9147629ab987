"""Whether a centre can do its work: its batch system, its credentials, the doors of its storage, the output."""

from collections.abc import Iterator
from datetime import datetime

from b2cal import batch, data
from b2cal.calibration.doors import DoorTrouble
from b2cal.core.errors import B2calError, listed
from b2cal.settings import Settings, StorageSettings

from .actors import manager
from .credentials import credential_findings
from .finding import Finding, Health
from .room import Room, room_for
from .view import ProcessingView
from .workplace import Workplace


class UnfitCentre(B2calError):
    """A centre cannot do its work as the settings describe it."""


def see_that_fit(workplace: Workplace, centre: str) -> None:
    """See, before anything is wanted of a centre, that its jobs would start, read and write.

    Raises:
        UnknownCentre: no settings describe it.
        UnfitCentre: they would not.
    """
    settings, at = workplace.settings, workplace.database.clock.now()
    findings = [batch_finding(centre, batch.objection(settings, centre)), *storage_findings(settings, centre, at)]
    ill = [it for it in findings if it.health is Health.ILL]
    if ill:
        raise UnfitCentre(
            f"Nothing can be done at {centre} now: {listed([f'{it.what}: {it.says.rstrip(chr(46))}' for it in ill])}.",
            " ".join([*dict.fromkeys(it.do for it in ill), "Nothing was written; then do it again."]),
        )


def see_that_ready(workplace: Workplace, processing: str, username: str) -> Room:
    """See, before a planned processing is activated, that its centre is fit; tells the room for what it will write.

    Raises:
        NotFound: there is no such processing.
        NotAllowed: it is not for this person.
        UnknownCentre, UnfitCentre: as in `see_that_fit`.
    """
    with workplace.database.read() as db:
        manager(db, username)
        centre = ProcessingView.of(db, processing).processing.centre
    see_that_fit(workplace, centre)
    return room_for(workplace, processing)


def batch_finding(centre: str, objects: B2calError | None) -> Finding:
    """What was found when a batch system was asked."""
    what = f"centre {centre}"
    if objects is None:
        return Finding(what, Health.WELL, "its batch system takes jobs")
    return Finding(what, Health.ILL, str(objects), objects.hint)


def storage_findings(settings: Settings, centre: str, at: datetime) -> Iterator[Finding]:
    """What is found of the credentials of a centre, at its doors and in its folder for output."""
    storage = settings.storages[centre]
    yield from credential_findings(settings, centre, at)
    yield from _doors(centre, storage)
    if storage.output:
        yield _output(storage.output, settings, centre)


def _doors(centre: str, storage: StorageSettings) -> Iterator[Finding]:
    """Whether each door of a storage is open; a shut one is no harm to jobs while another is open."""
    shut = {door: said for door in storage.doors if (said := data.trouble_at(door, storage))}
    for door in storage.doors:
        what = f"door {door}"
        if door not in shut:
            yield Finding(what, Health.WELL, f"open, for jobs at {centre}")
            continue
        health = Health.ILL if len(shut) == len(storage.doors) else Health.WARNING
        do = "Look whether the server runs and lets this account in, and whether `doors` in b2cal.toml names it."
        yield Finding(what, health, f"shut: {shut[door]}", do)


def _output(folder: str, settings: Settings, centre: str) -> Finding:
    what, other = f"output {folder}", "or name another as `output` in b2cal.toml."
    try:
        found = data.FolderBehindDoors.find(folder, settings, centre)
    except DoorTrouble as error:
        return Finding(what, Health.ILL, str(error), error.hint)
    if not found.exists():
        return Finding(what, Health.ILL, "is not there", f"Make the folder {folder}, {other}")
    if trouble := data.trouble_in_writing(found):
        return Finding(
            what, Health.ILL, f"cannot be written: {trouble}", f"Let this account write into {folder}, {other}"
        )
    return Finding(what, Health.WELL, f"can be written, through {found.way}")
