"""`b2cal jobs`."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

import click
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.batch import retry_policy
from b2cal.core.failures import Source
from b2cal.loop import JobFilter, JobOrder, JobPage, JobWord
from b2cal.model import Job, Processing, Stage, now

from .desk import Desk, local, pass_desk

Word = TypeVar("Word", bound=StrEnum)


class _Words(click.Choice[Word]):
    """One of a closed list, typed by its value: Click would take the names, in capitals."""

    def normalize_choice(self, choice: object, ctx: click.Context | None) -> str:
        return str(choice)


@click.command()
@click.argument("processing")
@click.argument("calibration", required=False)
@click.option("--attempt", type=click.IntRange(min=1), help="Jobs of this attempt, not of the present one.")
@click.option("--all-attempts", is_flag=True, help="Jobs of all attempts of the calibration.")
@click.option("--state", type=_Words(list(JobWord)), help="Only those in this state; held: not going on by itself.")
@click.option("--stage", type=_Words(list(Stage)), help="Only those of this stage.")
@click.option("--source", type=_Words(list(Source)), help="Only those that failed, as this one says.")
@click.option("--host", default="", help="Only those on machines with this in their names.")
@click.option("--text", default="", help="Only those with this in the first error or in what they work on.")
@click.option(
    "--order",
    type=_Words(list(JobOrder)),
    default=JobOrder.NUMBER.value,
    show_default=True,
    help="number: the latest stage first; started: the earliest first; cpu, memory: the most first.",
)
@click.option("--limit", type=click.IntRange(1, 1_000_000), help="At most so many.")
@click.option("--after", default="", help="Go on behind a job: the place that stands at the end of a page.")
@pass_desk
def jobs(
    desk: Desk,
    processing: str,
    calibration: str | None,
    *,
    attempt: int | None,
    all_attempts: bool,
    state: JobWord | None,
    stage: Stage | None,
    source: Source | None,
    host: str,
    text: str,
    order: JobOrder,
    limit: int | None,
    after: str,
) -> None:
    """List the batch jobs of a processing or of one calibration: state, first error, what was done, what they used.

    Without --attempt those of the attempts that count. With --json also times, exit code and more; `name` counts jobs
    from 1, as the table does, and `job` from 0; `after` is the place behind a job, for --after. What the job with an id
    has printed `b2cal log ID` shows.
    """
    if calibration is None and (attempt is not None or all_attempts):
        raise click.UsageError("An attempt is one of a calibration: name that behind the processing.")
    if attempt is not None and all_attempts:
        raise click.UsageError("Give --attempt or --all-attempts, not both.")
    if source is not None and state not in (None, JobWord.FAILED):
        raise click.UsageError(f"A job that is {state} has not failed: --source goes with --state failed, or alone.")
    wanted = JobFilter(state, stage, host.strip(), text.strip(), source)
    with desk.workplace.database.read() as db:
        view = loop.ProcessingView.of(db, processing)
        if calibration is None:
            attempts = loop.attempts_that_count(db, view.processing.id)
        elif all_attempts:
            attempts = list(loop.attempts_of(db, view.calibration(calibration).id).values())
        else:
            attempts = _one_attempt(db, view, calibration, attempt)
        page = loop.job_page(db, attempts, wanted, order, after, limit)
        rows = [_row(db, desk, job, place) for job, place in zip(page.jobs, page.cursors, strict=True)]
        cells = [_cells(db, desk, view.processing, job) for job in page.jobs]
    telling = [*(["calibration"] if calibration is None else []), *(["attempt"] if all_attempts else [])]
    columns = [*map(str.capitalize, telling), "Id", "Job", "Try", "Works on", "State", "Error, and what was done"]
    lines = [[*(row[name] for name in telling), *line] for row, line in zip(rows, cells, strict=True)]

    def human() -> None:
        if not lines:
            desk.console.print(f"{calibration or processing}: {_none(page, wanted)}.")
            return
        desk.table(f"{calibration or processing}: {_counted(page)}", [*columns, "Used", "Folder"], lines)
        if page.after is not None:
            desk.console.print(f"{len(rows):,} of {page.total(state):,} stand here; the next: --after {page.after}")

    desk.show(rows, human)


def _one_attempt(db: Session, view: loop.ProcessingView, name: str, number: int | None) -> list[int]:
    """The attempt of this number, or the one that counts; there may be none."""
    found = loop.attempts_of(db, view.calibration(name).id)
    if number is None:
        live = view.attempts.get(name)
        return [live.id] if live is not None else []
    if number not in found:
        known = f"It has: {', '.join(map(str, sorted(found)))}." if found else "It has none yet."
        raise loop.NotFound(f"{name} has no attempt {number}.", hint=known)
    return [found[number]]


def _row(db: Session, desk: Desk, job: Job, place: str) -> dict[str, Any]:
    group, attempt = job.group, job.group.attempt
    next_try = loop.tried_again_at(group, now(db))
    return {
        "id": job.id,
        "calibration": attempt.calibration.name,
        "attempt": attempt.number,
        "stage": group.stage.value,
        "iteration": group.iteration,
        "try": group.round + 1,
        "name": loop.job_in_words(group.stage, group.iteration, job.number),
        "job": job.number,
        "label": job.label,
        "state": loop.job_word(job).value,
        "next_try": next_try.isoformat() if next_try else None,
        "is_copy": job.copy_of is not None,
        "waits_for_decision": loop.waits_for_decision(group),
        "batch_id": job.batch_id,
        "host": job.host,
        "exit_code": job.exit_code,
        "source": job.source,
        "code": job.code,
        "started_at": job.started_at.isoformat() if job.started_at else None,
        "ended_at": job.ended_at.isoformat() if job.ended_at else None,
        "cpu_s": job.cpu_s,
        "memory_bytes": job.memory_bytes,
        "memory_mb": job.memory_mb,
        "disk_bytes": job.disk_bytes,
        "limits": job.limits,
        "pending_reason": job.pending_reason,
        "slow": loop.slow_in_words(job),
        "error": job.error,
        "rule": job.retry,
        "after": place,
        "folder": str(desk.settings.attempts / job.folder) if job.folder else "",
    }


def _cells(db: Session, desk: Desk, processing: Processing, job: Job) -> tuple[object, ...]:
    next_try = loop.tried_again_at(job.group, now(db))
    usual_mb = retry_policy(desk.settings, processing.centre).memory_mb
    took = (job.ended_at or now(db)) - job.started_at if job.started_at else None
    used = (
        job.host,
        "" if took is None else _time_of(took.total_seconds(), job.limits.get("wall_s")),
        "" if job.cpu_s is None else f"{_time_of(job.cpu_s, job.limits.get('cpu_s'))} CPU",
        loop.memory_in_words(job, usual_mb),
        f"{disk} disk" if (disk := loop.disk_in_words(job)) else "",
    )
    return (
        job.id,
        loop.job_in_words(job.group.stage, job.group.iteration, job.number),
        job.group.round + 1,
        job.label,
        _state(job, next_try),
        "; ".join(filter(None, (job.pending_reason, loop.slow_in_words(job), loop.said_by(job), job.error, job.retry))),
        ", ".join(filter(None, used)),
        desk.settings.attempts / job.folder if job.folder else "",
    )


def _state(job: Job, next_try: datetime | None) -> str:
    if next_try is not None:
        return f"{job.state}, next try {local(next_try)}"
    word = loop.job_word(job)
    return f"{word}, waits for a decision" if loop.waits_for_decision(job.group) else word


def _time_of(used_s: float, allowed_s: float | None) -> str:
    used = loop.spoken(timedelta(seconds=used_s))
    return f"{used} of {loop.spoken(timedelta(seconds=allowed_s))}" if allowed_s else used


def _none(page: JobPage, wanted: JobFilter) -> str:
    """Why there is nothing to show: half a sentence, with what there is instead."""
    if page.total(wanted.state):
        return "no job stands behind that place"
    fits = " that fits" if wanted.is_narrow else ""
    if wanted.state is None or not page.counts:
        return f"no job{fits}" if fits else "no job yet"
    return f"no job{fits} is {wanted.state}; there are {_counted(page)}"


def _counted(page: JobPage) -> str:
    """How many jobs there are by state, those that need eyes first."""
    return ", ".join(f"{page.counts[word]:,} {word}" for word in JobWord if page.counts.get(word)) or "no jobs"
