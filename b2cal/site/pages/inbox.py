"""Needs me: what this person has to do, and nothing else."""

from flask import Blueprint

from b2cal.site.desk import at, reading, visitor
from b2cal.site.live import live
from b2cal.site.queries.inbox import inbox
from b2cal.site.queries.people import full_names

pages = Blueprint("inbox", __name__)


@pages.get("/")
def page() -> str | tuple[str, int]:
    db, me = reading(), visitor()
    items = inbox(db, me.username, is_manager=me.is_manager, at=at())
    return live("inbox.html", "parts/inbox.html", items=items, names=full_names(db))
