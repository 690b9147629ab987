"""One calibration: the decision first, with its evidence."""

import csv
from dataclasses import dataclass
from io import StringIO

from flask import Blueprint, Response, render_template, send_from_directory
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.model import Calibration, State
from b2cal.site.acts import DIRECT, WORDING
from b2cal.site.desk import at, desk, reading, visitor
from b2cal.site.live import live
from b2cal.site.queries.dossier import Dossier, calibration_of, dossier, last_attempt, late, verdict_of
from b2cal.site.queries.evidence import pictures, series, table
from b2cal.site.queries.people import full_names
from b2cal.site.queries.runs import report
from b2cal.site.queries.views import view_of

pages = Blueprint("calibration", __name__)

# A report is made from an expert's output: it may show pictures, nothing else, as if it came from another site.
_REPORT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"


@dataclass(frozen=True)
class Neighbours:
    """Calibrations directly around one, and how many wait for it in all."""

    upstream: list[Calibration]
    downstream: list[Calibration]
    waiting: list[Calibration]


@pages.get("/calibrations/<int:number>")
def page(number: int) -> str | tuple[str, int]:
    db = reading()
    seen = dossier(db, number, desk().settings)
    return live("calibration.html", "parts/calibration.html", **_context(db, seen))


@pages.get("/calibrations/<int:number>/inputs")
def inputs(number: int) -> str:
    db = reading()
    it = calibration_of(db, number)
    view = view_of(db, it.processing_id)
    attempt = view.attempts.get(it.name)
    if attempt is not None:
        selection, rows = attempt.submission.selection, attempt.runs
    else:
        submission = it.submission
        selection = submission.selection if submission is not None else loop.selection_by_default(it)
        rows = [choice.to_json() for choice in loop.inputs_of(view, it, selection).runs]
    return render_template(
        "inputs.html",
        it=it,
        attempt=attempt,
        selection=selection,
        runs=report(rows),
        late=late(db, attempt),
        until=loop.restart_until(view, it),
    )


@pages.get("/calibrations/<int:number>/attempts/<int:attempt>/report", endpoint="report")
def validation(number: int, attempt: int) -> Response:
    """The report of any attempt: that of a rejected one is the evidence of the rejection."""
    verdict = verdict_of(reading(), number, attempt)
    answer = send_from_directory(desk().settings.reports, verdict.report, mimetype="text/html")
    answer.headers["Content-Security-Policy"] = _REPORT_POLICY
    return answer


@pages.get("/calibrations/<int:number>/plots/<file>")
def plot(number: int, file: str) -> Response:
    """A plot of the report, by the name that its index gives."""
    db = reading()
    attempt = last_attempt(db, calibration_of(db, number).id)
    known = {picture.file for picture in pictures(attempt, desk().settings.reports, ())}
    if attempt is None or attempt.verdict is None or file not in known:
        raise loop.NotFound("There is no such plot.", hint="Look at the page of the calibration again.")
    folder = (desk().settings.reports / attempt.verdict.report).parent
    answer = send_from_directory(folder, file, mimetype="image/svg+xml")
    answer.headers["Content-Security-Policy"] = _REPORT_POLICY
    return answer


@pages.get("/calibrations/<int:number>/numbers.csv")
def numbers(number: int) -> Response:
    """What was measured, channel by channel."""
    db = reading()
    attempt = last_attempt(db, calibration_of(db, number).id)
    rows = table(series(attempt, desk().settings.reports))
    text = StringIO()
    csv.writer(text).writerows(rows)
    name = f"calibration-{number}-attempt-{attempt.number if attempt is not None else 0}.csv"
    headers = {"Content-Disposition": f"attachment; filename={name}"}
    return Response(text.getvalue(), mimetype="text/csv", headers=headers)


def _context(db: Session, seen: Dossier) -> dict[str, object]:
    it, me = seen.calibration, visitor()
    buttons = loop.buttons(seen.view, it, me.username)
    return {
        "it": it,
        "seen": seen,
        "why": loop.why(seen.view, it, at()),
        "standing": seen.view.standing(it.name),
        "direct": [button for button in buttons if button.verb in DIRECT and not button.needs_reason],
        "considered": [button for button in buttons if button.verb not in DIRECT or button.needs_reason],
        "around": _neighbours(seen),
        "effects": {verb: wording.effect for verb, wording in WORDING.items()},
        "previous_name": seen.previous.processing,
        "names": full_names(db),
        "mine": me.username in (it.expert, it.deputy),
    }


def _neighbours(seen: Dossier) -> Neighbours:
    view, name = seen.view, seen.calibration.name
    return Neighbours(
        upstream=[view.calibrations[other] for other in seen.calibration.upstream if other in view.calibrations],
        downstream=[other for other in view.calibrations.values() if name in other.upstream],
        waiting=[other for other in view.after(name) if other.state is State.SUBMITTED],
    )
