"""`b2cal data`."""

import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import click

from b2cal import data as catalogue
from b2cal import loop, shipped
from b2cal.core.errors import B2calError

from .arrival import arrivals, expire, watch
from .copies import copies, copy_again
from .desk import Desk, pass_desk
from .places import FOLDER, name_of
from .ranges import Expiry

TOYDETECTOR = shipped("examples") / "toydetector"

_HOLDS_ANOTHER = os.EX_DATAERR  # by this exit code the simulation says it; Python and argparse have others


class SimulationFailed(B2calError):
    """The simulation ended with an error."""


class HoldsAnother(SimulationFailed):
    """The folder holds another simulation, of which nothing was replaced."""


class NothingUsable(B2calError):
    """A folder holds files, and no calibration can read any of them."""


@click.group()
def data() -> None:
    """Runs and files."""


data.add_command(watch)
data.add_command(arrivals)
data.add_command(expire)
data.add_command(copies)
data.add_command(copy_again)


@data.command()
@FOLDER
@click.option("--expires", type=Expiry(), help="All files below FOLDER may be deleted from this day on.")
@pass_desk
def scan(desk: Desk, folder: Path | str, expires: datetime | None) -> None:
    """Register the runs and files below FOLDER; what waits for them looks again.

    FOLDER may lie behind an XRootD door that b2cal.toml names: root://host:1094//store/raw.

    Files that were moved to FOLDER stay the same files. Where FOLDER is gone, its files are not used any more.

    Exit code 1 if there are files and none of them can be used.
    """
    desk.check_operator()
    place = folder if isinstance(folder, Path) else catalogue.FolderBehindDoors.find(folder, desk.settings)
    days = desk.settings.data.keep_days
    report = catalogue.scan(desk.workplace.database, place, timedelta(days=days) if days else None)
    # Also when nothing is new: the scan before may have been killed here, and a surplus file that is gone helps, too.
    desk.write(loop.data_arrived)
    if expires is not None and report.n_usable:
        name = name_of(folder, desk.settings)
        desk.write(lambda db: loop.keep_until(db, name, expires))
    desk.done(str(report), **report.to_json())
    if report.unusable and not report.n_usable:
        raise NothingUsable(
            f"None of the {len(report.unusable)} files below {folder} can be used.",
            "The reason stands beside each. Correct them and scan again.",
        )


@data.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--profile", type=click.Choice(["demo", "small"]), default="demo", show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@pass_desk
def simulate(desk: Desk, folder: Path, profile: str, seed: int) -> None:
    """Simulate runs of the toy detector into FOLDER; refused if it holds those of another profile or seed."""
    run_simulation(folder, profile, seed)
    desk.done(f"Simulated the {profile} profile into {folder}.")


def run_simulation(folder: Path, profile: str, seed: int) -> None:
    """Run the simulation of the toy detector in a process of its own.

    Raises:
        HoldsAnother: another seed, profile or version made what the folder holds.
        SimulationFailed: with the last line that it printed.
    """
    command = [sys.executable, str(TOYDETECTOR / "simulate.py"), "--out", str(folder), "--profile", profile]
    ended = subprocess.run([*command, "--seed", str(seed)], capture_output=True, text=True, check=False)
    said = ended.stderr.strip().splitlines() or ["it said nothing"]
    if ended.returncode == _HOLDS_ANOTHER:
        raise HoldsAnother(said[-1], "Give another folder, or remove this one.")
    if ended.returncode:
        raise SimulationFailed(f"The simulation failed: {said[-1]}", "Is the disk full, or the folder not writable?")
