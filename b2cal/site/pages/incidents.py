"""Incidents: trouble at centres that b2cal looks after by itself."""

from flask import Blueprint

from b2cal.site.desk import asked_number, reading
from b2cal.site.live import live
from b2cal.site.queries.incidents import incidents

pages = Blueprint("incidents", __name__)


@pages.get("/incidents")
def page() -> str | tuple[str, int]:
    return live("incidents.html", "parts/incidents.html", found=incidents(reading(), asked_number("before")))
