"""`b2cal jobs`."""

import click
from sqlalchemy import select

from b2cal import loop
from b2cal.model import Attempt, Job, JobGroup

from .desk import Desk, pass_desk


@click.command()
@click.argument("processing")
@click.argument("calibration")
@click.option("--all-attempts", is_flag=True, help="Not only the jobs of the present attempt.")
@pass_desk
def jobs(desk: Desk, processing: str, calibration: str, *, all_attempts: bool) -> None:
    """List the batch jobs of a calibration: state, host, first error, what was done about it."""
    with desk.workplace.database.read() as db:
        it = loop.ProcessingView.of(db, processing).calibration(calibration)
        query = (
            select(Attempt.number, JobGroup.stage, JobGroup.iteration, JobGroup.round, Job)
            .join(JobGroup, JobGroup.attempt_id == Attempt.id)
            .join(Job, Job.group_id == JobGroup.id)
            .where(Attempt.calibration_id == it.id)
            .order_by(Attempt.number, JobGroup.id, Job.number)
        )
        if not all_attempts:
            query = query.where(Attempt.live.is_(True))
        lines = db.execute(query).all()
        names = [loop.job_in_words(stage, iteration, job.number) for _, stage, iteration, _, job in lines]
        found = [
            {
                "attempt": attempt,
                "stage": stage.value,
                "iteration": iteration,
                "try": round_ + 1,
                "job": job.number,
                "label": job.label,
                "state": job.state.value,
                "host": job.host,
                "exit_code": job.exit_code,
                "cpu_s": job.cpu_s,
                "error": job.error,
                "rule": job.retry,
                "folder": str(desk.settings.attempts / job.folder) if job.folder else "",
            }
            for attempt, stage, iteration, round_, job in lines
        ]
    rows = [
        (
            name,
            row["try"],
            row["label"],
            row["state"],
            row["error"] or row["rule"] or row["folder"],
        )
        for name, row in zip(names, found, strict=True)
    ]
    desk.show(
        found,
        lambda: desk.table(calibration, ("Job", "Try", "Works on", "State", "Error, rule or folder"), rows),
    )
