"""How far the batch jobs of attempts are: one count for the sentences, the pages and the terminal."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.orm import Session, aliased

from b2cal.model import GroupState, Incident, Job, JobGroup, JobState, Stage


@dataclass(frozen=True)
class Jobs:
    """Batch jobs of an attempt. A job that failed and is tried again counts once.

    Attributes:
        total: jobs of all stages so far.
        failed: ended without success, and nobody tries again.
        retried: tries beyond the first.
        cpu_s: of all tries.
    """

    total: int
    done: int
    running: int
    queued: int
    failed: int
    retried: int
    cpu_s: float

    @property
    def parts(self) -> tuple[tuple[str, int], ...]:
        """Tone and number, in the order of a bar."""
        return ("good", self.done), ("busy", self.running), ("idle", self.queued), ("bad", self.failed)

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
            _number(and_(Job.state == JobState.RUNNING, counts)).label("running"),
            _number(and_(Job.state == JobState.QUEUED, counts)).label("queued"),
            _number(Job.copy_of.is_(None)).label("tries"),
            func.sum(Job.cpu_s).label("cpu_s"),
            _number(JobGroup.state.in_([GroupState.WANTED, GroupState.SUBMITTED])).label("going"),
            _number(again).label("again"),
            func.min(case((again, JobGroup.not_before))).label("not_before"),
            _number(and_(wanted, JobGroup.asks_since.is_not(None))).label("asks"),
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
        total, done, running, queued = int(row.total), int(row.done), int(row.running), int(row.queued)
        failed, retried = max(0, total - done - running - queued), int(row.tries) - total
        jobs = Jobs(total, done, running, queued, failed, retried, float(row.cpu_s or 0.0))
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
    columns = zip(*((p.total, p.done, p.running, p.queued, p.failed, p.retried, p.cpu_s) for p in parts), strict=True)
    sums = [sum(column) for column in columns] or [0] * 7
    total, done, running, queued, failed, retried = (int(number) for number in sums[:6])
    return Jobs(total, done, running, queued, failed, retried, sums[6])


def tried_again_at(group: JobGroup, at: datetime) -> datetime | None:
    """When the jobs of a group, which failed in the round before, are tried again; None if that is not to come."""
    waits = group.state is GroupState.WANTED and group.round > 0 and group.not_before > at
    return group.not_before if waits else None


def waits_for_decision(group: JobGroup) -> bool:
    """Whether the jobs of a group, which failed in the round before, are not tried again before somebody decides."""
    return group.state is GroupState.WANTED and group.asks_since is not None


def slow_in_words(job: Job) -> str:
    """That a job runs far longer than its siblings; empty if it does not, or has ended."""
    return job.slow if job.state is JobState.RUNNING else ""


def next_try(stages: Iterable[StageJobs], at: datetime) -> NextTry | None:
    """The jobs that are tried again later, and when the first of them is."""
    later = [stage.again for stage in stages if stage.again is not None and stage.again.at > at]
    return NextTry(sum(it.n_jobs for it in later), min(it.at for it in later)) if later else None
