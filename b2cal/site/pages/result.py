"""True against found: what the demo's simulation tells about its constants."""

import json
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, render_template

from b2cal.site.desk import desk

pages = Blueprint("result", __name__)

WORST_P = 0.001
"""A type of constants with a smaller p-value is not compatible with the truth."""


@dataclass(frozen=True)
class Row:
    """One type of constants against the truth.

    Attributes:
        n: constants compared.
        pull_before, pull_after: distance to the truth in units of the statistical error.
        resolution_before, resolution_after, resolution_true: with nominal, found and true constants.
    """

    type: str
    n: int
    chi2: float | None
    p: float | None
    pull_before: float | None
    pull_after: float | None
    resolution_before: float | None
    resolution_after: float | None
    resolution_true: float | None

    @property
    def holds(self) -> bool:
        return self.p is not None and self.p > WORST_P


@pages.get("/result")
def page() -> str:
    rows, problem = _rows()
    return render_template("result.html", rows=rows, problem=problem, worst_p=WORST_P)


def _rows() -> tuple[list[Row], str]:
    path = desk().settings.folder("result.json")
    try:
        content: Any = json.loads(path.read_text())
    except FileNotFoundError:
        return [], ""
    except (OSError, ValueError) as error:
        return [], f"{path.name} cannot be read: {error}"
    entries = content.get("rows", []) if isinstance(content, dict) else content
    try:
        return [Row(**{name: entry.get(name) for name in Row.__dataclass_fields__}) for entry in entries], ""
    except (AttributeError, TypeError) as error:
        return [], f"{path.name} has another form than the demo writes: {error}"
