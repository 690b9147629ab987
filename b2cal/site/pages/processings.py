"""The board: all processings."""

from flask import Blueprint

from b2cal.site.desk import reading
from b2cal.site.live import live
from b2cal.site.queries.board import board as all_processings
from b2cal.site.queries.people import full_names

pages = Blueprint("processings", __name__)


@pages.get("/processings")
def board() -> str | tuple[str, int]:
    db = reading()
    return live("board.html", "parts/board.html", rows=all_processings(db), names=full_names(db))
