"""Hand over a wanted group to its batch system, exactly once; take back one that is not wanted any more.

The order of the steps is what makes it exactly once. The epoch is in the database before the batch system is asked;
whoever comes after a crash first asks whether a submission arrived and adopts it, else submits with a new epoch. Only
one epoch is ever recorded, and the batch jobs of all others are removed.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from b2cal.batch import Backend, BatchError, BatchGroup, BatchJob, Handle, UnknownCentre, crashpoint
from b2cal.data import Credentials, CredentialTrouble
from b2cal.loop import place_in_output
from b2cal.model import (
    Attempt,
    Calibration,
    GroupEpoch,
    GroupState,
    Job,
    JobGroup,
    JobState,
    Outcome,
    Processing,
    Stage,
    now,
)
from b2cal.settings import Settings

from .desk import Desk
from .folders import Code, PlannedGroup, prepare, shipped_code
from .lease import AgentLease
from .orders import LIVE, Order
from .settle import settle_stage

HAND_OVER, EACH_JOB = timedelta(seconds=30), timedelta(seconds=1)
"""What it may take to hand over a group, and more for each job: folders are written, files sent over slow networks."""


def carry_out(desk: Desk, order: Order) -> bool:
    """Submit a wanted group, or adopt a submission that was left behind without being recorded.

    Tells whether one was adopted: then events of its jobs may have passed already, unheeded.

    Raises:
        CannotPrepare, CredentialTrouble, BatchError, UnknownCentre: nothing is recorded; to be tried again.
    """
    backend = backend_of(desk, order)
    plan = _plan(desk, order)
    arrived = _arrived(backend.find(order.token), len(plan.parts))
    if arrived is None:
        see_that_credentials_last(desk, order.centre)
    epoch = arrived or desk.write(lambda db: _intend(db, desk.lease, order.group_id, len(plan.parts)))
    if epoch is None:
        return False
    if arrived is None:
        _submit(desk, backend, order.token, epoch, plan)
    handles = backend.find(order.token)
    accepted = [handle for handle in handles if handle.epoch == epoch]
    if len(accepted) != len(plan.parts):
        raise BatchError(
            f"The batch system of {order.centre} has {len(accepted)} of {len(plan.parts)} jobs of {plan.name}.",
            hint="Nothing is to be done: it is asked again.",
        )
    code = shipped_code(desk.settings.attempts / str(plan.attempt_id))
    desk.write(lambda db: _record(db, order.group_id, epoch, plan, accepted, code))
    _cancel(backend, [handle for handle in handles if handle.epoch != epoch])
    return arrived is not None


def take_back(desk: Desk, order: Order) -> bool:
    """Remove a group that is not wanted any more from its batch system, whatever its epoch.

    Its attempt does not count, or all that it would do was done by the jobs that it should race.

    Raises:
        BatchError, UnknownCentre: some of its jobs may still run; to be tried again.
    """
    backend = backend_of(desk, order)
    _cancel(backend, backend.find(order.token))
    crashpoint("cancel-to-record")
    desk.write(lambda db: _mark_cancelled(db, order.group_id, desk.settings))
    return False


def backend_of(desk: Desk, order: Order) -> Backend:
    """The batch system of the group's centre.

    Raises:
        UnknownCentre: the settings describe none of that name.
    """
    try:
        return desk.backends[order.centre]
    except KeyError:
        raise UnknownCentre(
            f"There is no centre {order.centre!r}.", hint=f"Known centres: {', '.join(sorted(desk.backends))}."
        ) from None


def see_that_credentials_last(desk: Desk, centre: str) -> None:
    """See that what would be submitted now could prove who it is: better that it waits than that all of it fails.

    Raises:
        CredentialTrouble: it could not; says why, also why that was not renewed.
    """
    credentials = Credentials.of(desk.settings, centre)
    try:
        credentials.see_that_they_last(desk.now())
    except CredentialTrouble as error:
        told = f"{error} {error.hint} {credentials.renewal_trouble()}"
        raise CredentialTrouble(told.rstrip()) from error


def note_failure(db: Session, group_id: int, error: str) -> None:
    """Leave with the jobs of a group that is still wanted why it could not be submitted; gone when it is."""
    wanted = select(JobGroup.id).join(Attempt, JobGroup.attempt_id == Attempt.id)
    wanted = wanted.where(JobGroup.id == group_id, JobGroup.state == GroupState.WANTED, LIVE)
    if db.scalar(wanted) is not None:
        jobs = update(Job).where(Job.group_id == group_id)
        db.execute(jobs.values(error=f"Not submitted yet, it is tried again: {error}"))


def _submit(desk: Desk, backend: Backend, token: str, epoch: int, plan: PlannedGroup) -> None:
    prepare(desk.settings.attempts, plan, epoch)
    crashpoint("intent-to-submit")
    jobs = tuple(
        BatchJob(
            number,
            desk.settings.attempts / plan.job_folder(epoch, number),
            plan.memory_mb.get(number),
            not_beside=plan.raced.get(number, ""),
        )
        for number in sorted(plan.parts)
    )
    backend.submit(BatchGroup(token, epoch, plan.name, jobs))
    crashpoint("submit-to-record")


def _plan(desk: Desk, order: Order) -> PlannedGroup:
    with desk.database.read() as db:
        group = db.get_one(JobGroup, order.group_id)
        calibration = group.attempt.calibration
        release = calibration.definition.release
        storage = desk.settings.storages[order.centre]
        return PlannedGroup(
            name=f"{calibration.processing.name}/{calibration.name}/{group.stage}-{group.iteration}",
            attempt_id=group.attempt_id,
            stage=group.stage.value,
            iteration=group.iteration,
            round=group.round,
            interpreter=release.interpreter,
            spec=group.spec,
            parts={job.number: job.spec for job in group.jobs},
            memory_mb={job.number: job.memory_mb for job in group.jobs if job.memory_mb is not None},
            raced=_raced(db, group),
            output=storage.output if group.stage is Stage.PRODUCE else "",
            place=place_in_output(db, group) if group.stage is Stage.PRODUCE else "",
            open_spread_s=storage.open_spread_s(len(group.jobs)),
            environment=release.environment,
        ).at(order.centre, desk.settings)


def _raced(db: Session, group: JobGroup) -> dict[int, str]:
    """What the batch system calls the jobs that those of a group race, by number."""
    copies = {job.copy_of: job.number for job in group.jobs if job.copy_of is not None}
    known = db.execute(select(Job.id, Job.batch_id).where(Job.id.in_(copies))) if copies else ()
    return {copies[raced]: batch_id for raced, batch_id in known}


def _arrived(handles: Sequence[Handle], n_jobs: int) -> int | None:
    """The newest epoch that the batch system has whole."""
    numbers = defaultdict(set)
    for handle in handles:
        if handle.state is not JobState.CANCELLED:
            numbers[handle.epoch].add(handle.number)
    return max((epoch for epoch, found in numbers.items() if len(found) == n_jobs), default=None)


def _intend(db: Session, lease: AgentLease, group_id: int, n_jobs: int) -> int | None:
    """Write down a new epoch, and keep the lease until it is handed over; None if the group is not wanted any more."""
    wanted = (
        select(JobGroup.id)
        .join(Attempt, JobGroup.attempt_id == Attempt.id)
        .join(Calibration, Attempt.calibration_id == Calibration.id)
        .join(Processing, Calibration.processing_id == Processing.id)
        .where(
            JobGroup.id == group_id,
            JobGroup.state == GroupState.WANTED,
            LIVE,
            Processing.held.is_(False),
        )
    )
    if db.scalar(wanted) is None:
        return None
    last = db.scalar(select(func.max(GroupEpoch.epoch)).where(GroupEpoch.group_id == group_id)) or 0
    db.add(GroupEpoch(group_id=group_id, epoch=last + 1, intended_at=now(db)))
    lease.outlast(db, HAND_OVER + n_jobs * EACH_JOB)
    return last + 1


def _record(db: Session, group_id: int, epoch: int, plan: PlannedGroup, accepted: Sequence[Handle], code: Code) -> None:
    group = db.get_one(JobGroup, group_id)
    if group.state is not GroupState.WANTED:
        return
    at = now(db)
    group.state, group.epoch, group.submitted_at = GroupState.SUBMITTED, epoch, at
    group.attempt.code_version, group.attempt.code_digest = code.version, code.digest
    db.get_one(GroupEpoch, (group_id, epoch)).recorded_at = at
    ids = dict(db.execute(select(Job.number, Job.id).where(Job.group_id == group_id)).all())
    rows = [
        {
            "id": ids[handle.number],
            "batch_id": handle.batch_id,
            "folder": plan.job_folder(epoch, handle.number),
            "error": "",
        }
        for handle in accepted
    ]
    db.execute(update(Job), rows)


def _mark_cancelled(db: Session, group_id: int, settings: Settings) -> None:
    group = db.get_one(JobGroup, group_id)
    if group.state.ended:
        return
    group.state, group.ended_at = GroupState.CANCELLED, now(db)
    unfinished = update(Job).where(Job.group_id == group_id, Job.state.in_((JobState.QUEUED, JobState.RUNNING)))
    db.execute(unfinished.values(state=JobState.CANCELLED, ended_at=now(db), pending_reason=""))
    if group.attempt.live and group.attempt.outcome is not Outcome.FAILED:
        settle_stage(db, group, settings)


def _cancel(backend: Backend, handles: Sequence[Handle]) -> None:
    living = [handle.batch_id for handle in handles if not handle.state.ended]
    if living:
        backend.cancel(living)
