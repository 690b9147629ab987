"""True against found: what the demo's simulation tells about its constants."""

import json
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, render_template

from b2cal.site.desk import desk, reading
from b2cal.site.queries.tags import makers
from b2cal.validation import WORST_P, AgainstTruth

pages = Blueprint("result", __name__)


@pages.get("/result")
def page() -> str:
    rows, problem = _rows()
    return render_template(
        "result.html", rows=rows, problem=problem, worst_p=WORST_P, made_at=_made_at(), makers=makers(reading())
    )


def _made_at() -> datetime | None:
    try:
        return datetime.fromtimestamp(desk().settings.folder("result.json").stat().st_mtime, UTC)
    except OSError:
        return None


def _rows() -> tuple[list[AgainstTruth], str]:
    path = desk().settings.folder("result.json")
    try:
        content: Any = json.loads(path.read_text())
    except FileNotFoundError:
        return [], ""
    except (OSError, ValueError) as error:
        return [], f"{path.name} cannot be read: {error}"
    try:
        return [AgainstTruth(**entry) for entry in content], ""
    except TypeError as error:
        return [], f"{path.name} has another form than the demo writes: {error}"
