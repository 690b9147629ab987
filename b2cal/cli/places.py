"""Folders of data, as people type them."""

from pathlib import Path
from typing import Any

import click

from b2cal.calibration.doors import SCHEME
from b2cal.data import FolderBehindDoors
from b2cal.settings import Settings


class Place(click.Path):
    """A folder, or the address of one behind an XRootD door."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if str(value).startswith(SCHEME) else super().convert(value, param, ctx)


FOLDER = click.argument("folder", type=Place(file_okay=False, path_type=Path))


def name_of(folder: Path | str, settings: Settings) -> str:
    """How the catalogue calls a folder, whichever way it was given.

    Raises:
        NoDoor, DoorTrouble: as in `FolderBehindDoors.find`.
    """
    return str(folder.resolve()) if isinstance(folder, Path) else FolderBehindDoors.find(folder, settings).name
