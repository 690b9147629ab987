"""`b2cal jobs`."""

from typing import Any

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
    """List the batch jobs of a calibration: state, next try, first error, what was done about it, and the folder.

    With --json also host, exit code and CPU time; `name` counts jobs from 1, as the table does, and `job` from 0.
    """
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
        found: list[dict[str, Any]] = [
            {
                "attempt": attempt,
                "stage": group.stage.value,
                "iteration": group.iteration,
                "try": group.round + 1,
                "name": name,
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
            for (attempt, group, job), name, next_try in zip(lines, names, next_tries, strict=True)
        ]
    columns: tuple[str, ...] = ("Job", "Try", "Works on", "State", "Error, and what was done", "Folder")
    rows: list[tuple[object, ...]] = [
        (
            row["name"],
            row["try"],
            row["label"],
            f"{row['state']}, next try {local(next_try)}" if next_try else row["state"],
            "; ".join(filter(None, (row["error"], row["rule"]))),
            row["folder"],
        )
        for row, next_try in zip(found, next_tries, strict=True)
    ]
    if all_attempts:
        columns = ("Attempt", *columns)
        rows = [(row["attempt"], *cells) for row, cells in zip(found, rows, strict=True)]
    desk.show(found, lambda: desk.table(calibration, columns, rows))
