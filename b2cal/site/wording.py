"""How numbers, runs, identities and findings are written on the pages."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from flask import url_for
from markupsafe import Markup, escape

from b2cal import loop
from b2cal.core.iov import OPEN, ExpRun
from b2cal.model import (
    BarrierPolicy,
    Calibration,
    Job,
    NoVerdictPolicy,
    Processing,
    ProcessingState,
    PublishPolicy,
    SignOffPolicy,
    StartPolicy,
    State,
)

from .decided import facts
from .desk import reading, visitor
from .graph import NODE_HEIGHT, NODE_WIDTH
from .looks import CALIBRATION, Look
from .plots import is_outside
from .queries.board import StepCount
from .queries.evidence import Bucket
from .queries.inbox import Item, Task, n_waiting
from .queries.overview import Overview, Row
from .timeline import Share
from .times import ZONES
from .typed import typed

_UNITS = ("B", "kB", "MB", "GB", "TB")
_DONE = {
    "submit": "Submitted",
    "withdraw": "Withdrawn",
    "start": "Started",
    "ended": "Jobs ended",
    "judged": "Judged",
    "sign_off": "Signed off",
    "reject": "Rejected",
    "restart": "Restarted",
    "replace": "Replaced",
    "veto": "Vetoed",
    "lift": "Veto lifted",
    "keep": "Kept",
    "go_on": "Goes on with what is there",
    "select": "Selection given",
    "reassign": "Reassigned",
    "name_deputy": "Deputy named",
    "extend": "Window extended",
    "cancel_jobs": "Jobs cancelled",
    "retry_jobs": "Failed jobs done again",
    "activate": "Activated",
    "complete": "Complete",
    "reopen": "Reopened",
    "publish": "Published",
    "cancel": "Cancelled",
    "hold": "Held",
    "release": "Released",
    "take_over": "Taken over",
    "create": "Created",
    "add": "Constants added",
    "copy": "Copied",
    "set_state": "State changed",
    "begin": "Standing veto begun",
    "end": "Standing veto ended",
    "plan": "Planned",
    "let_in": "May log in",
    "shut_out": "May not log in any more",
}
_ORDERS = {
    loop.JobOrder.NUMBER: "latest stage first",
    loop.JobOrder.STARTED: "earliest start first",
    loop.JobOrder.CPU: "most CPU first",
    loop.JobOrder.MEMORY: "most memory first",
}
_TASKS = {
    Task.DECIDE: ("decide", CALIBRATION[State.REVIEW]),
    Task.REPAIR: ("failed", CALIBRATION[State.FAILED]),
    Task.JOBS: ("jobs ask", CALIBRATION[State.FAILED]),
    Task.CHOOSE: ("select data", CALIBRATION[State.REVIEW]),
    Task.INPUTS: ("inputs", CALIBRATION[State.REVIEW]),
    Task.EXPIRING: ("data expire", CALIBRATION[State.REVIEW]),
    Task.KEEP: ("stale", CALIBRATION[State.REVIEW]),
    Task.UNSUBMITTED: ("not submitted", CALIBRATION[State.REVIEW]),
    Task.PUBLISH: ("publish", CALIBRATION[State.REVIEW]),
    Task.UNPUBLISHED: ("cannot publish", CALIBRATION[State.FAILED]),
    Task.SUBMIT: ("open", CALIBRATION[State.OPEN]),
}


def run(number: int) -> str:
    """A run on the number line as `e26r180`; `open` for the open end."""
    return "open" if number == OPEN else str(ExpRun.from_number(number))


def size(n_bytes: int | None) -> str:
    """`1.2 MB`."""
    return "–" if n_bytes is None else loop.bytes_in_words(n_bytes)


def count(number: int | None) -> str:
    """`12,000`."""
    return "–" if number is None else f"{number:,}"


def events(number: int) -> str:
    """`19.2 M`, `812 k`, `940`."""
    if number >= 10**6:
        return f"{number / 1e6:.1f} M"
    return f"{number / 1e3:.0f} k" if number >= 10**4 else f"{number:,}"


def cpu(seconds: float) -> str:
    """`38 h`, `12 min`, `9 s`."""
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"


def short(identity: str) -> str:
    """The beginning of a hash, enough to tell it from others."""
    return f"{identity[:8]}…"


def figure(value: float | None) -> str:
    """A measured number with the digits that matter: `121.4`, `0.0213`, `3.1e-07`."""
    if value is None:
        return "–"
    text = f"{value:.4g}"
    return text if "e" in text else text.replace("-", "−")


def digits(value: float) -> str:
    """A number with three digits that matter, trailing zeros too: `0.994`, `12.0`, `69`."""
    if value == int(value):
        return f"{int(value):,}"
    text = f"{value:#.3g}".removesuffix(".")
    return text.replace("-", "−") if "e" not in text else f"{value:.1e}"


def plural(number: int, one: str, many: str = "") -> str:
    """`1 job`, `12 jobs`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def cut(text: str, length: int) -> str:
    """A text that fits into `length` characters."""
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def linked(why: loop.Why, known: Mapping[str, Row | Calibration]) -> Markup:
    """The sentence of a `why`, with a link where it names the calibration to look at, and one to its incident."""
    sentence = escape(why.sentence)
    if why.calibration is not None and why.calibration in known:
        found = known[why.calibration]
        number = found.id if isinstance(found, Calibration) else found.calibration.id
        link = Markup('<a href="{}">{}</a>').format(url_for("calibration.page", number=number), why.calibration)
        sentence = Markup(sentence.replace(escape(why.calibration), link, 1))  # noqa: S704 (both parts are escaped)
    if why.incident is None:
        return sentence
    address = url_for("incidents.page", _anchor=f"incident-{why.incident}")
    return Markup('{} <a href="{}">The incident</a>').format(sentence, address)


