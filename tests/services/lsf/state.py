"""What the stand-in for LSF knows: its jobs, what happened to them, and how it is set up."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS job (
    number INTEGER, element INTEGER, name TEXT, spec TEXT, stat TEXT, exit_code INTEGER, reason TEXT DEFAULT '',
    submitted REAL, started REAL, ended REAL, kill_signal INTEGER, host TEXT DEFAULT '', PRIMARY KEY (number, element)
);
CREATE TABLE IF NOT EXISTS happened (number INTEGER, element INTEGER, at REAL, what TEXT);
"""


class Refused(Exception):
    """What a command prints on its standard error before it ends with 255."""


@contextmanager
def state(folder: Path) -> Iterator[sqlite3.Connection]:
    """One transaction."""
    with closing(sqlite3.connect(folder / "lsf.db", timeout=60)) as db:
        db.row_factory = sqlite3.Row
        db.executescript(SCHEMA)
        db.execute("BEGIN IMMEDIATE")
        with db:
            yield db


def config(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    usual = {"slots": 2, "hosts": ["h1", "h2"], "clean_period_s": 3600.0}
    return {**usual, **(json.loads(file.read_text()) if file.exists() else {})}


def keep(db: sqlite3.Connection, number: int, element: int, what: str) -> None:
    """Something has happened to a job."""
    db.execute("INSERT INTO happened VALUES (?, ?, ?, ?)", (number, element, time.time(), what))


def job_id(row: sqlite3.Row) -> str:
    return f"{row['number']}[{row['element']}]" if row["element"] else str(row["number"])


def job_name(row: sqlite3.Row) -> str:
    return f"{row['name']}[{row['element']}]" if row["element"] else str(row["name"])


def expanded(elements: str) -> list[int]:
    """`1-3,7` as numbers."""
    found: list[int] = []
    for part in elements.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found
