"""Global tags: the list, and one tag with its IoVs as a map."""

from flask import Blueprint, render_template

from b2cal.conditions import tag_named
from b2cal.site.desk import reading
from b2cal.site.iov_map import Span, iov_map
from b2cal.site.queries.tags import all_tags, contents, processings_into

pages = Blueprint("tags", __name__)


@pages.get("/tags")
def board() -> str:
    return render_template("tags.html", rows=all_tags(reading()))


@pages.get("/tags/<name>")
def page(name: str) -> str:
    db = reading()
    tag = tag_named(db, name)
    iovs = contents(db, tag)
    spans = [Span(row.name, row.first, row.last, row.payload.identity) for row in iovs]
    return render_template("tag.html", tag=tag, iovs=iovs, map=iov_map(spans), processings=processings_into(db, tag))
