"""The report that people judge by: one HTML file that needs nothing else, with its plots as files beside it."""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from b2cal.core.apart import Allowance, Answer, work_apart
from b2cal.core.files import write_atomically
from b2cal.core.iov import IoV
from b2cal.model import Grade

from .check import Check, Limits, Origin
from .generic_checks import ConstantsFile, Pair, paired
from .verdict import Judgement

REPORT, INDEX, NUMBERS = "report.html", "plots.json", "measurements.json"
MOST_BYTES_OF_NUMBERS = 2_000_000
"""A page that shows them reads them anew every few seconds."""
_DRAWING = Path(__file__).with_name("drawing.py")
_WORST = 8


@dataclass(frozen=True)
class Provenance:
    """Where numbers come from, as far as the caller knows it.

    Attributes:
        facts: short things in their order: release, attempt, runs, host, version of the code.
        configuration: the expert_config that was used.
        files: path and SHA-256 of each input file.
        constants: name, runs and identity of each payload that was read.
    """

    facts: Mapping[str, str] = field(default_factory=dict)
    configuration: Mapping[str, Any] = field(default_factory=dict)
    files: Sequence[tuple[str, str]] = ()
    constants: Sequence[tuple[str, str, str]] = ()


@dataclass(frozen=True)
class Plot:
    """A plot of a report; without `file` it could not be drawn, and `problem` says why.

    Attributes:
        checks: names of the checks that it shows.
    """

    title: str
    file: str
    caption: str
    problem: str
    checks: tuple[str, ...]
    anomalous: bool
    image: str = ""


def write_report(
    folder: Path,
    title: str,
    judgement: Judgement,
    measurements: Sequence[Mapping[str, Any]],
    new: Sequence[ConstantsFile],
    previous: Sequence[ConstantsFile],
    provenance: Provenance | None = None,
    allowance: Allowance | None = None,
) -> Path:
    """Write `report.html`, its plots, their index `plots.json` and the numbers `measurements.json` into a folder.

    Plots are drawn in a process apart. One that fails costs neither the report nor the other plots: the report says
    which it is and why.

    Args:
        folder: is made if needed; a former report in it is replaced.
        title: what was judged.
        judgement: the verdict.
        measurements: what the script measured, as `Measurement.to_json` gives it.
        new: the constants that were judged.
        previous: what was valid before.
        provenance: shown at the end.
        allowance: time and memory for the plots of each payload and of each measurement.

    Returns:
        The path of the HTML file. `plots.json` lists file, title, caption, check and anomalous of each plot, those
        with anomalies first; `measurements.json` those measurements that were judged, likewise, as many as fit in.

    Raises:
        CannotWrite: the disk is full or the folder not writable.
    """
    folder.mkdir(parents=True, exist_ok=True)
    items = [*_measurement_items(measurements, judgement), *_payload_items(paired(new, previous), judgement)]
    answers = work_apart(_DRAWING, [item | {"folder": str(folder)} for item in items], allowance or Allowance(60))
    plots = [
        plot for item, answer in zip(items, answers, strict=True) for plot in _plots(folder, item, answer, judgement)
    ]
    plots.sort(key=lambda plot: not plot.anomalous)
    write_atomically(folder / INDEX, json.dumps([_indexed(plot) for plot in plots if plot.file], indent=1))
    write_atomically(folder / NUMBERS, _numbers(measurements, judgement))
    page = _page(title, judgement, plots, new, provenance or Provenance())
    write_atomically(folder / REPORT, page)
    return folder / REPORT


# --- what is to be drawn ---------------------------------------------------------------------------------------------


def _measurement_items(measurements: Sequence[Mapping[str, Any]], judgement: Judgement) -> Iterator[dict[str, Any]]:
    checks = {check.name: check for check in judgement.checks}
    for number, measurement in enumerate(measurements):
        check = checks.get(str(measurement.get("name")))
        if check is None or check.quantity is None or check.quantity.values.dtype == bool or check.value is None:
            continue
        stem = f"measurement_{number:02d}_{_slug(check.name)}"
        yield {"stem": stem, "measurement": dict(measurement), "low": check.low, "high": check.high}


def _payload_items(pairs: Sequence[Pair], judgement: Judgement) -> Iterator[dict[str, Any]]:
    for name in sorted({pair.new.name for pair in pairs}):
        change = f"change of {name}/"
        changes = [check for check in judgement.checks if check.name.startswith(change)]
        yield {
            "stem": f"payload_{_slug(name)}",
            "name": name,
            "limits": {check.name.removeprefix(change): (check.low, check.high) for check in changes},
            "pieces": [_piece(pair) for pair in pairs if pair.new.name == name],
        }


def _piece(pair: Pair) -> dict[str, Any]:
    iov = IoV.from_numbers(pair.new.first, pair.new.last)
    previous = None if pair.previous is None else str(pair.previous.path)
    return {"new": str(pair.new.path), "previous": previous, "iov": str(iov), "first": str(iov.first)}


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


# --- what has been drawn ---------------------------------------------------------------------------------------------