def measured(check: Mapping[str, Any]) -> str:
    """The value of a check: a number with its unit, or yes or no."""
    value = check["value"]
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{figure(value)} {check['unit']}".strip()


def limit_text(check: Mapping[str, Any]) -> str:
    """The limits of a check: `≤ 128`, `± 4.2`, `yes` for a yes/no, `–` for none."""
    if isinstance(check["value"], bool):
        return "yes"
    low, high = check["low"], check["high"]
    if low is not None and high is not None:
        return f"± {figure(high)}" if low == -high and high > 0 else f"{figure(low)} to {figure(high)}"
    if high is not None:
        return f"≤ {figure(high)}"
    return "–" if low is None else f"≥ {figure(low)}"


def finding(anomalous: Sequence[Mapping[str, Any]], checks: Sequence[Mapping[str, Any]]) -> str:
    """The first sentence of a decision: what is beyond its limit, and where."""
    if not anomalous:
        return f"{green_checks(checks)}." if checks else "there was nothing to check."
    worst = anomalous[0]
    where = f", worst {worst['where']}" if worst["where"] else ""
    if isinstance(worst["value"], bool):
        return f"{worst['name']}: no{where}."
    if worst["n_values"] > 1:
        return f"{worst['name']}: {worst['n_outside']:,} of {worst['n_values']:,} beyond the limit{where}."
    return f"{worst['name']} is {measured(worst)}, limit {limit_text(worst)}."


def green_checks(checks: Sequence[Mapping[str, Any]]) -> str:
    """`all 12 checks green`, `the one check is green`."""
    return "the one check is green" if len(checks) == 1 else f"all {len(checks):,} checks green"


def since(buckets: Sequence[Bucket], check: Mapping[str, Any]) -> str:
    """Since when a check is as it is: what it was in the processing before, and how often it was within its limits."""
    if not buckets or check["n_values"] < 1:
        return ""
    before = buckets[-2]
    return f"In {before.processing} it was {figure(before.value)} {check['unit']}".rstrip() + "."


def green_text(anomalous: Sequence[Mapping[str, Any]], checks: Sequence[Mapping[str, Any]]) -> str:
    """What the other checks say."""
    green = len(checks) - len(anomalous)
    others = (
        f" {plural(len(anomalous) - 1, 'more check')} beyond {'its limit' if len(anomalous) == 2 else 'their limits'}."
    )
    return (others if len(anomalous) > 1 else "") + f" {green} of {plural(len(checks), 'check')} green."


def strip_text(step: StepCount, seen: Overview) -> str:
    """What stands below a step: `2 of 2`, `3 of 4 · 1 to decide`, `waits for x-t relation`."""
    if not step.total:
        return "none"
    parts = [f"{step.finished} of {step.total}"]
    if step.is_cancelled:
        return f"{parts[0]} · cancelled"
    for state, word in (
        (State.FAILED, "failed"),
        (State.REVIEW, "to decide"),
        (State.RUNNING, "running"),
        (State.OPEN, "open"),
    ):
        if step.counts.get(state):
            parts.append(f"{step.counts[state]} {word}")
    waiting = next(
        (row.why.calibration for row in seen.rows if row.calibration.step is step.step and row.why.calibration), None
    )
    if len(parts) == 1 and step.finished < step.total and waiting is not None:
        parts.append(f"waits for {waiting}")
    return " · ".join(parts)


def publication_text(preview: loop.Preview, processing: Processing) -> str:
    """What publishing changes, in one line."""
    if processing.state is ProcessingState.CANCELLED:
        return "Nothing: it was cancelled."
    if processing.state is ProcessingState.PUBLISHED:
        return f"{plural(len(preview.changes), 'payload')} went into {processing.target_tag.name}."
    new = sum(len(change.created) for change in preview.changes)
    same = sum(bool(change.unchanged) and not change.created for change in preview.changes)
    closed = sum(change.closed is not None for change in preview.changes)
    gaps = sum(len(change.gaps) for change in preview.changes)
    overlaps = sum(len(change.overlaps) for change in preview.changes)
    parts = [f"{plural(new, 'new IoV')} of {plural(len(preview.changes), 'payload')}"]
    if closed:
        parts.append(f"{closed} closed")
    if same:
        parts.append(f"{same} {'goes' if same == 1 else 'go'} on unchanged")
    if preview.unknown:
        parts.append(f"{plural(len(preview.unknown), 'calibration')} not known yet")
    parts.append(f"{plural(gaps, 'gap')}" if gaps else "no gap")
    parts.append(f"{plural(overlaps, 'overlap')}" if overlaps else "no overlap")
    return " · ".join(parts)


