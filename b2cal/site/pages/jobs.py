"""Batch jobs: the tables of an attempt and of a processing, one job with its log."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from flask import Blueprint, request, send_file, url_for
from werkzeug.wrappers import Response

from b2cal import loop
from b2cal.batch import SO_FAR, WINDOW, Heartbeat, read_log, retry_policy
from b2cal.core.failures import Source
from b2cal.loop import JobFilter, JobOrder, JobWord
from b2cal.model import JobState, Stage
from b2cal.site.desk import asked_number, desk, reading, stop_reading, visitor
from b2cal.site.live import live, still
from b2cal.site.pages.acting import done
from b2cal.site.queries.dossier import calibration_of, log_of
from b2cal.site.queries.jobs import Asked, job_of, job_table
from b2cal.site.queries.views import view_named, view_of

pages = Blueprint("jobs", __name__)

Word = TypeVar("Word", bound=StrEnum)

STREAMS = ("stderr", "stdout")

ON_JOBS = (loop.Verb.RETRY_JOBS, loop.Verb.CANCEL_JOBS)
"""What can be done to the jobs of the last attempt."""


@pages.get("/calibrations/<int:number>/jobs")
def of_calibration(number: int) -> str | tuple[str, int]:
    db = reading()
    it = calibration_of(db, number)
    attempts = loop.attempts_of(db, number)
    chosen = asked_number("attempt")
    if chosen not in attempts:
        chosen = next(iter(attempts), None)
    jobs_of = [attempts[chosen]] if chosen is not None else []
    table = job_table(db, desk().settings, it.processing, jobs_of, _asked())
    offered = loop.buttons(view_of(db, it.processing_id), it, visitor().username)
    return live(
        "jobs.html",
        "parts/jobs.html",
        it=it,
        processing=it.processing,
        attempts=attempts,
        chosen=chosen,
        considered=[one for one in offered if one.verb in ON_JOBS and chosen == next(iter(attempts), None)],
        found=table,
        stages=Stage,
    )


@pages.get("/processings/<name>/jobs")
def of_processing(name: str) -> str | tuple[str, int]:
    db = reading()
    processing = view_named(db, name).processing
    table = job_table(db, desk().settings, processing, loop.attempts_that_count(db, processing.id), _asked())
    return live(
        "jobs.html",
        "parts/jobs.html",
        it=None,
        processing=processing,
        attempts=(),
        found=table,
        stages=Stage,
    )


@pages.get("/jobs/<int:number>")
def job(number: int) -> str | tuple[str, int]:
    db, settings = reading(), desk().settings
    it, calibration = job_of(db, number)
    centre = calibration.processing.centre
    stream = _stream(request.args.get("stream", STREAMS[0]))
    start = asked_number("line")
    follows = start is None and not it.state.ended
    folder = settings.attempts / it.folder if it.folder else None
    away = loop.is_away(it, settings, centre)
    path = folder / SO_FAR if folder and away else log_of(settings.attempts, it, stream)
    log = read_log(path, start, it.error)
    show = live if follows else still
    return show(
        "job.html",
        "parts/job.html",
        job=it,
        folder=folder,
        beat=Heartbeat.read(folder) if folder and it.state is JobState.RUNNING else None,
        it=calibration,
        log=log,
        stream=stream,
        streams=STREAMS,
        window=WINDOW,
        follows=follows,
        away=away,
        brought_at=datetime.fromtimestamp(path.stat().st_mtime, UTC) if away and path.exists() else None,
        wanted=away and loop.is_wanted(db, number),
        tries=sorted([it, *loop.other_tries(db, [it]).get(it.id, ())], key=lambda one: one.group.round),
        usual_mb=retry_policy(settings, centre).memory_mb,
    )


@pages.post("/jobs/<int:number>/look")
def look(number: int) -> Response:
    """Have brought what a running job has printed so far."""
    stop_reading()
    desk().database.write(lambda db: loop.want_log(db, number))
    return done("What it has printed so far is being brought.", url_for("jobs.job", number=number))


@pages.get("/jobs/<int:number>/log/<stream>")
def log(number: int, stream: str) -> Response:
    it, _ = job_of(reading(), number)
    path = log_of(desk().settings.attempts, it, _stream(stream))
    if not path.is_file():
        raise loop.NotFound("This job has written no log.", hint="It may not have started yet, or its folder is gone.")
    name = f"job-{it.id}-{stream}.txt"
    return send_file(path, mimetype="text/plain", as_attachment=True, download_name=name)


def _asked() -> Asked:
    """What the address asks for; a word that does not exist asks for nothing."""
    wanted = JobFilter(
        state=_word(JobWord, "state"),
        stage=_word(Stage, "stage"),
        host=request.args.get("host", "").strip(),
        text=request.args.get("text", "").strip(),
        source=_word(Source, "source"),
    )
    return Asked(wanted, _word(JobOrder, "order") or JobOrder.NUMBER, request.args.get("after", ""))


def _word(kind: type[Word], name: str) -> Word | None:
    text = request.args.get(name, "")
    return kind(text) if text in list(kind) else None


def _stream(name: str) -> str:
    if name not in STREAMS:
        raise loop.NotFound(f"A job has no log {name!r}.", hint=f"It has {' and '.join(STREAMS)}.")
    return name
