"""Airflow's metadata database: made where there is none, brought up to date where Airflow is newer than it."""

import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from b2cal.core.errors import B2calError
from b2cal.core.files import write_atomically
from b2cal.settings import Settings

from .config import airflow_home, metadata_file

# No database, a damaged one, or an empty one that somebody made by opening a deleted file. Being locked is no defect.
BROKEN = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR)

PATIENCE_S = 30.0


class CannotMigrate(B2calError):
    """Airflow could not make or update its metadata database."""


def ready_metadata(settings: Settings, environment: Mapping[str, str]) -> None:
    """Make the metadata database if it is missing or unreadable; update it after an upgrade of Airflow.

    A new SQLite file is made beside its place and moved there when whole: a crash leaves none or a complete one.

    Raises:
        CannotMigrate: with the last lines of what Airflow said.
    """
    file = metadata_file(settings)
    stamp = airflow_home(settings) / "metadata_version.txt"
    if file is not None and not _is_readable(file):
        _make_anew(file, environment)
    elif not stamp.exists() or stamp.read_text() != _airflow_version():
        _migrate(environment)
    write_atomically(stamp, _airflow_version())


def _is_readable(file: Path) -> bool:
    if not file.exists():
        return False
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=rw", uri=True, timeout=PATIENCE_S)) as database:
            return len(database.execute("SELECT version_num FROM alembic_version").fetchall()) == 1
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode in BROKEN:
            return False
        raise


def _make_anew(file: Path, environment: Mapping[str, str]) -> None:
    if file.exists():
        file.replace(file.with_suffix(".unreadable"))
    for leftover in ("-journal", "-wal", "-shm"):  # SQLite would apply them to the new file
        file.with_name(file.name + leftover).unlink(missing_ok=True)
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    _migrate({**environment, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{fresh}"})
    fresh.replace(file)


def _migrate(environment: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "airflow", "db", "migrate"]
    done = subprocess.run(
        command, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        last = " / ".join(done.stdout.strip().splitlines()[-3:])
        raise CannotMigrate(
            f"Airflow could not prepare its metadata database: {last}",
            hint="Stop b2cal, move the folder `airflow` out of the home folder and start again: it holds no truth.",
        )


def _airflow_version() -> str:
    return version("apache-airflow-core")
