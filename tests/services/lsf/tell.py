"""bjobs and bhist."""

import json
import re
import shlex
import sqlite3
import sys
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from state import Refused, config, expanded, job_id, job_name, state

RULE = "-" * 78


def chosen(db: sqlite3.Connection, ids: Sequence[str], name: str) -> tuple[list[sqlite3.Row], list[str]]:
    """The jobs that are asked for, and what is said about those that do not exist."""
    rows = db.execute("SELECT * FROM job ORDER BY number, element").fetchall()
    if name:
        pattern = re.compile(".*".join(map(re.escape, name.split("*"))))
        rows = [row for row in rows if pattern.fullmatch(row["name"]) or pattern.fullmatch(job_name(row))]
        return rows, [] if rows else [f"Job <{name}> is not found"]
    if not ids:
        return rows, [] if rows else ["No job found"]
    found, missing = [], []
    for one in ids:
        match = re.fullmatch(r"(\d+)(?:\[([\d,\-]+)\])?", one)
        wanted = expanded(match[2]) if match and match[2] else None
        its = [
            row
            for row in rows
            if match and row["number"] == int(match[1]) and (wanted is None or row["element"] in wanted)
        ]
        found += its
        missing += [] if its else [f"Job <{one}> is not found"]
    return found, missing


class Words(ArgumentParser):
    """Options as LSF's commands take them; what is not known here is refused."""

    def __init__(self, *flags: str) -> None:
        super().__init__(add_help=False, allow_abbrev=False)
        for flag in flags:
            self.add_argument(flag, action="store_true")
        self.add_argument("ids", nargs="*")

    def error(self, message: str) -> NoReturn:
        raise Refused(f"{message}. Illegal option.")


BJOBS = Words("-a", "-json", "-noheader", "-UF", "-l", "-w", "-V")
BJOBS.add_argument("-o", dest="fields", default="")
BJOBS.add_argument("-J", dest="name", default="")
BJOBS.add_argument("-aJ", dest="any_name", default="")
BHIST = Words("-l", "-a", "-UF", "-w")
BHIST.add_argument("-J", dest="name", default="")
BHIST.add_argument("-n", dest="logs", default="")


def bjobs(folder: Path, words: Sequence[str]) -> str:
    asked = BJOBS.parse_args(words)
    if asked.V:
        raise Refused("IBM Spectrum LSF 10.1.0.0 (stand-in for tests)")
    everything = asked.a or asked.any_name or asked.ids
    since = time.time() - config(folder)["clean_period_s"]
    with state(folder) as db:
        rows, missing = chosen(db, asked.ids, asked.name or asked.any_name)
        rows = [row for row in rows if row["ended"] is None or (everything and row["ended"] >= since)]
        blocks = [block(row, lines(db, row), f"Status <{row['stat']}>, Queue <normal>, ") for row in rows if asked.UF]
    if not rows and not missing:
        missing = ["No job found" if everything else "No unfinished job found"]
    sys.stderr.write("".join(f"{line}\n" for line in missing))
    if asked.json:
        return as_json(rows, asked.fields, asked.ids, missing)
    if not rows:
        sys.exit(255)
    if asked.UF:
        return "\n\n".join(blocks)
    return customized(rows, asked.fields or "jobid stat job_name", header=not asked.noheader)


def value(row: sqlite3.Row, field: str) -> str:
    values = {
        "jobid": str(row["number"]),
        "jobindex": str(row["element"]),
        "stat": row["stat"],
        "job_name": job_name(row),
        "exit_code": "" if row["exit_code"] in (None, 0) else str(row["exit_code"]),
        "exit_reason": row["reason"],
        "exec_host": row["host"],
    }
    if field not in values:
        raise Refused(f"{field}: Bad field name.")
    return str(values[field])


def fields_of(text: str) -> list[str]:
    return [word.partition(":")[0].lower() for word in text.split() if not word.startswith("delimiter=")]


def as_json(rows: Sequence[sqlite3.Row], fields: str, ids: Sequence[str], missing: Sequence[str]) -> str:
    records: list[dict[str, str]] = [{name.upper(): value(row, name) for name in fields_of(fields)} for row in rows]
    records += [{"JOBID": one, "ERROR": line} for one in ids for line in missing if f"<{one}>" in line]
    return json.dumps({"COMMAND": "bjobs", "JOBS": len(rows), "RECORDS": records}, indent=2)


def customized(rows: Sequence[sqlite3.Row], fields: str, *, header: bool) -> str:
    match = re.search(r"delimiter='(.)'", fields)
    between = match[1] if match else " "
    names = fields_of(fields)
    told = [between.join(value(row, name) or "-" for name in names) for row in rows]
    return "\n".join([*([between.join(name.upper() for name in names)] if header else []), *told])


def lines(db: sqlite3.Connection, row: sqlite3.Row) -> list[str]:
    happened = db.execute(
        "SELECT at, what FROM happened WHERE number = ? AND element = ? ORDER BY at, rowid",
        (row["number"], row["element"]),
    )
    return [f"{time.strftime('%a %b %d %H:%M:%S', time.localtime(at))}: {what}" for at, what in happened]


def block(row: sqlite3.Row, told: Sequence[str], more: str = "") -> str:
    spec = json.loads(row["spec"])
    name = f"Job Name <{job_name(row)}>, " if row["name"] else ""
    command = shlex.join(spec["command"]) or "script"
    head = f"Job <{job_id(row)}>, {name}User <me>, Project <{spec['project']}>, {more}Command <{command}>"
    return "\n".join([head, *told])


def bhist(folder: Path, words: Sequence[str]) -> str:
    asked = BHIST.parse_args(words)
    with state(folder) as db:
        rows, _ = chosen(db, asked.ids, asked.name)
        if not rows:
            raise Refused("No matching job found")
        blocks = [block(row, lines(db, row)) for row in rows]
    if not asked.UF:
        blocks = ["\n".join(map(wrapped, one.splitlines())) for one in blocks]
    return f"\n{RULE}\n\n".join(blocks)


def wrapped(line: str) -> str:
    """As LSF breaks long lines: at 79 characters, the rest behind 21 spaces."""
    pieces = [line[:79]]
    rest = line[79:]
    while rest:
        pieces.append(" " * 21 + rest[:58])
        rest = rest[58:]
    return "\n".join(pieces)
