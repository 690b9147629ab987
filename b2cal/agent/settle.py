"""The end of a group, and of its stage: its failed jobs are tried again by the rules, or the loop is woken."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from b2cal.batch import Plan, RetryPolicy, plan, retry_policy
from b2cal.core.failures import Failure
from b2cal.loop import ask_about_jobs, left_undone, next_round, rounds_of
from b2cal.model import Attempt, Calibration, GroupState, Job, JobGroup, JobState, Outcome, Stage, job_in_words, now
from b2cal.settings import Settings

from .hosts import avoided, look_at_hosts
from .storms import hold_back, storm_among


def settle(db: Session, group_id: int, settings: Settings) -> None:
    """End a submitted group whose jobs have all ended. Nothing happens while one has not.

    If each failed job has a rule that says so, and tries are left, those jobs are wanted once more, as the next round.
    One job that cannot be helped ends the whole stage: the others are not tried in vain. What fails in a storm waits
    for its end, and that try does not count. What a rule asks about waits for a decision, and all with it; a validation
    ends instead, for then the calibration has failed and asks. Nothing of an attempt is tried again that does not count
    or was given up.
    """
    group = db.get_one(JobGroup, group_id)
    unfinished = select(func.count()).where(
        Job.group_id == group_id, Job.state.in_((JobState.QUEUED, JobState.RUNNING))
    )
    if group.state is not GroupState.SUBMITTED or db.scalar(unfinished):
        return
    failed = select(func.count()).where(Job.group_id == group_id, Job.state == JobState.FAILED)
    group.state = GroupState.FAILED if db.scalar(failed) else GroupState.DONE
    group.ended_at = now(db)
    settle_stage(db, group, settings)


def settle_stage(db: Session, group: JobGroup, settings: Settings) -> None:
    """Go on after the end of a group; nothing happens while copies, or jobs that they race, are under way.

    The state of its last round tells how a stage stands.
    """
    if group.attempt.live is None or group.attempt.outcome is Outcome.FAILED:
        _wake_loop(db, group)
        return
    rounds = db.scalars(select(JobGroup).where(rounds_of(group)).order_by(JobGroup.round)).all()
    if not all(it.state.ended for it in rounds):
        return
    last = rounds[-1]
    failed = db.scalars(left_undone(last).where(Job.state == JobState.FAILED)).all()
    last.state = GroupState.FAILED if failed else GroupState.DONE
    if not failed or not _tried_again(db, last, failed, settings):
        _wake_loop(db, last)


def _tried_again(db: Session, group: JobGroup, failed: Sequence[Job], settings: Settings) -> bool:
    """Want the failed jobs once more, if that may help; say with each what is done about it."""
    centre = group.attempt.calibration.processing.centre
    policy = retry_policy(settings, centre)
    look_at_hosts(db, [job.id for job in failed], settings)  # now it is known how their siblings did
    blamed = avoided(db, centre)
    plans = {job.number: _plan(job, policy, blamed) for job in failed}
    hopeless = [number for number, its in plans.items() if its.hopeless]
    asking = [number for number, its in plans.items() if its.asks]
    if asking and not hopeless and group.stage is not Stage.MEASURE:
        _ask(db, group, failed, plans)
        return True
    hopeless = hopeless or asking
    waiting = [] if hopeless else [job for job in failed if plans[job.number].waits]  # more memory is given at once
    storm = storm_among(db, waiting, now(db), settings.batch) if waiting else None
    if storm is not None:
        for job in failed:
            job.retry = f"{plans[job.number].said}. {storm.reason}."
        hold_back([_want_again(db, group, failed, plans, now(db))], storm)
        return True
    tries = _tries(db, group)
    if hopeless or tries >= policy.max_tries:
        for job in failed:
            job.retry = _given_up(plans[job.number], group, hopeless, tries)
        return False
    pause_s = policy.delay_s if any(its.waits for its in plans.values()) else 0.0
    not_before = now(db) + timedelta(seconds=pause_s)
    when = f"from {not_before:%Y-%m-%d %H:%M:%S} UTC on" if pause_s else "at once"
    for job in failed:
        its = plans[job.number]
        memory = f" with {its.memory_mb} MB" if its.memory_mb != job.memory_mb else ""
        job.retry = f"{its.said}. Tried again {when}{memory}, as try {tries + 1} of {policy.max_tries}."
    _want_again(db, group, failed, plans, not_before)
    return True


def _ask(db: Session, group: JobGroup, failed: Sequence[Job], plans: Mapping[int, Plan]) -> None:
    """Leave it to a person whether the failed jobs are tried again; none is tried meanwhile."""
    for job in failed:
        job.retry = f"{plans[job.number].said}. Not tried again before somebody decides."
    why = next(its.asks for its in plans.values() if its.asks)
    ask_about_jobs(db, _want_again(db, group, failed, plans, now(db)), why)


def _plan(job: Job, policy: RetryPolicy, blamed: Collection[str]) -> Plan:
    """What the rules say of a failed job; where its host is to blame, what they give up may be done on another."""
    its = plan(_failure(job), job.memory_mb, policy)
    if not its.hopeless or job.host not in blamed:
        return its
    return Plan(f"{its.said}. But its host, {job.host}, is to blame", memory_mb=job.memory_mb)


def _failure(job: Job) -> Failure:
    if job.source is None:  # it ended before b2cal kept that
        return Failure.of(job.exit_code, job.error)
    return Failure(job.source, job.code, job.error)


def _tries(db: Session, group: JobGroup) -> int:
    """How often the jobs of a group have been tried since somebody asked.

    Tries that failed in storms do not count, nor do copies that raced a try.
    """
    rounds = select(func.count()).where(
        rounds_of(group),
        JobGroup.round.between(group.tries_from, group.round),
        JobGroup.incident_id.is_(None),
        ~select(Job.id).where(Job.group_id == JobGroup.id, Job.copy_of.is_not(None)).exists(),
    )
    return db.scalar(rounds) or 0


def _want_again(
    db: Session, group: JobGroup, failed: Sequence[Job], plans: Mapping[int, Plan], not_before: datetime
) -> JobGroup:
    memory_mb = {job.number: plans[job.number].memory_mb for job in failed}
    again = next_round(group, failed, now(db), not_before, memory_mb, group.tries_from)
    db.add(again)
    return again


def _wake_loop(db: Session, group: JobGroup) -> None:
    its = select(Attempt.calibration_id).where(Attempt.id == group.attempt_id).scalar_subquery()
    db.execute(update(Calibration).where(Calibration.id == its).values(signal=Calibration.signal + 1))


def _given_up(its: Plan, group: JobGroup, hopeless: Sequence[int], tries: int) -> str:
    if its.hopeless or its.asks:
        return f"{its.said}. Not tried again{its.why_hopeless}."
    if hopeless:
        reason = job_in_words(group.stage, group.iteration, hopeless[0])
        return f"{its.said}. Not tried again, because {reason} cannot be helped."
    return f"{its.said}. Given up after {tries} {'try' if tries == 1 else 'tries'}."
