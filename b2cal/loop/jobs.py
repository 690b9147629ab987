"""How far the batch jobs of attempts are: one count for the sentences, the pages and the terminal."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, case, func, not_, or_, select
from sqlalchemy.orm import Session, aliased

from b2cal.model import Attempt, Calibration, GroupState, Incident, Job, JobGroup, JobState, Stage


class JobWord(StrEnum):
    """How a job stands, as people read it, what needs eyes first.

    Held: it would be queued or running, but does not go on by itself. Its batch system holds or suspends it, or it has
    failed and is not tried again before somebody decides.
    """

    FAILED = "failed"
    HELD = "held"
    RUNNING = "running"
    QUEUED = "queued"
    CANCELLED = "cancelled"
    DONE = "done"


HELD_THERE = "Whoever holds or suspends a job there releases it; what the batch system itself stops, it lets go on."
"""Who is needed where a batch system holds jobs, in a sentence."""

_ASKS = and_(JobGroup.state == GroupState.WANTED, JobGroup.asks_since.is_not(None))
IS_HELD = or_(_ASKS, and_(Job.state.in_([JobState.QUEUED, JobState.RUNNING]), Job.pending_reason != ""))
"""Whether a job is held, for a query of jobs with their groups."""


@dataclass(frozen=True)
class Jobs:
    """Batch jobs of an attempt. A job that failed and is tried again counts once.

    Attributes:
        total: jobs of all stages so far.
        held: do not go on by themselves, see `JobWord`.
        failed: ended without success, and nobody tries again.
        retried: tries beyond the first.
        cpu_s: of all tries.
    """

    total: int
    done: int
    running: int
    queued: int
    held: int
    failed: int
    retried: int
    cpu_s: float

    @property
    def parts(self) -> tuple[tuple[str, int], ...]:
        """Tone and number, in the order of a bar."""
        going = ("good", self.done), ("busy", self.running), ("idle", self.queued)
        return (*going, ("ask", self.held), ("bad", self.failed))

    def __str__(self) -> str:
        return f"{self.done:,} / {self.total:,}"


@dataclass(frozen=True)
class NextTry:
    """Failed jobs that wait until they are tried again."""

    n_jobs: int
    at: datetime


@dataclass(frozen=True)
class StageJobs:
    """The jobs of one stage of an attempt.

    Attributes:
        goes_on: some of them have not ended, or are tried again.
        again: those that failed and are tried again.
        asks: how many failed, and are not tried again before somebody decides.
        slow: how many run far longer than their siblings.
        hindrance: why they could not be submitted yet, in a sentence; empty if nothing is known against it.
        incident: the number of the one for whose end some of them wait.
        stopped: how many do not run now, because they are held or suspended, with what the batch system says of one.
    """

    attempt_id: int
    stage: Stage
    iteration: int
    jobs: Jobs
    goes_on: bool
    again: NextTry | None
    asks: int
    slow: int
    hindrance: str
    incident: int | None
    stopped: tuple[int, str]


def stages_of(db: Session, attempts: Collection[int]) -> list[StageJobs]:
    """Every stage so far that these attempts have jobs in, the earlier ones of an attempt first.

    A copy that races a job counts only when that one has failed.
    """
    original = aliased(Job)
    counts = or_(Job.copy_of.is_(None), original.state == JobState.FAILED)
    wanted = JobGroup.state == GroupState.WANTED
    again = and_(wanted, JobGroup.round > 0, Job.copy_of.is_(None))
    rows = db.execute(
        select(
            JobGroup.attempt_id,
            JobGroup.stage,
            JobGroup.iteration,
            _number(JobGroup.round == 0).label("total"),
            _number(Job.state == JobState.DONE).label("done"),
            _number(and_(Job.state == JobState.RUNNING, counts, not_(IS_HELD))).label("running"),
            _number(and_(Job.state == JobState.QUEUED, counts, not_(IS_HELD))).label("queued"),
            _number(and_(IS_HELD, counts)).label("held"),
            _number(Job.copy_of.is_(None)).label("tries"),
            func.sum(Job.cpu_s).label("cpu_s"),
            _number(JobGroup.state.in_([GroupState.WANTED, GroupState.SUBMITTED])).label("going"),
            _number(again).label("again"),
            func.min(case((again, JobGroup.not_before))).label("not_before"),
            _number(_ASKS).label("asks"),
            _number(and_(Job.state == JobState.RUNNING, Job.slow != "")).label("slow"),
            func.max(case((wanted, Job.error), else_="")).label("hindrance"),
            func.max(case((and_(wanted, Incident.live.is_(True)), Incident.id))).label("incident"),
            _number(Job.pending_reason != "").label("stopped"),
            func.max(Job.pending_reason).label("pending_reason"),
        )
        .join(Job, Job.group_id == JobGroup.id)
        .outerjoin(Incident, Incident.id == JobGroup.incident_id)
        .outerjoin(original, original.id == Job.copy_of)
        .where(JobGroup.attempt_id.in_(attempts))
        .group_by(JobGroup.attempt_id, JobGroup.stage, JobGroup.iteration)
        .order_by(JobGroup.attempt_id, func.min(JobGroup.id))
    )
    found = []
    for row in rows:
        total, done, held = int(row.total), int(row.done), int(row.held)
        running, queued, retried = int(row.running), int(row.queued), int(row.tries) - total
        failed = max(0, total - done - running - queued - held)
        jobs = Jobs(total, done, running, queued, held, failed, retried, float(row.cpu_s or 0.0))
        again_at = NextTry(int(row.again), row.not_before) if row.again else None
        found.append(
            StageJobs(
                attempt_id=row.attempt_id,
                stage=row.stage,
                iteration=row.iteration,
                jobs=jobs,
                goes_on=bool(row.going),
                again=again_at,
                asks=int(row.asks),
                slow=int(row.slow),
                hindrance=row.hindrance,
                incident=row.incident,
                stopped=(int(row.stopped), row.pending_reason),
            )
        )
    return found


def _number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))


def by_attempt(stages: Iterable[StageJobs]) -> dict[int, Jobs]:
    """The jobs of all stages together, by attempt; those without jobs are left out."""
    parts: dict[int, list[Jobs]] = {}
    for stage in stages:
        parts.setdefault(stage.attempt_id, []).append(stage.jobs)
    return {attempt_id: together(jobs) for attempt_id, jobs in parts.items()}


def together(parts: Iterable[Jobs]) -> Jobs:
    """The jobs of several stages or attempts as one."""
    columns = zip(
        *((p.total, p.done, p.running, p.queued, p.held, p.failed, p.retried, p.cpu_s) for p in parts), strict=True
    )
    sums = [sum(column) for column in columns] or [0] * 8
    total, done, running, queued, held, failed, retried = (int(number) for number in sums[:7])
    return Jobs(total, done, running, queued, held, failed, retried, sums[7])


def tried_again_at(group: JobGroup, at: datetime) -> datetime | None:
    """When the jobs of a group, which failed in the round before, are tried again; None if that is not to come."""
    waits = group.state is GroupState.WANTED and group.round > 0 and group.not_before > at
    return group.not_before if waits else None


def waits_for_decision(group: JobGroup) -> bool:
    """Whether the jobs of a group, which failed in the round before, are not tried again before somebody decides."""
    return group.state is GroupState.WANTED and group.asks_since is not None


def job_word(job: Job) -> JobWord:
    """How a job stands, as people read it."""
    is_stopped = job.pending_reason != "" and not job.state.ended
    return JobWord.HELD if is_stopped or waits_for_decision(job.group) else JobWord(job.state)


def held_jobs(db: Session, processings: Collection[int]) -> dict[int, int]:
    """How many jobs of the attempts that count are held, by processing; those without are left out."""
    rows = db.execute(
        select(Calibration.processing_id, func.count())
        .join(Attempt, Attempt.calibration_id == Calibration.id)
        .join(JobGroup, JobGroup.attempt_id == Attempt.id)
        .join(Job, Job.group_id == JobGroup.id)
        .where(Calibration.processing_id.in_(processings), Attempt.live.is_(True), IS_HELD)
        .group_by(Calibration.processing_id)
    )
    return dict(rows.all())


def slow_in_words(job: Job) -> str:
    """That a job runs far longer than its siblings; empty if it does not, or has ended."""
    return job.slow if job.state is JobState.RUNNING else ""


def next_try(stages: Iterable[StageJobs], at: datetime) -> NextTry | None:
    """The jobs that are tried again later, and when the first of them is."""
    later = [stage.again for stage in stages if stage.again is not None and stage.again.at > at]
    return NextTry(sum(it.n_jobs for it in later), min(it.at for it in later)) if later else None
