"""Batch jobs: the table of a calibration, one job with its log."""

from flask import Blueprint, Response, render_template, request, send_file

from b2cal import loop
from b2cal.model import JobState
from b2cal.site.desk import asked_number, desk, reading
from b2cal.site.live import live
from b2cal.site.logs import WINDOW, read_log
from b2cal.site.queries.dossier import calibration_of, log_of
from b2cal.site.queries.jobs import PAGE, job_of, jobs_of, tries_of

pages = Blueprint("jobs", __name__)

STREAMS = ("stderr", "stdout")


@pages.get("/calibrations/<int:number>/jobs")
def of_calibration(number: int) -> str | tuple[str, int]:
    db = reading()
    shown = request.args.get("state", "")
    state = JobState(shown) if shown in list(JobState) else None
    offset = asked_number("from") or 0
    return live(
        "jobs.html",
        "parts/jobs.html",
        it=calibration_of(db, number),
        found=jobs_of(db, number, state, offset),
        shown=state,
        offset=offset,
        page_size=PAGE,
    )


@pages.get("/jobs/<int:number>")
def job(number: int) -> str:
    db = reading()
    it, calibration = job_of(db, number)
    stream = _stream(request.args.get("stream", STREAMS[0]))
    start = asked_number("line")
    log = read_log(log_of(desk().settings.attempts, it, stream), start, it.error)
    return render_template(
        "job.html",
        job=it,
        folder=desk().settings.attempts / it.folder if it.folder else None,
        it=calibration,
        log=log,
        stream=stream,
        streams=STREAMS,
        window=WINDOW,
        tries=tries_of(db, it),
    )


@pages.get("/jobs/<int:number>/log/<stream>")
def log(number: int, stream: str) -> Response:
    it, _ = job_of(reading(), number)
    path = log_of(desk().settings.attempts, it, _stream(stream))
    if not path.is_file():
        raise loop.NotFound("This job has written no log.", hint="It may not have started yet, or its folder is gone.")
    name = f"job-{it.id}-{stream}.txt"
    return send_file(path, mimetype="text/plain", as_attachment=True, download_name=name)


def _stream(name: str) -> str:
    if name not in STREAMS:
        raise loop.NotFound(f"A job has no log {name!r}.", hint=f"It has {' and '.join(STREAMS)}.")
    return name
