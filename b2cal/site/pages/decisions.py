"""The ledger of decisions."""

from flask import Blueprint, render_template, request

from b2cal.site.desk import asked_number, reading
from b2cal.site.queries.ledger import choices, ledger
from b2cal.site.queries.people import full_names

pages = Blueprint("decisions", __name__)


@pages.get("/decisions")
def page() -> str:
    db = reading()
    chosen = {name: request.args.get(name, "") for name in ("processing", "actor", "who")}
    found = ledger(
        db,
        processing=chosen["processing"],
        actor=chosen["actor"],
        people_only=chosen["who"] == "people",
        before=asked_number("before"),
    )
    processings, actors = choices(db)
    return render_template(
        "decisions.html", found=found, chosen=chosen, processings=processings, actors=actors, names=full_names(db)
    )
