"""What people do to the jobs of an attempt: give them up, or have the failed ones done again."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from b2cal.model import Job, JobGroup, JobState, Outcome, Stage, State

from .attempts import live_attempt
from .obstacles import refuse_by_freshness
from .rounds import Redone, failed_stage, want_failed_again
from .rules import Verb
from .transition import Act, refuse_early, transition
from .view import ProcessingView


def cancel_jobs(db: Session, calibration_id: int, act: Act) -> None:
    """Give a running attempt up: it has failed, and the agent cancels the jobs that are left.

    The attempt still counts: what its jobs have done can be kept, see `retry_jobs`.
    """
    with transition(db, calibration_id, Verb.CANCEL_JOBS, act) as it:
        attempt = live_attempt(db, calibration_id)
        assert attempt is not None, "what runs has an attempt"
        problem = f"{act.by.username} cancelled its jobs: {act.reason}"
        attempt.outcome, attempt.message, attempt.ended_at = Outcome.FAILED, problem, it.at
        it.calibration.problem = problem
        left = select(func.count(Job.id)).join(JobGroup, JobGroup.id == Job.group_id)
        left = left.where(JobGroup.attempt_id == attempt.id, Job.state.in_((JobState.QUEUED, JobState.RUNNING)))
        it.detail(attempt=attempt.number, jobs_cancelled=db.scalar(left))
        if act.by.username != it.calibration.expert:
            it.tell(it.calibration.expert, f"Its jobs were cancelled by {act.by.username}: {act.reason}")


def retry_jobs(db: Session, calibration_id: int, act: Act) -> Redone:
    """Do the failed jobs of an attempt again that failed, or that asks; it goes on with what the others have done.

    Whether their outputs are still there is seen to before, see `check_kept_outputs`.

    Raises:
        Conflict: besides those of `transition`: no job has failed, none of what runs asks, or some are still being
            cancelled; or what the attempt was made from is no longer what it was.
    """
    calibration = refuse_early(db, calibration_id, Verb.RETRY_JOBS, act)
    refuse_by_freshness(ProcessingView(db, calibration.processing_id), calibration.name, Verb.RETRY_JOBS)
    to = State.VALIDATING if failed_stage(db, calibration) is Stage.MEASURE else State.RUNNING
    with transition(db, calibration_id, Verb.RETRY_JOBS, act, to) as it:
        attempt = live_attempt(db, calibration_id)
        assert attempt is not None, "what failed has an attempt"
        redone = want_failed_again(db, it.calibration, act.by.username)
        if to is State.RUNNING:
            attempt.outcome, attempt.message, attempt.ended_at = None, "", None
        it.calibration.problem = ""
        it.detail(attempt=attempt.number, jobs_again=redone.again, jobs_kept=redone.kept)
        return redone
