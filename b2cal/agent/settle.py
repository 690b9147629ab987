"""The end of a group: its failed jobs are tried again by the rules, or the loop is woken."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from b2cal.batch import Failure, Remedy, Rule, rule_for
from b2cal.core.ids import new_token
from b2cal.model import Attempt, Calibration, GroupState, Job, JobGroup, JobState, job_in_words, now
from b2cal.settings import BatchSettings


def settle(db: Session, group_id: int, settings: BatchSettings) -> None:
    """End a submitted group whose jobs have all ended. Nothing happens while one has not.

    If each failed job has a rule that says so, and tries are left, those jobs are wanted once more, as the next round.
    One job that cannot be helped ends the whole stage: the others are not tried in vain.
    """
    group = db.get_one(JobGroup, group_id)
    unfinished = select(func.count()).where(
        Job.group_id == group_id, Job.state.in_((JobState.QUEUED, JobState.RUNNING))
    )
    if group.state is not GroupState.SUBMITTED or db.scalar(unfinished):
        return
    failed = db.scalars(
        select(Job).where(Job.group_id == group_id, Job.state == JobState.FAILED).order_by(Job.number)
    ).all()
    group.state = GroupState.FAILED if failed else GroupState.DONE
    group.ended_at = now(db)
    if not failed:
        _wake_loop(db, group)
        return
    rules = {job.number: rule_for(Failure.of(job.exit_code, job.error)) for job in failed}
    hopeless = [number for number, rule in rules.items() if rule.remedy is Remedy.NEVER]
    if hopeless or group.round + 1 >= settings.max_tries:
        for job in failed:
            job.retry = _given_up(rules[job.number], group, hopeless)
        _wake_loop(db, group)
        return
    not_before = group.ended_at + timedelta(seconds=settings.retry_delay_s)
    for job in failed:
        job.retry = (
            f"{_said(rules[job.number])}. Tried again from {not_before:%Y-%m-%d %H:%M:%S} UTC on,"
            f" as try {group.round + 2} of {settings.max_tries}."
        )
    _want_again(db, group, failed, not_before)


def _want_again(db: Session, group: JobGroup, failed: Sequence[Job], not_before: datetime) -> None:
    db.add(
        JobGroup(
            attempt_id=group.attempt_id,
            stage=group.stage,
            iteration=group.iteration,
            round=group.round + 1,
            state=GroupState.WANTED,
            spec=group.spec,
            token=new_token(),
            epoch=0,
            not_before=not_before,
            wanted_at=now(db),
            jobs=[Job(number=job.number, label=job.label, spec=job.spec, state=JobState.QUEUED) for job in failed],
        )
    )


def _wake_loop(db: Session, group: JobGroup) -> None:
    its = select(Attempt.calibration_id).where(Attempt.id == group.attempt_id).scalar_subquery()
    db.execute(update(Calibration).where(Calibration.id == its).values(signal=Calibration.signal + 1))


def _given_up(rule: Rule, group: JobGroup, hopeless: Sequence[int]) -> str:
    if rule.remedy is Remedy.NEVER:
        return f"{_said(rule)}. Not tried again."
    if hopeless:
        reason = job_in_words(group.stage, group.iteration, hopeless[0])
        return f"{_said(rule)}. Not tried again, because {reason} cannot be helped."
    tries = group.round + 1
    return f"{_said(rule)}. Given up after {tries} {'try' if tries == 1 else 'tries'}."


def _said(rule: Rule) -> str:
    code = "" if rule.code is None else f" {rule.code}"
    return f"Rule {rule.source}{code}, {rule.remedy}: {rule.because}"