def _plots(folder: Path, item: Mapping[str, Any], answer: Answer, judgement: Judgement) -> Iterator[Plot]:
    name = item["name"] if "pieces" in item else item["measurement"]["name"]
    for result in answer.value or [{"key": "", "error": answer.failure}]:
        title = f"{name}/{result['key']}" if result["key"] else name
        checks = [check for check in judgement.checks if _shows(title, check.name)]
        file = result.get("file", "")
        yield Plot(
            title=title,
            file=file,
            caption=result.get("caption", ""),
            problem=result.get("error", ""),
            checks=tuple(check.name for check in checks),
            anomalous=any(check.grade is not Grade.PASS for check in checks),
            image=base64.b64encode((folder / file).read_bytes()).decode() if file else "",
        )


def _shows(title: str, check: str) -> bool:
    return check in (title, f"change of {title}", f"common change of {title}", f"share of changed {title}")


def _indexed(plot: Plot) -> dict[str, Any]:
    return {
        "file": plot.file,
        "title": plot.title,
        "caption": plot.caption,
        "check": plot.checks[0] if plot.checks else "",
        "anomalous": plot.anomalous,
    }


def _numbers(measurements: Sequence[Mapping[str, Any]], judgement: Judgement) -> str:
    """The judged measurements as a JSON list, anomalous first; one that is too long stands in the report only."""
    grades = {check.name: check.grade for check in judgement.checks}
    own = [measurement for measurement in measurements if measurement.get("name") in grades]
    own.sort(key=lambda measurement: grades[measurement["name"]] is Grade.PASS)
    kept: list[str] = []
    room = MOST_BYTES_OF_NUMBERS
    for text in map(json.dumps, own):
        if len(text) <= room:
            kept.append(text)
            room -= len(text)
    return f"[{', '.join(kept)}]"


# --- the page --------------------------------------------------------------------------------------------------------


def _page(
    title: str, judgement: Judgement, plots: Sequence[Plot], new: Sequence[ConstantsFile], provenance: Provenance
) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "limits": limits, "sentence": sentence, "worst": worst_channels}
    order = [Grade.FAIL, Grade.WARN, Grade.PASS]
    checks = sorted(judgement.checks, key=lambda check: (order.index(check.grade), check.origin is Origin.NONE))
    anomalies, other_plots = _with_plots([check for check in checks if check.grade is not Grade.PASS], plots)
    return environment.get_template("report.html").render(
        title=title,
        grade=judgement.grade,
        generic_only=judgement.generic_only,
        checks=checks,
        n_judged=sum(check.is_judged for check in checks),
        anomalies=anomalies,
        other_plots=other_plots,
        payloads=[(it.name, IoV.from_numbers(it.first, it.last), it.identity) for it in new],
        provenance=provenance,
        configuration=json.dumps(dict(provenance.configuration), indent=2, sort_keys=True, default=str),
    )


def _with_plots(anomalies: Sequence[Check], plots: Sequence[Plot]) -> tuple[list[tuple[Check, list[Plot]]], list[Plot]]:
    """Each anomalous check with the plots that show it and stand beside no earlier one; and the plots that are left."""
    left = list(plots)
    found = []
    for check in anomalies:
        its = [plot for plot in left if check.name in plot.checks]
        left = [plot for plot in left if plot not in its]
        found.append((check, its))
    return found, left


def number(value: float | None) -> str:
    """A value as people read it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}".replace("-", "−")


def limits(check: Check) -> str:
    """The limits of a check as people read them."""
    if isinstance(check.value, bool):
        return "must be yes"
    if check.low is None and check.high is None:
        return "–"
    if check.low is None:
        return f"≤ {number(check.high)}"
    if check.high is None:
        return f"≥ {number(check.low)}"
    if check.low == -check.high:
        return f"within ±{number(check.high)}"
    return f"{number(check.low)} to {number(check.high)}"


def sentence(check: Check) -> str:
    """What is wrong with it, in one sentence."""
    if check.value is None or isinstance(check.value, bool):
        return check.note or "The answer is no."
    unit = f" {check.unit}" if check.unit else ""
    value = f"{number(check.value)}{unit}"
    limit = f"limit: {limits(check)}{unit}"
    if check.n_values > 1:
        text = f"{check.n_outside} of {check.n_values} are outside ({limit}). The worst is {check.where}: {value}."
    else:
        text = f"{check.where or 'The value'} is {value} ({limit})."
    return f"{text} {check.note}".strip()


def worst_channels(check: Check) -> list[tuple[str, str]]:
    """The channels that lie outside most, with their values; empty if the check's own line says it all."""
    if check.quantity is None or check.n_outside < 2 or check.value is None:
        return []
    values = check.quantity.values.ravel()
    excess = Limits(check.low, check.high, check.origin).excess(values)
    excess = np.where(np.isnan(excess), -np.inf, excess)
    order = [int(i) for i in np.argsort(-excess, kind="stable")[:_WORST] if excess[i] > 0]
    return [(check.quantity.labels[i], number(values[i].item())) for i in order]
