"""The stand-in for LSF, running in a folder."""

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

STAND_IN = Path(__file__).with_name("stand_in.py")
COMMANDS = ("bsub", "bmod", "bjobs", "bhist", "bkill", "lsid")


@dataclass(frozen=True)
class Cluster:
    """A cluster; `commands` is the folder with LSF's commands."""

    folder: Path

    @property
    def commands(self) -> Path:
        return self.folder / "bin"

    def fails(self, command: str, how: str) -> None:
        """From now on a command fails: `refuse`, `mute` or `hang`."""
        (self.folder / "faults").mkdir(exist_ok=True)
        (self.folder / "faults" / command).write_text(how)

    def works(self, command: str) -> None:
        """It does its work again."""
        (self.folder / "faults" / command).unlink()

    def forgets_after(self, seconds: float) -> None:
        """bjobs shows what has ended so long: CLEAN_PERIOD."""
        file = self.folder / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "clean_period_s": seconds}))

    def says(self, stat: str) -> None:
        """bjobs says this of every job that has not ended: that it is suspended, or runs."""
        with closing(sqlite3.connect(self.folder / "lsf.db", timeout=60)) as db, db:
            db.execute("UPDATE job SET stat = ? WHERE ended IS NULL", (stat,))

    def forgets_everything(self) -> None:
        """Neither bjobs nor bhist knows anything any more; what runs is killed."""
        with closing(sqlite3.connect(self.folder / "lsf.db", timeout=60)) as db, db:
            db.execute("DELETE FROM job")
            db.execute("DELETE FROM happened")


@contextmanager
def running_lsf(folder: Path, slots: int = 2, apart: Sequence[str | Path] = ()) -> Iterator[Cluster]:
    """A cluster of two hosts, as it says; one that was in the folder goes on.

    Args:
        folder: where it keeps everything.
        slots: jobs at a time.
        apart: the call under which its daemon and its jobs run: see apart.sh.
    """
    cluster = Cluster(folder)
    cluster.commands.mkdir(parents=True, exist_ok=True)
    (folder / "stop").unlink(missing_ok=True)
    (folder / "up").unlink(missing_ok=True)
    (folder / "config.json").write_text(json.dumps({"slots": slots}))
    for name in COMMANDS:
        command = cluster.commands / name
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -S {STAND_IN} {name} {folder} "$@"\n')
        command.chmod(0o755)
    python = Path(sys.executable).resolve()
    daemon = subprocess.Popen([*apart, python, "-S", STAND_IN, "daemon", folder], start_new_session=True)
    try:
        give_up_at = time.monotonic() + 30
        while not (folder / "up").exists():
            assert daemon.poll() is None, "the stand-in for LSF does not start"
            assert time.monotonic() < give_up_at
            time.sleep(0.01)
        yield cluster
    finally:
        (folder / "stop").touch()
        assert daemon.wait(timeout=30) == 0
