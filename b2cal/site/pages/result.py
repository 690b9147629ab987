"""True against found: what the demo's simulation tells about its constants."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, render_template

from b2cal.site.desk import desk, reading
from b2cal.site.queries.tags import makers

pages = Blueprint("result", __name__)

WORST_P = 0.001
"""A type of constants with a smaller p-value is not compatible with the truth."""


@dataclass(frozen=True)
class Row:
    """One type of constants against the truth.

    Attributes:
        payload: its name.
        values: how many independent numbers were compared; 0 if there were no constants but nominal ones.
        before, after: distance of nominal and found constants to the truth, in `unit`.
        p: probability of such a distance, or a larger one, if all is right.
        resolution: of what, and its unit.
        resolution_before, resolution_after, resolution_true: with nominal, found and true constants.
    """

    payload: str
    values: int
    unit: str
    before: float
    after: float
    p: float
    resolution: str
    resolution_before: float
    resolution_after: float
    resolution_true: float

    @property
    def gained(self) -> float | None:
        """How much of what the true constants would improve was reached, in percent; None: nothing could be."""
        possible = self.resolution_before - self.resolution_true
        return 100 * (self.resolution_before - self.resolution_after) / possible if possible > 0 else None

    @property
    def holds(self) -> bool:
        return self.p > WORST_P


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


def _rows() -> tuple[list[Row], str]:
    path = desk().settings.folder("result.json")
    try:
        content: Any = json.loads(path.read_text())
    except FileNotFoundError:
        return [], ""
    except (OSError, ValueError) as error:
        return [], f"{path.name} cannot be read: {error}"
    try:
        return [Row(**entry) for entry in content], ""
    except TypeError as error:
        return [], f"{path.name} has another form than the demo writes: {error}"
