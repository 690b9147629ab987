"""Whether a centre can do its work: its batch system, its credentials, the doors of its storage, the output."""

import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from b2cal import batch, data
from b2cal.calibration.doors import SCHEME, DoorTrouble
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
    shut = {door: said for door in storage.doors if (said := data.trouble_at(door, storage))}
    yield from _doors(centre, storage, shut)
    if storage.output:
        yield _output(centre, storage, shut, settings)


def tape_finding(centre: str, storage: StorageSettings) -> Finding:
    """Whether copies can be written to the tape of a centre. What cannot is tried again, so no job waits for it."""
    what, place = f"tape of {centre}", storage.tape
    trouble = _trouble_behind_door(storage) if place.startswith(SCHEME) else _trouble_on_disk(Path(place))
    if trouble:
        do = f"Let this account write into that folder, or name another as {_setting('tape', centre)}."
        return Finding(what, Health.WARNING, f"nothing can be copied there: {trouble}; it is {place}", do)
    return Finding(what, Health.WELL, f"can be written, in {place}")


def _setting(name: str, centre: str) -> str:
    """A setting of a storage, as people find it."""
    return f"`{name}` under [{'batch' if centre == batch.LOCAL else f'centres.{centre}'}] in b2cal.toml"


def _doors(centre: str, storage: StorageSettings, shut: Mapping[str, str]) -> Iterator[Finding]:
    """Whether each door of a storage is open; a shut one is no harm to jobs while another is open."""
    for number, door in enumerate(storage.doors, 1):
        what = f"door {number} of {centre}"
        if door not in shut:
            yield Finding(what, Health.WELL, f"open, it is {door}")
            continue
        health = Health.ILL if len(shut) == len(storage.doors) else Health.WARNING
        entry = f"whether entry {number} of {_setting('doors', centre)} names it"
        do = f"Look whether the server runs and lets this account in, and {entry}."
        yield Finding(what, health, f"shut: {shut[door]}; it is {door}", do)


def _output(centre: str, storage: StorageSettings, shut: Mapping[str, str], settings: Settings) -> Finding:
    what, folder, setting = f"output of {centre}", storage.output, _setting("output", centre)
    if len(shut) == len(storage.doors):
        return Finding(what, Health.WARNING, f"not looked at, because no door is open; it is {folder}", "Open a door.")
    try:
        found = data.FolderBehindDoors.find(folder, settings, centre)
    except DoorTrouble as error:
        do = _what_to_open(centre, storage, shut, error)
        return Finding(what, Health.ILL, _unseen(folder, storage, shut, error), do)
    if not found.exists():
        return Finding(what, Health.ILL, f"is not there; it is {folder}", f"Make that folder, or correct {setting}.")
    if trouble := data.trouble_in_writing(found):
        do = f"Let this account write into that folder, or name another as {setting}."
        return Finding(what, Health.ILL, f"cannot be written: {trouble}; it is {folder}", do)
    return Finding(what, Health.WELL, f"can be written, through {found.way}")


def _unseen(folder: str, storage: StorageSettings, shut: Mapping[str, str], error: DoorTrouble) -> str:
    """What each door says of a folder that those which are open do not have."""
    if not shut:
        return str(error)
    told = [
        f"door {number} is shut, {shut[door]}" if door in shut else f"door {number} is open, and it is not there"
        for number, door in enumerate(storage.doors, 1)
    ]
    return f"was not found while not all doors are open ({'; '.join(told)}); it is {folder}"


def _what_to_open(centre: str, storage: StorageSettings, shut: Mapping[str, str], error: DoorTrouble) -> str:
    if not shut:
        return error.hint
    doors = ", ".join(str(number) for number, door in enumerate(storage.doors, 1) if door in shut)
    where = _setting("doors", centre)
    return f"Open door {doors} first ({where}): the folder is to be made only if it is not there either."


def _trouble_behind_door(storage: StorageSettings) -> str:
    if trouble := data.trouble_at(storage.tape, storage):
        return trouble
    there = data.FolderBehindDoors(storage.tape, storage.tape, storage, is_there=True)
    return data.trouble_in_writing(there)


def _trouble_on_disk(folder: Path) -> str:
    """The first copy makes the folder, so what counts is the nearest that is there."""
    while not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir():
        return f"{folder} is no folder"
    return "" if os.access(folder, os.W_OK | os.X_OK) else f"{folder} cannot be written"
