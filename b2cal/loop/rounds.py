"""Rounds of a stage: its failed jobs are wanted once more, those that are done are kept.

A round may also hold copies of jobs that still run, and race them. Then two tries of a job are under way, and the one
that is done first counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session, aliased, selectinload
from sqlalchemy.orm.util import AliasedClass

from b2cal.core.ids import new_token
from b2cal.model import (
    Attempt,
    AttemptFile,
    Calibration,
    DataFile,
    GroupState,
    Job,
    JobGroup,
    JobState,
    Stage,
    State,
    UnreadableFile,
    now,
    stage_in_words,
)
from b2cal.runtime import OUTPUTS

from .errors import Conflict, NotFound
from .jobs import waits_for_decision
from .workplace import Workplace


@dataclass(frozen=True)
class Redone:
    """What another round does: how many jobs of a stage again, and how many it keeps."""

    stage: str
    again: int
    kept: int

    def __str__(self) -> str:
        jobs = "1 job that failed or was" if self.again == 1 else f"{self.again:,} jobs that failed or were"
        again = f"{self.stage}: {jobs} cancelled {'is' if self.again == 1 else 'are'} done again"
        return f"{again}, {self.kept:,} {'is' if self.kept == 1 else 'are'} kept" if self.kept else again


def next_round(
    last: JobGroup,
    jobs: Sequence[Job],
    at: datetime,
    not_before: datetime,
    memory_mb: Mapping[int, int | None],
    tries_from: int,
) -> JobGroup:
    """These jobs of a stage once more, after its round `last`, wanted at `at` and submitted from `not_before` on.

    `memory_mb` is what each asks for now, by number; without an entry as before. Tries count from round `tries_from`.
    """
    return JobGroup(
        attempt_id=last.attempt_id,
        stage=last.stage,
        iteration=last.iteration,
        round=last.round + 1,
        state=GroupState.WANTED,
        spec=last.spec,
        token=new_token(),
        epoch=0,
        not_before=not_before,
        wanted_at=at,
        tries_from=tries_from,
        jobs=[
            Job(
                number=job.number,
                label=job.label,
                spec=job.spec,
                state=JobState.QUEUED,
                memory_mb=memory_mb.get(job.number, job.memory_mb),
            )
            for job in jobs
        ],
    )


def race(db: Session, jobs: Sequence[Job], at: datetime) -> JobGroup:
    """Want a copy of each of these jobs of a stage, which run, as its next round: who is done first counts."""
    last = db.scalars(select(JobGroup).where(rounds_of(jobs[0].group)).order_by(JobGroup.round.desc()).limit(1)).one()
    copies = next_round(last, jobs, at, at, {}, last.tries_from)
    for copy, job in zip(copies.jobs, jobs, strict=True):
        copy.copy_of, copy.retry = job.id, f"A copy that races try {job.group.round + 1}."
    db.add(copies)
    return copies


def rounds_of(group: JobGroup, among: type[JobGroup] | AliasedClass[JobGroup] = JobGroup) -> ColumnElement[bool]:
    """Whether a group is a round of the same stage."""
    return and_(among.attempt_id == group.attempt_id, among.stage == group.stage, among.iteration == group.iteration)


def counting_tries(rounds: Iterable[JobGroup]) -> dict[int, Job]:
    """Of each job of a stage, by number, the try that counts: the one that is done, else the last."""
    tries: dict[int, Job] = {}
    for group in rounds:
        tries |= {job.number: job for job in group.jobs if not _is_done(tries.get(job.number))}
    return tries


def left_undone(group: JobGroup) -> Select[Job]:
    """A question for the last try of each job of a stage of which no try is done."""
    other, its = aliased(Job), aliased(JobGroup)
    better = select(other.id).join(its, its.id == other.group_id)
    better = better.where(rounds_of(group, its), other.number == Job.number)
    better = better.where(or_(other.state == JobState.DONE, its.round > JobGroup.round))
    return select(Job).join(Job.group).where(rounds_of(group), ~better.exists()).order_by(Job.number)


def _is_done(job: Job | None) -> bool:
    return job is not None and job.state is JobState.DONE


def retry_obstacle(db: Session, calibration: Calibration) -> Conflict | None:
    """Why the failed jobs of a calibration that failed, or that asks, cannot be done again alone; None: they can."""
    name, last = calibration.name, _last_round(db, calibration)
    if calibration.state is State.RUNNING:
        if last is None or not waits_for_decision(last):
            return _asks_nobody(name)
        return _changed_inputs(db, name, last)
    if last is None or (last.state is GroupState.DONE and db.scalar(left_undone(last).limit(1)) is None):
        return Conflict(
            f"No job of {name} has failed: {calibration.problem.rstrip('.')}.", hint="Restart it: all is done again."
        )
    if _under_way(db, last):
        return Conflict(
            f"Jobs of {name} are still being cancelled at {calibration.processing.centre}.",
            hint="Wait some seconds and look again; or restart it, then all is done again.",
        )
    return _changed_inputs(db, name, last)


def _changed_inputs(db: Session, name: str, last: JobGroup) -> Conflict | None:
    others = _other_inputs(db, last.attempt_id)
    if others:
        files = "1 of its input files is" if others == 1 else f"{others:,} of its input files are"
        return Conflict(
            f"{files} no longer what the attempt of {name} was made from: changed, or gone.",
            hint="Restart it: all is done again with the files as they are now.",
        )
    return None


def redone(db: Session, calibration: Calibration) -> Redone:
    """What it would come to if the failed jobs of a calibration were done again."""
    last = _last_round(db, calibration)
    assert last is not None, "there is an obstacle where nothing has failed"
    return _redone(last, _latest(db, last))


def failed_stage(db: Session, calibration: Calibration) -> Stage:
    """The stage of which jobs have failed."""
    last = _last_round(db, calibration)
    assert last is not None, "there is an obstacle where nothing has failed"
    return last.stage


def want_failed_again(db: Session, calibration: Calibration, by: str) -> Redone:
    """Want another round for the jobs that failed or were cancelled; their tries are counted from it.

    Where all had ended well before they were cancelled, nothing is left to do, and the stage is done.
    """
    last = _last_round(db, calibration)
    assert last is not None, "there is an obstacle where nothing has failed"
    jobs, at = _latest(db, last), now(db)
    failed = [job for job in jobs if job.state is not JobState.DONE]
    for job in _failed_tries(db, last) if waits_for_decision(last) else failed:
        job.retry = f"{job.retry} Done again at the wish of {by}, from {at:%Y-%m-%d %H:%M:%S} UTC on.".lstrip()
    told = _redone(last, jobs)
    if waits_for_decision(last):
        _let_go(last, at)
    elif failed:
        db.add(next_round(last, failed, at, at, {}, last.round + 1))
    else:
        last.state = GroupState.DONE
    return told


def _asks_nobody(name: str) -> Conflict:
    return Conflict(
        f"No job of {name} waits for a decision.", hint="Wait: what fails is tried again by the rules, or asks you."
    )


def _failed_tries(db: Session, asking: JobGroup) -> Sequence[Job]:
    """The last failed tries of the jobs of a round that asks about them."""
    failed = select(Job).join(Job.group).where(rounds_of(asking), Job.state == JobState.FAILED)
    last = {job.number: job for job in db.scalars(failed.order_by(JobGroup.round))}
    return [last[job.number] for job in asking.jobs]


def _under_way(db: Session, last: JobGroup) -> bool:
    """Whether jobs of a stage have not ended, as far as the batch system is concerned."""
    rounds = select(JobGroup.id).where(rounds_of(last))
    return db.scalar(rounds.where(JobGroup.state.in_((GroupState.WANTED, GroupState.SUBMITTED)))) is not None


def _let_go(asking: JobGroup, at: datetime) -> None:
    """A round that asks is tried now; its tries count from it."""
    asking.asks_since, asking.not_before, asking.tries_from = None, at, asking.round
    for job in asking.jobs:
        job.error = ""


def check_kept_outputs(workplace: Workplace, calibration_id: int) -> None:
    """See that what the jobs of a calibration have done is still there, before some of them are done again.

    Raises:
        Conflict: some of it is gone.
        NotFound: there is no such calibration.
    """
    with workplace.database.read() as db:
        calibration = db.get(Calibration, calibration_id)
        if calibration is None:
            raise NotFound(f"There is no calibration number {calibration_id}.", hint="Look at its processing.")
        name, paths = calibration.name, _outputs(db, workplace.settings.attempts, calibration_id)
    gone = [path for path in paths if not path.is_file()]
    if gone:
        raise Conflict(
            f"{len(gone):,} of {len(paths):,} files that jobs of {name} have brought are gone: {gone[0]}.",
            hint="Restart it: all is done again.",
        )


def _other_inputs(db: Session, attempt_id: int) -> int:
    """How many files of an attempt have other contents than it froze, or cannot be used any more."""
    return db.scalars(
        select(func.count())
        .select_from(AttemptFile)
        .join(DataFile, DataFile.id == AttemptFile.data_file_id)
        .outerjoin(UnreadableFile, UnreadableFile.path == DataFile.path)
        .where(
            AttemptFile.attempt_id == attempt_id,
            or_(AttemptFile.sha256 != DataFile.sha256, UnreadableFile.path.is_not(None)),
        )
    ).one()


def _outputs(db: Session, attempts: Path, calibration_id: int) -> list[Path]:
    done = (
        select(JobGroup.stage, Job.folder)
        .join(Job, Job.group_id == JobGroup.id)
        .join(Attempt, Attempt.id == JobGroup.attempt_id)
        .where(Attempt.calibration_id == calibration_id, Attempt.live.is_(True), Job.state == JobState.DONE)
    )
    return [attempts / folder / name for stage, folder in db.execute(done) for name in OUTPUTS[stage]]


def _last_round(db: Session, calibration: Calibration) -> JobGroup | None:
    """Of the stage that the live attempt has come to; what was made by hand has none before it is measured."""
    its = select(JobGroup).join(Attempt, Attempt.id == JobGroup.attempt_id)
    its = its.where(Attempt.calibration_id == calibration.id, Attempt.live.is_(True))
    return db.scalar(its.order_by(JobGroup.id.desc()).limit(1))


def _latest(db: Session, last: JobGroup) -> list[Job]:
    """The try of each job of a stage that counts, in their order."""
    rounds = db.scalars(
        select(JobGroup).where(rounds_of(last)).options(selectinload(JobGroup.jobs)).order_by(JobGroup.round)
    )
    jobs = counting_tries(rounds)
    return [jobs[number] for number in sorted(jobs)]


def _redone(last: JobGroup, jobs: Sequence[Job]) -> Redone:
    kept = sum(job.state is JobState.DONE for job in jobs)
    return Redone(stage_in_words(last.stage, last.iteration), len(jobs) - kept, kept)
