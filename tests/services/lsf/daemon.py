"""What starts the jobs of the stand-in for LSF, kills them, and notices their end."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from state import config, job_name, keep, state

OWNER = "TERM_OWNER: job killed by owner"
UNKNOWN = "TERM_UNKNOWN: unknown reason"  # what ran when the machines were switched off
KILL_AFTER_S = 10.0  # JOB_TERMINATE_INTERVAL


class Daemon:
    """Starts jobs while there are slots, kills those that are to be killed, notices the end of each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[tuple[int, int], subprocess.Popen[bytes]] = {}
        self._hard: dict[tuple[int, int], float] = {}

    def run(self) -> None:
        with state(self._folder) as db:
            for row in db.execute("SELECT * FROM job WHERE stat = 'RUN'").fetchall():
                self._end(db, row, "EXIT", None, UNKNOWN, f"Exited; {UNKNOWN};")
        (self._folder / "up").touch()
        while not (self._folder / "stop").exists():
            with state(self._folder) as db:
                self._kill(db)
                self._reap(db)
                self._start(db)
            time.sleep(0.03)
        for process in self._running.values():
            os.killpg(process.pid, signal.SIGKILL)

    def _kill(self, db: sqlite3.Connection) -> None:
        for row in db.execute("SELECT * FROM job WHERE kill_signal IS NOT NULL AND ended IS NULL").fetchall():
            key = row["number"], row["element"]
            process = self._running.get(key)
            if process is None:
                self._end(db, row, "EXIT", None, OWNER, f"Exited; {OWNER};")
            elif key not in self._hard:
                self._hard[key] = time.monotonic() + KILL_AFTER_S
                os.killpg(process.pid, row["kill_signal"])
            elif time.monotonic() > self._hard[key]:
                os.killpg(process.pid, signal.SIGKILL)

    def _reap(self, db: sqlite3.Connection) -> None:
        for key, process in list(self._running.items()):
            code = process.poll()
            if code is None:
                continue
            del self._running[key]
            row = db.execute("SELECT * FROM job WHERE number = ? AND element = ?", key).fetchone()
            if row is None:
                continue
            copy_files(json.loads(row["spec"]), "<")
            used = "The CPU time used is 0.1 seconds;"
            if code == 0:
                self._end(db, row, "DONE", 0, "", f"Done successfully. {used}")
            else:
                exit_code = code if code > 0 else 128 - code
                reason = OWNER if row["kill_signal"] is not None else ""
                self._end(db, row, "EXIT", exit_code, reason, f"Exited with exit code {exit_code}. {used}")
                if reason:
                    _keep(db, row, f"Completed <exit>; {OWNER};")

    def _end(
        self, db: sqlite3.Connection, row: sqlite3.Row, stat: str, code: int | None, reason: str, what: str
    ) -> None:
        db.execute(
            "UPDATE job SET stat = ?, exit_code = ?, reason = ?, ended = ? WHERE number = ? AND element = ?",
            (stat, code, reason, time.time(), row["number"], row["element"]),
        )
        _keep(db, row, what)

    def _start(self, db: sqlite3.Connection) -> None:
        setup = config(self._folder)
        free = setup["slots"] - len(self._running)
        waiting = "SELECT * FROM job WHERE stat = 'PEND' AND kill_signal IS NULL ORDER BY number, element"
        for row in db.execute(waiting) if free > 0 else ():
            limit = json.loads(row["spec"])["limit"]
            if limit and sum(number == row["number"] for number, _ in self._running) >= limit:
                continue
            host = self._place(db, json.loads(row["spec"]), setup)
            if not host:
                continue
            self._begin(db, row, host)
            free -= 1
            if free <= 0:
                break

    def _place(self, db: sqlite3.Connection, spec: Mapping[str, Any], setup: Mapping[str, Any]) -> str:
        """The name of a host with a free slot on which a job may run, as little used as any."""
        running = [row["host"] for row in db.execute("SELECT host FROM job WHERE stat = 'RUN'")]
        refused = re.findall(r"hname!='([^']*)'", spec["requirement"])
        its = [name for name in setup["hosts"] if name not in refused and spec["only"] in ("", name)]
        most = setup["slots"] / len(setup["hosts"])
        return min((name for name in its if running.count(name) < most), key=running.count, default="")

    def _begin(self, db: sqlite3.Connection, row: sqlite3.Row, host: str) -> None:
        spec = json.loads(row["spec"])
        index = {"%J": str(row["number"]), "%I": str(row["element"])}
        out, err = (re.sub("%[JI]", lambda match: index[match[0]], spec[key]) for key in ("out", "err"))
        env = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            **spec["env"],
            "LSB_JOBID": str(row["number"]),
            "LSB_JOBINDEX": str(row["element"]),
            "LSB_JOBNAME": job_name(row),
            "LSB_HOSTS": host,
        }
        copy_files(spec, ">")
        command = [*spec["shell"], "-c", spec["script"] or " ".join(spec["command"])]
        with open(out, "ab") as stdout, open(err or out, "ab") as stderr:
            process = subprocess.Popen(
                command,
                cwd=spec["cwd"],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        self._running[row["number"], row["element"]] = process
        db.execute(
            "UPDATE job SET stat = 'RUN', started = ?, host = ? WHERE number = ? AND element = ?",
            (time.time(), host, row["number"], row["element"]),
        )
        _keep(db, row, f"Dispatched 1 Task(s) on Host(s) <{host}>, Allocated 1 Slot(s) on Host(s) <{host}>;")
        _keep(db, row, f"Starting (Pid {process.pid});")


def copy_files(spec: Mapping[str, Any], direction: str) -> None:
    """`-f "LOCAL > REMOTE"` before a job, `-f "LOCAL < REMOTE"` after it; remote names are below its working folder."""
    for words in spec["files"]:
        local, its, remote = words.split()
        there = Path(spec["cwd"], remote)
        if its == direction == ">":
            shutil.copy(local, there)
        elif its == direction and there.exists():
            shutil.copy(there, local)


def _keep(db: sqlite3.Connection, row: sqlite3.Row, what: str) -> None:
    keep(db, row["number"], row["element"], what)
