"""`b2cal release`."""

from pathlib import Path

import click
from rich.status import Status

from b2cal import releases

from .desk import Desk, pass_desk


@click.group()
def release() -> None:
    """Releases of calibration scripts."""


_FOLDER = click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))


@release.command()
@_FOLDER
@pass_desk
def add(desk: Desk, folder: Path) -> None:
    """Check a folder of scripts and keep a copy of it, to be what its name means from now on.

    The same contents are the same release: to go back to an earlier one, add its folder again.
    """
    desk.check_operator()
    with _importing(desk):
        added = releases.add(desk.workplace.database, desk.settings, folder)
    inspection = added.inspection
    sentence = f"Release {inspection.name} ({inspection.digest[:12]}) with {len(inspection.definitions)} definitions."
    if added.known:
        sentence += " It was known already; new processings take it again."
    desk.done(
        sentence,
        id=added.release_id,
        name=inspection.name,
        digest=inspection.digest,
        known=added.known,
        flags=list(inspection.flags),
    )
    for flag in () if desk.as_json else inspection.flags:
        desk.marked("!", "yellow", flag)


@release.command()
@_FOLDER
@pass_desk
def check(desk: Desk, folder: Path) -> None:
    """Check a folder of scripts without keeping anything."""
    with _importing(desk):
        inspection = releases.inspect(folder)
    if inspection.problems:
        raise releases.ReleaseRefused(str(folder), inspection.problems, "Correct the scripts and check again.")
    desk.done(f"{len(inspection.definitions)} definitions, nothing to complain about.", flags=list(inspection.flags))


def _importing(desk: Desk) -> Status:
    """What a terminal shows meanwhile: a script that does not come to its end takes the whole time."""
    return desk.errors.status(f"Importing the scripts, for {releases.TIME_LIMIT_S:.0f} s at most ...")
