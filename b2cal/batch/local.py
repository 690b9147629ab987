"""The batch system of one machine: the queue is rows, the jobs are processes that outlive every process of b2cal.

Whoever calls `events` also keeps the machine busy: ended jobs are noticed, queued ones are started up to the slots. A
row says `running` before its process is started; so a job whose row says `queued` has none, and one whose row says
`running` is known by its folder, see `local_process`. Nothing is known only to the process that started it.
"""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy import Executable, bindparam, func, select, update
from sqlalchemy.orm import Session

from b2cal.model import Database, JobState, LocalJob, now

from . import local_process
from .contract import START, BatchError, BatchGroup, BatchId, Cursor, Handle, JobEvent
from .crashpoints import crashpoint
from .local_process import Standing
from .report import printed

CANCELLED = "It was cancelled."

START_PATIENCE = timedelta(seconds=10)
"""How long a wrapper may take to write into its lock file before it is started once more."""

MOST_STARTS = 6
"""How often a wrapper is started that does not come up: a minute of trouble passes, and a broken folder ends as failed.

The retry rules then give it a new folder. Starts are counted by one client; another one counts anew.
"""

CANCEL_PATIENCE_S = 5.0
"""How long the processes of a killed job may take to be gone."""

_TICK = timedelta(microseconds=1)
_ENDED_AS = {Standing.DONE: JobState.DONE, Standing.FAILED: JobState.FAILED}

_LIVE = (JobState.QUEUED, JobState.RUNNING)

# Asked several times a second: made once, because making a statement takes longer than carrying it out.
_JOBS = select(LocalJob.id, LocalJob.folder).order_by(LocalJob.id)
_RUNNING = _JOBS.where(LocalJob.state == JobState.RUNNING)
_WAITING = _JOBS.where(LocalJob.state == JobState.QUEUED).limit(bindparam("slots"))
_CHANGED = select(LocalJob).where(LocalJob.changed_at > bindparam("since")).order_by(LocalJob.changed_at)
_BEGINNING = datetime.min.replace(tzinfo=UTC)

log = structlog.get_logger(__name__)


