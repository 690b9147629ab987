"""The evidence behind a verdict: what was measured, drawn, and how it was in earlier processings."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from b2cal.model import Attempt, Calibration, Grade, Kind, Verdict
from b2cal.site.looks import GRADE
from b2cal.site.plots import Plot, plot_of
from b2cal.validation import INDEX, NUMBERS

Check = Mapping[str, Any]

_MOST_PLOTS = 4
_MOST_EARLIER = 30


@dataclass(frozen=True)
class Picture:
    """A plot that was drawn for the report: a file beside it."""

    file: str
    title: str
    caption: str
    anomalous: bool


@dataclass(frozen=True)
class Bucket:
    """The value of a check in one processing, and the calibration there."""

    processing: str
    calibration_id: int
    value: float


@dataclass(frozen=True)
class Series:
    """A measurement with its check, one number or one for each channel."""

    measurement: Mapping[str, Any]
    check: Check

    @property
    def is_anomalous(self) -> bool:
        return bool(self.check["grade"] != Grade.PASS)


def series(attempt: Attempt | None, reports_folder: Path) -> list[Series]:
    """What was measured, as it is kept with the verdict on an attempt, anomalous first."""
    if attempt is None or attempt.verdict is None:
        return []
    checks = {row["name"]: row for row in attempt.verdict.checks}
    rows = [row for row in _beside_the_report(attempt.verdict, reports_folder, NUMBERS) if row.get("name") in checks]
    found = [Series(row, checks[row["name"]]) for row in rows]
    return sorted(found, key=lambda one: -GRADE[Grade(one.check["grade"])].urgency)


def table(measured: Sequence[Series]) -> Iterator[tuple[object, ...]]:
    """The measurements as rows, a channel each, with the names of the columns first."""
    yield "measurement", "unit", "axis", "channel", "value", "error", "previous", "low", "high"
    for one in measured:
        row, check = one.measurement, one.check
        about = [_as_text(row.get(name) or "") for name in ("name", "unit", "axis")]
        columns = [_as_list(row.get(name)) for name in ("values", "errors", "previous")]
        for channel, (value, error, previous) in enumerate(zip_longest(*columns)):
            yield *about, channel, value, error, previous, check["low"], check["high"]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _as_text(value: Any) -> str:
    """A text of a script that no spreadsheet takes for a formula."""
    text = str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def plots(measured: Sequence[Series]) -> list[Plot]:
    """The quantities that are anomalous, else the first ones."""
    chosen = [one for one in measured if one.is_anomalous] or measured
    drawn = [plot_of(one.measurement, one.check["low"], one.check["high"]) for one in chosen]
    return [plot for plot in drawn if plot is not None][:_MOST_PLOTS]


def pictures(attempt: Attempt | None, reports_folder: Path, measured: Sequence[Series]) -> list[Picture]:
    """Plots of the report, anomalous first: the constants, new and previous, and what is not among the `measured`."""
    if attempt is None or attempt.verdict is None:
        return []
    try:
        rows = _beside_the_report(attempt.verdict, reports_folder, INDEX)
        found = [Picture(row["file"], row["title"], row["caption"], bool(row["anomalous"])) for row in rows]
    except KeyError:
        return []
    drawn_here = {one.measurement["name"] for one in measured}
    others = [picture for picture in found if picture.title not in drawn_here]
    return sorted(others, key=lambda picture: not picture.anomalous)


def trends(db: Session, it: Calibration, attempt: Attempt | None) -> dict[str, list[Bucket]]:
    """The value of each check in earlier processings and in this one, oldest first."""
    if attempt is None or attempt.verdict is None:
        return {}
    earlier = db.scalars(
        select(Attempt)
        .join(Calibration, Calibration.id == Attempt.calibration_id)
        .where(
            Calibration.name == it.name,
            Calibration.kind != Kind.COPY,
            Calibration.processing_id < it.processing_id,
            Attempt.live.is_(True),
        )
        .order_by(Calibration.processing_id.desc())
        .limit(_MOST_EARLIER)
        .options(joinedload(Attempt.verdict), joinedload(Attempt.calibration).joinedload(Calibration.processing))
    ).all()
    found: dict[str, list[Bucket]] = {}
    for one in (*reversed(earlier), attempt):
        of = one.calibration
        for row in one.verdict.checks if one.verdict is not None else ():
            if isinstance(row["value"], (int, float)) and not isinstance(row["value"], bool):
                found.setdefault(row["name"], []).append(Bucket(of.processing.name, of.id, float(row["value"])))
    return {name: buckets for name, buckets in found.items() if len(buckets) > 1}


def _beside_the_report(verdict: Verdict, reports_folder: Path, name: str) -> list[dict[str, Any]]:
    try:
        rows = json.loads(((reports_folder / verdict.report).parent / name).read_text())
    except (OSError, ValueError):
        return []  # the plots are an extra: the verdict stands in the database
    return [row for row in rows if isinstance(row, dict)]
