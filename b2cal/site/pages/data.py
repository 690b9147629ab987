"""Runs and files: what has arrived, what is missing, what could not be read and why."""

from flask import Blueprint, render_template, request

from b2cal.core.iov import ExpRun, InvalidIoV
from b2cal.site.desk import reading
from b2cal.site.queries import catalogue

pages = Blueprint("data", __name__)


@pages.get("/data")
def runs() -> str:
    db, asked, unknown = reading(), request.args.get("from", "").strip(), ""
    try:
        up_to = ExpRun.parse(asked).number if asked else None
    except InvalidIoV as error:
        up_to, unknown = None, str(error)
    return render_template(
        "runs.html",
        page=catalogue.runs(db, up_to),
        unreadable=catalogue.unreadable(db),
        n_gone=catalogue.n_gone(db),
        unknown=unknown,
    )


@pages.get("/data/<run>")
def run(run: str) -> str:
    db = reading()
    found = catalogue.run_named(db, run)
    files = catalogue.files_of(db, found)
    return render_template("run.html", it=found, files=files, objections=catalogue.objections(db, files))