def policies(it: Processing) -> list[tuple[str, str]]:
    """What was chosen for a processing when it began, in words."""
    blocked = loop.spoken_days(it.blocked_days)
    return [
        ("windows", loop.spoken(timedelta(seconds=it.window_s))),
        *([("blocked days", blocked)] if blocked else []),
        ("start", "as soon as ready" if it.start_policy is StartPolicy.READY else "at the end of the window"),
        ("barriers", "between all steps" if it.barrier_policy is BarrierPolicy.STEPS else "none: after its upstream"),
        ("sign-off", "green by itself" if it.sign_off_policy is SignOffPolicy.AUTO else "always by a person"),
        (
            "no verdict",
            "generic checks decide" if it.no_verdict_policy is NoVerdictPolicy.GENERIC else "a person decides",
        ),
        ("publishing", "by itself" if it.publish_policy is PublishPolicy.AUTO else "by the manager"),
    ]


def verb_done(verb: str) -> str:
    """A decision's verb as something that happened."""
    return _DONE.get(verb, verb)


def job_text(job: Job) -> str:
    """A batch job by what it does: `fit, iteration 2, job 1`."""
    return loop.job_in_words(job.group.stage, job.group.iteration, job.number)


def task_look(item: Item) -> tuple[str, Look]:
    """The word and the shape of something to do."""
    return _TASKS[item.task]


def spent_parts(spent: Sequence[Share]) -> list[tuple[str, float]]:
    """Shares of time as the parts of a bar."""
    return [(share.cause.name.lower(), share.percent) for share in spent]


def sparkline(values: Sequence[float], low: float | None = None, high: float | None = None) -> Markup:
    """A trend as a small line over the range inside the limits; the last value, which is this one, as a dot."""
    seen = [*values, *(limit for limit in (low, high) if limit is not None)]
    bottom, span = min(seen), (max(seen) - min(seen)) or 1.0

    def height(value: float) -> float:
        return 25 - 22 * (value - bottom) / span

    points = [(3 + 86 * i / (len(values) - 1), height(value)) for i, value in enumerate(values)]
    top_of_band = 3.0 if high is None else height(high)
    bottom_of_band = 25.0 if low is None else height(low)
    return Markup(
        '<svg class="spark" width="92" height="28" viewBox="0 0 92 28" role="img" aria-label="{}">'
        '<rect class="band" x="0" y="{}" width="92" height="{}"/>'
        '<polyline points="{}"/><circle class="{}" cx="{}" cy="{}" r="2.8"/></svg>'
    ).format(
        f"the last {len(values)}: {', '.join(map(figure, values))}",
        f"{top_of_band:.1f}",
        f"{0.0 if low is None and high is None else max(0.0, bottom_of_band - top_of_band):.1f}",
        " ".join(f"{x:.1f},{y:.1f}" for x, y in points),
        "outside" if is_outside(values[-1], low, high) else "inside",
        f"{points[-1][0]:.1f}",
        f"{points[-1][1]:.1f}",
    )


def zones(current: str) -> dict[str, str]:
    """Zones to choose from, that of the reader among them."""
    return {**ZONES, **({} if current in ZONES else {current: current.replace("_", " ")})}


def _n_waiting() -> int:
    me = visitor()
    return n_waiting(reading(), me.username, is_manager=me.is_manager)


FILTERS: dict[str, Callable[..., object]] = {
    "run": run, "size": size, "count": count, "events": events, "short": short, "figure": figure, "digits": digits,
    "quote": quote, "typed": typed,
}  # fmt: skip
GLOBALS: dict[str, object] = {
    "cpu": cpu,
    "cut": cut,
    "facts": facts,
    "finding": finding,
    "green_checks": green_checks,
    "green_text": green_text,
    "said_by": loop.said_by,
    "since": since,
    "sources": loop.SOURCES,
    "job_text": job_text,
    "job_word": loop.job_word,
    "held_there": loop.HELD_THERE,
    "limit_text": limit_text,
    "linked": linked,
    "measured": measured,
    "memory_in_words": loop.memory_in_words,
    "disk_in_words": loop.disk_in_words,
    "n_waiting": _n_waiting,
    "node_height": NODE_HEIGHT,
    "node_width": NODE_WIDTH,
    "orders": _ORDERS,
    "plural": plural,
    "policies": policies,
    "publication_text": publication_text,
    "sparkline": sparkline,
    "spent_parts": spent_parts,
    "spoken": loop.spoken,
    "strip_text": strip_text,
    "task_look": task_look,
    "tried_again_at": loop.tried_again_at,
    "slow_in_words": loop.slow_in_words,
    "waits_for_decision": loop.waits_for_decision,
    "verb_done": verb_done,
    "zones": zones,
}
