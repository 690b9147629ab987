"""The report that people judge by: one HTML file that needs nothing else, and its plots as files beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from b2cal.core.files import write_atomically

from .generic import ConstantsFile
from .verdict import Judgement

REPORT = "report.html"


def write_report(
    folder: Path,
    title: str,
    judgement: Judgement,
    measurements: Sequence[Mapping[str, Any]],
    new: Sequence[ConstantsFile],
    previous: Sequence[ConstantsFile],
) -> Path:
    """Write `report.html` into a folder and give its path."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("report.html").render(title=title, judgement=judgement)
    path = folder / REPORT
    write_atomically(path, page)
    return path
