"""One processing: what is stuck, on whom, until when, and when it will end."""

from collections import Counter
from collections.abc import Sequence

from flask import Blueprint, render_template, request

from b2cal import loop
from b2cal.data import arrival, watches
from b2cal.site import acts
from b2cal.site.desk import at, reading, visitor
from b2cal.site.live import live
from b2cal.site.queries.board import counted
from b2cal.site.queries.history import last_of, time_spent
from b2cal.site.queries.overview import Overview, Row, heading, overview
from b2cal.site.queries.people import full_names
from b2cal.site.queries.publishing import asked_to_publish
from b2cal.site.queries.views import view_named

pages = Blueprint("processing", __name__)

FILTERS = {"all": "worst first", "mine": "mine", "asking": "waiting on a person", "failed": "failed"}


@pages.get("/processings/<name>")
def page(name: str) -> str | tuple[str, int]:
    db, now, me = reading(), at(), visitor()
    view = view_named(db, name)
    seen = overview(db, view, now)
    shown = request.args.get("show", "all")
    incidents = loop.open_incidents(db, view.processing.centre) if view.processing.state in loop.GOING else []
    return live(
        "processing.html",
        "parts/processing.html",
        it=view.processing,
        view=view,
        seen=seen,
        rows=_filtered(seen, shown, me.username),
        shown=shown,
        filters=FILTERS,
        heading=heading,
        steps=counted(list(view.calibrations.values()), view.processing.state),
        expire_at=loop.inputs_expire_at(view),
        spent=time_spent(view, now),
        preview=loop.publication_preview(view),
        asked=asked_to_publish(view),
        buttons=loop.processing_buttons(db, view.processing, me.username),
        held=last_of(db, view.processing, loop.ProcessingVerb.HOLD),
        ended=last_of(db, view.processing, loop.ProcessingVerb.CANCEL),
        may_veto=acts.in_the_way_of_many(db, view, acts.VETO_SUBSYSTEM, me.username) is None,
        names=full_names(db),
        incidents=incidents,
        held_up=_held_up(loop.held_up(db, [it.id for it in incidents]), name),
    )


@pages.get("/processings/<name>/publication")
def preview(name: str) -> str:
    db = reading()
    view = view_named(db, name)
    buttons = loop.processing_buttons(db, view.processing, visitor().username)
    found = loop.publication_preview(view)
    done = last_of(db, view.processing, loop.ProcessingVerb.PUBLISH)
    return render_template(
        "publication.html",
        it=view.processing,
        preview=found,
        done=done,
        changes=[change.to_json() for change in found.changes] if done is None else done.details.get("changes", []),
        may_publish=any(button.verb is loop.ProcessingVerb.PUBLISH for button in buttons),
        names=full_names(db),
    )


@pages.get("/processings/<name>/arrival")
def arrived(name: str) -> str:
    db = reading()
    it = view_named(db, name).processing
    watched = watches(db)
    return render_template(
        "arrival.html",
        it=it,
        found=arrival(db, it.run_first, it.run_last),
        watched=watched,
        failing=[watch for watch in watched if watch.failing_since is not None],
    )


def _filtered(seen: Overview, shown: str, username: str) -> list[Row]:
    if shown == "mine":
        return [row for row in seen.rows if username in (row.calibration.expert, row.calibration.deputy)]
    if shown == "asking":
        return [row for row in seen.rows if row.asks]
    if shown == "failed":
        return [row for row in seen.rows if row.calibration.state == "failed"]
    return list(seen.rows)


def _held_up(waiting: Sequence[loop.HeldUp], processing: str) -> Counter[int]:
    """How many jobs of a processing wait for the end of each incident."""
    jobs: Counter[int] = Counter()
    for one in waiting:
        if one.processing == processing:
            jobs[one.incident_id] += one.n_jobs
    return jobs
