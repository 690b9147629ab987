"""The batch jobs of attempts as a table: filtered, ordered, read page by page.

A page ends with a cursor: what the last job on it was ordered by. The next page begins behind that, so jobs that come
or change meanwhile move no other job from one page to the next.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, SQLColumnExpression, and_, case, cast, func, not_, or_, select
from sqlalchemy.orm import Session, contains_eager, defer

from b2cal.core.failures import Source
from b2cal.model import Attempt, Calibration, Job, JobGroup, JobState, Stage

from .errors import InvalidChoice
from .jobs import IS_HELD, JobWord

SOURCES: Mapping[Source, str] = {
    Source.SIGNAL: "signal",
    Source.EXIT: "exit code",
    Source.OUTPUT: "output is missing",
    Source.HOLD: "hold",
    Source.LSF: "LSF",
    Source.LOST: "nobody saw it end",
}
"""Who says that a job failed, as people read it."""

_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class JobFilter:
    """Which jobs are wanted; what is None or empty fits all.

    Attributes:
        host: part of the name of its machine.
        text: part of its first error or of what it works on.
        source: who says that it failed.
    """

    state: JobWord | None = None
    stage: Stage | None = None
    host: str = ""
    text: str = ""
    source: Source | None = None

    @property
    def is_narrow(self) -> bool:
        """Whether it asks for more than a state."""
        return replace(self, state=None) != JobFilter()

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        """The same for a query of jobs with their groups."""
        found: list[ColumnElement[bool]] = []
        if self.state is not None:
            is_held = self.state is JobWord.HELD
            found.append(IS_HELD if is_held else and_(Job.state == JobState(self.state), not_(IS_HELD)))
        if self.stage is not None:
            found.append(JobGroup.stage == self.stage)
        if self.source is not None:
            found.append(Job.source == self.source)
        if self.host:
            found.append(Job.host.icontains(self.host, autoescape=True))
        if self.text:
            texts = (Job.error, Job.label)
            found.append(or_(*(text.icontains(self.text, autoescape=True) for text in texts)))
        return found


class JobOrder(StrEnum):
    """What a table of jobs is ordered by; a job that has no such value yet comes last.

    By number: the latest stage first. Started: the earliest first. Processor time and memory: the most first.
    """

    NUMBER = "number"
    STARTED = "started"
    CPU = "cpu"
    MEMORY = "memory"


@dataclass(frozen=True)
class JobPage:
    """Some jobs, with group and attempt.

    Attributes:
        cursors: the place behind each of them.
        is_last: no job follows.
        counts: jobs by state that fit all but the state that was asked for.
    """

    jobs: Sequence[Job]
    cursors: Sequence[str]
    is_last: bool
    counts: Mapping[JobWord, int]

    @property
    def after(self) -> str | None:
        """Where the next page begins; None: there is none."""
        return None if self.is_last else self.cursors[-1]

    def total(self, state: JobWord | None) -> int:
        """How many jobs fit, those of other pages too."""
        return sum(self.counts.values()) if state is None else self.counts.get(state, 0)


@dataclass(frozen=True)
class _Key:
    """Two values that order all jobs: the first by what was asked for, the second to tell equal ones apart.

    Both are whole numbers or moments, which come back from a cursor as they were; processor time counts by its
    milliseconds.
    """

    first: SQLColumnExpression[Any]
    second: SQLColumnExpression[int]
    read: Callable[[str], int | datetime]
    descending: bool = True

    @property
    def order(self) -> tuple[ColumnElement[Any], ...]:
        """What has no first value comes last; both databases take NULL for the smallest."""
        if self.descending:
            return self.first.desc(), self.second.asc()
        return self.first.is_(None), self.first.asc(), self.second.asc()

    def behind(self, first: int | datetime | None, second: int) -> ColumnElement[bool]:
        if first is None:
            return and_(self.first.is_(None), self.second > second)
        further = self.first < first if self.descending else self.first > first
        return or_(further, self.first.is_(None), and_(self.first == first, self.second > second))


def _whole(text: str) -> int:
    number = int(text)
    if abs(number) > _LARGEST:
        raise ValueError(f"no column holds {number}")
    return number


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


_KEYS: Mapping[JobOrder, _Key] = {
    JobOrder.NUMBER: _Key(Job.group_id, Job.number, _whole),
    JobOrder.STARTED: _Key(Job.started_at, Job.id, _moment, descending=False),
    JobOrder.CPU: _Key(cast(Job.cpu_s * 1000, BigInteger), Job.id, _whole),
    JobOrder.MEMORY: _Key(Job.memory_bytes, Job.id, _whole),
}


def job_page(
    db: Session,
    attempts: Collection[int],
    wanted: JobFilter,
    order: JobOrder = JobOrder.NUMBER,
    after: str = "",
    limit: int | None = None,
) -> JobPage:
    """The jobs of these attempts that are wanted, from behind the cursor `after` on, at most `limit` of them.

    Raises:
        InvalidChoice: `after` is no cursor of a table in this order.
    """
    key = _KEYS[order]
    query = (
        select(Job, key.first, key.second)
        .join(Job.group)
        .where(JobGroup.attempt_id.in_(attempts), *wanted.conditions)
        .options(contains_eager(Job.group).joinedload(JobGroup.attempt).joinedload(Attempt.calibration), *_LIGHT)
        .order_by(*key.order)
        .limit(None if limit is None else limit + 1)
    )
    if after:
        query = query.where(key.behind(*_read(after, order)))
    rows = db.execute(query).all()
    shown = rows[:limit]
    return JobPage(
        jobs=[job for job, _, _ in shown],
        cursors=[f"{order}:{_written(first)}:{second}" for _, first, second in shown],
        is_last=len(shown) == len(rows),
        counts=_counts(db, attempts, wanted),
    )


def other_tries(db: Session, jobs: Sequence[Job]) -> dict[int, list[Job]]:
    """The other tries of those of these jobs that were tried more than once, by id of the job, the first try first."""
    rows = (
        select(Job)
        .join(Job.group)
        .where(
            JobGroup.attempt_id.in_({job.group.attempt_id for job in jobs}),
            JobGroup.stage.in_({job.group.stage for job in jobs}),
            JobGroup.iteration.in_({job.group.iteration for job in jobs}),
            Job.number.in_({job.number for job in jobs}),
        )
        .options(contains_eager(Job.group), *_LIGHT)
        .order_by(JobGroup.round)
    )
    parts: dict[tuple[object, ...], list[Job]] = {}
    for one in db.scalars(rows):
        parts.setdefault(_part(one), []).append(one)
    return {job.id: others for job in jobs if (others := [one for one in parts[_part(job)] if one.id != job.id])}


def attempts_of(db: Session, calibration_id: int) -> dict[int, int]:
    """The attempts of a calibration by their numbers, the latest first."""
    rows = select(Attempt.number, Attempt.id).where(Attempt.calibration_id == calibration_id)
    return dict(db.execute(rows.order_by(Attempt.number.desc())).all())


def attempts_that_count(db: Session, processing_id: int) -> list[int]:
    """The live attempts of a processing."""
    its = select(Attempt.id).join(Calibration, Calibration.id == Attempt.calibration_id)
    return list(db.scalars(its.where(Calibration.processing_id == processing_id, Attempt.live.is_(True))))


def said_by(job: Job) -> str:
    """Who says that a job failed, with the number that goes with it: `signal 9`, `hold 34`."""
    if job.source is None:
        return ""
    return SOURCES[job.source] if job.code is None else f"{SOURCES[job.source]} {job.code}"


def memory_in_words(job: Job, usual_mb: int | None) -> str:
    """What a job used of what it was allowed, or else of what it asked for: `1,335 of 2,000 MB`, of 2^20 bytes each."""
    asked = job.memory_mb or usual_mb
    if job.memory_bytes is None:
        return f"asks for {asked:,} MB" if asked else ""
    allowed = job.limits.get("memory_bytes") or (asked and asked * 2**20)
    return f"{_mb_of(job.memory_bytes, allowed)} MB"


def disk_in_words(job: Job) -> str:
    """What the folder of a job took of what it was allowed, in MB of 2^20 bytes; empty if that is not known."""
    if job.disk_bytes is None:
        return ""
    return f"{_mb_of(job.disk_bytes, job.limits.get('disk_bytes'))} MB"


def _mb_of(used: float, allowed: float | None) -> str:
    return f"{used / 2**20:,.0f} of {allowed / 2**20:,.0f}" if allowed else f"{used / 2**20:,.0f}"


# What all jobs of a group, or a job, were given to read may be long, and no table shows it.
_LIGHT = (defer(Job.spec), contains_eager(Job.group).defer(JobGroup.spec))


def _written(value: int | datetime | None) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _read(after: str, order: JobOrder) -> tuple[int | datetime | None, int]:
    of, _, rest = after.partition(":")
    first, colon, second = rest.rpartition(":")
    with suppress(ValueError, OverflowError):
        if of == order and colon:
            return _KEYS[order].read(first) if first else None, _whole(second)
    raise InvalidChoice(
        f"{after[:80]!r} is no place in a table of jobs by {order}.",
        hint="Take it from the end of a page in the same order, or begin without one.",
    )


def _counts(db: Session, attempts: Collection[int], wanted: JobFilter) -> dict[JobWord, int]:
    rows = (
        select(Job.state, func.count(), func.sum(case((IS_HELD, 1), else_=0)))
        .join(Job.group)
        .where(JobGroup.attempt_id.in_(attempts), *replace(wanted, state=None).conditions)
        .group_by(Job.state)
    )
    counts: Counter[JobWord] = Counter()
    for state, number, n_held in db.execute(rows):
        counts[JobWord(state)] += number - int(n_held)
        counts[JobWord.HELD] += int(n_held)
    return +counts


def _part(job: Job) -> tuple[object, ...]:
    """The part of the work that all tries of a job do."""
    return job.group.attempt_id, job.group.stage, job.group.iteration, job.number
