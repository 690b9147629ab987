"""What people are told of jobs: that a retry rule asks about them, or that they run far longer than their siblings."""

from sqlalchemy.orm import Session

from b2cal.model import JobGroup, now, stage_in_words

from .transition import say


def ask_about_jobs(db: Session, group: JobGroup, why: str) -> None:
    """Let the jobs of a round wait for a decision: `retry_jobs` or `cancel_jobs`; tell expert and manager, once."""
    group.asks_since = now(db)
    for job in group.jobs:
        job.error = f"Not tried again before somebody decides: {why}"
    db.flush()
    it, n_jobs = group.attempt.calibration, len(group.jobs)
    jobs = "1 job has" if n_jobs == 1 else f"{n_jobs:,} jobs have"
    text = (
        f"{stage_in_words(group.stage, group.iteration)}: {jobs} failed and wait{'s' if n_jobs == 1 else ''} for a"
        f" decision: {why}. Try again, or give up."
    )
    for username in sorted({it.expert, it.processing.manager}):
        say(db, f"jobs:{group.id}:{username}", it, username, text)


def tell_of_slow_jobs(db: Session, group: JobGroup, n_jobs: int) -> None:
    """Tell the expert that jobs of a stage run far longer than their siblings; once for the stage."""
    it = group.attempt.calibration
    jobs = "1 job runs" if n_jobs == 1 else f"{n_jobs:,} jobs run"
    text = f"{stage_in_words(group.stage, group.iteration)}: {jobs} far longer than the others needed."
    say(db, f"slow:{group.attempt_id}:{group.stage}:{group.iteration}", it, it.expert, text)