class LocalBackend:
    """Runs jobs on this machine, `slots` at a time (0: one for each core that this process may use)."""

    def __init__(self, database: Database, slots: int = 0) -> None:
        self._database = database
        self._slots = slots or len(os.sched_getaffinity(0))
        self._starts: dict[int, list[datetime]] = {}

    def ready(self) -> None:
        """This machine is there."""

    def submit(self, group: BatchGroup) -> None:
        def unit(db: Session) -> None:
            same = select(LocalJob.id).where(LocalJob.token == group.token, LocalJob.epoch == group.epoch)
            if db.scalar(same.limit(1)) is not None:
                return
            queued_at, moments = now(db), _moments(db)
            db.add_all(
                LocalJob(
                    token=group.token,
                    epoch=group.epoch,
                    number=job.number,
                    folder=str(job.folder),
                    state=JobState.QUEUED,
                    queued_at=queued_at,
                    changed_at=next(moments),
                )
                for job in group.jobs
            )

        self._database.write(unit)

    def find(self, token: str) -> list[Handle]:
        with self._database.read() as db:
            return [
                _handle(row)
                for row in db.scalars(select(LocalJob).where(LocalJob.token == token).order_by(LocalJob.id))
            ]

    def events(self, since: Cursor) -> Iterator[JobEvent]:
        self._keep_busy()
        moment = _BEGINNING if since == START else datetime.fromisoformat(since)
        with self._database.read() as db:
            rows = db.scalars(_CHANGED, {"since": moment})
            events = [JobEvent(_handle(row), row.changed_at, row.changed_at.isoformat()) for row in rows]
        return iter(events)

    def cancel(self, jobs: Sequence[BatchId]) -> None:
        ids = [_row_id(job) for job in jobs]
        with self._database.read() as db:
            folders = _folders(db, _JOBS.where(LocalJob.id.in_(ids), LocalJob.state.in_(_LIVE)))
        waiting = self._change(dict.fromkeys(folders, JobState.CANCELLED), JobState.QUEUED)
        running = {row_id: folder for row_id, folder in folders.items() if row_id not in waiting}
        gone = [row_id for row_id, folder in running.items() if _end(folder)]
        if gone:
            crashpoint("killed-to-row")
            self._change(dict.fromkeys(gone, JobState.CANCELLED), JobState.RUNNING)
        if len(gone) < len(running):
            raise BatchError(
                f"{len(running) - len(gone)} of {len(jobs)} jobs do not end, or cannot be looked at.",
                hint="Most often a file system does not answer: they hang in the kernel, or nobody can read there.",
            )

    def avoid(self, hosts: Sequence[str]) -> None:
        pass

    def log(self, job: BatchId, tail: int | None = None) -> bytes:
        with self._database.read() as db:
            folder = db.scalar(select(LocalJob.folder).where(LocalJob.id == _row_id(job)))
        if folder is None:
            raise BatchError(f"There is no local job {job}.", hint="It may belong to another database.")
        return printed(Path(folder), tail)

    def _keep_busy(self) -> None:
        """Notice what has ended, start what waits."""
        with self._database.read() as db:
            running = _folders(db, _RUNNING)
            waiting = _folders(db, _WAITING, slots=self._slots)
        self._starts = {row_id: starts for row_id, starts in self._starts.items() if row_id in running}
        ended = {row_id: state for row_id, folder in running.items() if (state := self._ended_as(row_id, folder))}
        if ended:
            crashpoint("ended-to-row")
            self._change(ended, JobState.RUNNING)
        free = max(0, self._slots - len(running) + len(ended))
        starting = list(waiting)[:free]
        if starting:
            ours = self._change(dict.fromkeys(starting, JobState.RUNNING), JobState.QUEUED)
            crashpoint("row-to-spawn")
            for row_id in sorted(ours):
                self._start(row_id, waiting[row_id])

    def _ended_as(self, row_id: int, folder: Path) -> JobState | None:
        """The state in which a running job has ended; None if it has not. One that did not come up is started again."""
        try:
            standing = local_process.look(folder)
            if standing is Standing.NOT_STARTED:
                standing = self._start_again(row_id, folder)
        except OSError as error:
            log.warning("a job cannot be looked at, others go on", folder=str(folder), error=str(error))
            return None
        return _ENDED_AS.get(standing)

    def _start_again(self, row_id: int, folder: Path) -> Standing:
        """Start a job once more that did not come up in time, unless that was in vain too often."""
        starts = self._starts.get(row_id, [])
        if starts and self._database.clock.now() <= starts[-1] + START_PATIENCE:
            return Standing.NOT_STARTED
        if len(starts) >= MOST_STARTS:
            return local_process.stop_starting(folder)
        self._start(row_id, folder)
        return Standing.NOT_STARTED

    def _start(self, row_id: int, folder: Path) -> None:
        self._starts.setdefault(row_id, []).append(self._database.clock.now())
        try:
            local_process.start(folder)
        except (OSError, subprocess.SubprocessError) as error:
            log.warning("a job could not be started, it is tried again", folder=str(folder), error=str(error))
        crashpoint("spawn-to-lock")

    def _change(self, states: Mapping[int, JobState], expected: JobState) -> set[int]:
        """Give rows that are in the expected state their new one; returns which were."""
        if not states:
            return set()

        def unit(db: Session) -> set[int]:
            changed = set()
            for (row_id, state), moment in zip(states.items(), _moments(db), strict=False):
                rows = update(LocalJob).where(LocalJob.id == row_id, LocalJob.state == expected)
                if db.execute(rows.values(state=state, changed_at=moment)).rowcount:  # type: ignore[attr-defined]
                    changed.add(row_id)
            return changed

        return self._database.write(unit)


def _folders(db: Session, rows: Executable, **values: object) -> dict[int, Path]:
    return {row_id: Path(folder) for row_id, folder in db.execute(rows, values)}


def _moments(db: Session) -> Iterator[datetime]:
    """Times for changes of rows: each later than all before, whatever the clock does, so that a time is a cursor."""
    last = db.scalar(select(func.max(LocalJob.changed_at)))
    moment = now(db) if last is None else max(now(db), last + _TICK)
    while True:
        yield moment
        moment += _TICK


def _end(folder: Path) -> bool:
    """Kill a job and wait until none of its processes is left; False if some stay, or if nobody can tell."""
    patience_ends = time.monotonic() + CANCEL_PATIENCE_S
    try:
        while not local_process.give_up(folder, CANCELLED):
            local_process.kill(folder)
            if time.monotonic() > patience_ends:
                return False
            time.sleep(0.01)
    except OSError as error:
        log.warning("a job cannot be looked at, others are ended", folder=str(folder), error=str(error))
        return False
    return True


def _row_id(job: BatchId) -> int:
    """The row of a job; none has the number -1."""
    return int(job) if job.isdecimal() else -1


def _handle(row: LocalJob) -> Handle:
    return Handle(row.token, row.epoch, row.number, str(row.id), row.state)
