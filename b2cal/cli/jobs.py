"""`b2cal jobs`."""

import click
from sqlalchemy import select

from b2cal import loop
from b2cal.model import Attempt, Job, JobGroup, now

from .desk import Desk, local, pass_desk


@click.command()
@click.argument("processing")
@click.argument("calibration")
@click.option("--all-attempts", is_flag=True, help="Not only the jobs of the present attempt.")
@pass_desk
def jobs(desk: Desk, processing: str, calibration: str, *, all_attempts: bool) -> None:
    """List the batch jobs of a calibration: state, next try, host, first error, what was done about it."""
    with desk.workplace.database.read() as db:
        it = loop.ProcessingView.of(db, processing).calibration(calibration)
        query = (
            select(Attempt.number, JobGroup, Job)
            .join(JobGroup, JobGroup.attempt_id == Attempt.id)
            .join(Job, Job.group_id == JobGroup.id)
            .where(Attempt.calibration_id == it.id)
            .order_by(Attempt.number, JobGroup.id, Job.number)
        )
        if not all_attempts:
            query = query.where(Attempt.live.is_(True))
        lines = db.execute(query).all()
        names = [loop.job_in_words(group.stage, group.iteration, job.number) for _, group, job in lines]
        next_tries = [loop.tried_again_at(group, now(db)) for _, group, _ in lines]
        found = [
            {
                "attempt": attempt,
                "stage": group.stage.value,
                "iteration": group.iteration,
                "try": group.round + 1,
                "job": job.number,
                "label": job.label,
                "state": job.state.value,
                "next_try": next_try.isoformat() if next_try else None,
                "host": job.host,
                "exit_code": job.exit_code,
                "cpu_s": job.cpu_s,
                "error": job.error,
                "rule": job.retry,
                "folder": str(desk.settings.attempts / job.folder) if job.folder else "",
            }
            for (attempt, group, job), next_try in zip(lines, next_tries, strict=True)
        ]
    rows = [
        (
            name,
            row["try"],
            row["label"],
            f"{row['state']}, next try {local(next_try)}" if next_try else row["state"],
            row["error"] or row["rule"] or row["folder"],
        )
        for name, row, next_try in zip(names, found, next_tries, strict=True)
    ]
    desk.show(
        found,
        lambda: desk.table(calibration, ("Job", "Try", "Works on", "State", "Error, rule or folder"), rows),
    )
