"""Standing vetoes: what is left out of every processing that is activated."""

from flask import Blueprint, render_template, request, url_for
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from b2cal import loop
from b2cal.core.errors import B2calError
from b2cal.model import Definition
from b2cal.site.desk import desk, reading, stop_reading, visitor
from b2cal.site.failures import status_of
from b2cal.site.pages.acting import done
from b2cal.site.queries.people import full_names

pages = Blueprint("vetoes", __name__)

Answer = str | Response | tuple[str, int]


@pages.get("/vetoes")
def board() -> str:
    return _board()


@pages.post("/vetoes")
def act() -> Answer:
    """Begin one, or with `end` end it."""
    me, name, reason = visitor().username, request.form.get("name", ""), request.form.get("reason", "")
    ends = "end" in request.form
    stop_reading()

    def unit(db: Session) -> None:
        by = loop.manager(db, me)
        if ends:
            loop.end_standing_veto(db, name, by, reason)
        else:
            loop.begin_standing_veto(db, name, by, reason)

    try:
        desk().database.write(unit)
    except B2calError as error:
        return _board(error), status_of(error)
    told = "takes part again in" if ends else "is left out of"
    return done(f"{name} {told} every processing that is activated from now on.", url_for("vetoes.board"))


def _board(error: B2calError | None = None) -> str:
    db = reading()
    return render_template(
        "vetoes.html",
        rows=loop.standing_vetoes(db),
        known=db.scalars(select(Definition.name).distinct().order_by(Definition.name)).all(),
        names=full_names(db),
        sent=request.form,
        error=error,
    )
