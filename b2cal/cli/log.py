"""`b2cal log`: what a batch job prints."""

import time
from dataclasses import dataclass
from pathlib import Path

import click

from b2cal import loop
from b2cal.batch import SO_FAR, WINDOW, read_log
from b2cal.core.errors import B2calError
from b2cal.model import Job, JobState

from .desk import Desk, pass_desk

_LOOK_EVERY_S = 0.25


class NotBrought(B2calError):
    """What a running job prints lies on its machine, and nobody has brought it."""


@dataclass(frozen=True)
class _Seen:
    """A job as it is now; `is_away`: what it prints comes back only with it."""

    what: str
    state: JobState
    folder: Path | None
    error: str
    is_away: bool


@click.command()
@click.argument("job", type=click.IntRange(min=1))
@click.option("--stream", type=click.Choice(["stderr", "stdout"]), default="stderr", show_default=True)
@click.option("--lines", type=click.IntRange(1, 1_000_000), default=WINDOW, show_default=True, help="At most so many.")
@click.option(
    "--wait-s",
    type=click.FloatRange(0, 600),
    default=30,
    show_default=True,
    help="How long the agent may take to bring what lies on another machine.",
)
@pass_desk
def log(desk: Desk, *, job: int, stream: str, lines: int, wait_s: float) -> None:
    """Show the end of what the batch job with the id JOB has printed; `b2cal jobs` tells the ids.

    The files of a job that runs on HTCondor come back only with it: then the agent is asked to bring the end of all
    that it has printed so far, whatever the stream, and waited for.
    """
    seen = _look(desk, job)
    if seen.is_away:
        seen = _wait_for_log(desk, job, seen, wait_s)
    if seen.folder is None:
        raise loop.Conflict(f"{seen.what} has not started yet.", hint="What it prints is there when it runs.")
    source = SO_FAR if seen.is_away else stream
    found = read_log(seen.folder / source, error=seen.error, n_lines=lines)
    texts = [line.text for line in found.lines]
    facts = {"job": job, "what": seen.what, "state": seen.state.value, "source": source, "total_lines": found.total}

    def human() -> None:
        if not texts:
            click.echo(f"{seen.what} has printed nothing into {source}, or its folder has been cleaned up.", err=True)
        elif len(texts) < found.total:
            click.echo(f"{seen.what}, {source}: the last {len(texts):,} of {found.total:,} lines", err=True)
        for text in texts:
            click.echo(text)

    desk.show(facts | {"lines": texts}, human)


def _look(desk: Desk, number: int) -> _Seen:
    settings = desk.settings
    with desk.workplace.database.read() as db:
        job = db.get(Job, number)
        if job is None:
            raise loop.NotFound(f"There is no job {number}.", hint="`b2cal jobs PROCESSING` lists jobs with their ids.")
        calibration = job.group.attempt.calibration
        name = loop.job_in_words(job.group.stage, job.group.iteration, job.number)
        return _Seen(
            what=f"{calibration.name}, {name}",
            state=job.state,
            folder=settings.attempts / job.folder if job.folder else None,
            error=job.error,
            is_away=loop.is_away(job, settings, calibration.processing.centre),
        )


def _wait_for_log(desk: Desk, number: int, seen: _Seen, wait_s: float) -> _Seen:
    """Have the agent bring what the job has printed so far; the job as it is then, which may have ended meanwhile."""
    database, before = desk.workplace.database, _written_at(seen)
    with database.read() as db:
        agent = loop.agent_at_work(db)
    if agent is None:
        raise NotBrought(
            f"{seen.what} runs on another machine, and b2cal does not run here: nobody brings what it prints.",
            "Start it by `b2cal up`; else all of it comes back when the job ends.",
        )
    desk.write(lambda db: loop.want_log(db, number))
    ends = time.monotonic() + wait_s
    while True:
        with database.read() as db:
            is_wanted = loop.is_wanted(db, number)
        seen = _look(desk, number)
        if not (is_wanted and seen.is_away):
            break
        if time.monotonic() > ends:
            raise NotBrought(
                f"The agent has not brought what {seen.what} prints within {wait_s:g} s.",
                "It is still asked for: give the command again in a moment. `logs/agent.log` in the home folder says"
                " what the agent is at.",
            )
        time.sleep(_LOOK_EVERY_S)
    if seen.is_away and _written_at(seen) == before:
        raise NotBrought(
            f"What {seen.what} prints could not be brought: its machine did not answer.",
            "`logs/agent.log` in the home folder says why. All of it comes back when the job ends.",
        )
    return seen


def _written_at(seen: _Seen) -> int | None:
    """When what it has printed so far was brought last; None: never."""
    try:
        return (seen.folder / SO_FAR).stat().st_mtime_ns if seen.folder else None
    except FileNotFoundError:
        return None
