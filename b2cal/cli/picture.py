"""A processing in a terminal: every calibration with what it waits for, and what publishing will change."""

from datetime import datetime
from typing import Any

from rich.table import Table

from b2cal import loop
from b2cal.loop import ProcessingView
from b2cal.model import BarrierPolicy, ProcessingState, State, now

from .desk import Desk, local

_SIGNS = {
    "open": "◇",
    "submitted": "○",
    "running": "●",
    "validating": "◐",
    "in review": "▲",
    "signed off": "✓",
    "vetoed": "⊘",
    "cancelled": "⊘",
    "failed": "✕",
}


def overview(desk: Desk, name: str) -> dict[str, Any]:
    """All that `show` and `watch` tell of a processing, as plain values."""
    with desk.workplace.database.read() as db:
        view = ProcessingView.of(db, name)
        numbers = loop.by_attempt(loop.stages_of(db, [attempt.id for attempt in view.attempts.values()]))
        jobs = {name: numbers.get(attempt.id) for name, attempt in view.attempts.items()}
        preview = loop.publication_preview(view)
        at = now(db)
        return {
            "name": name,
            "state": view.processing.state.value,
            "held": view.processing.held,
            "barrier": view.processing.barrier_policy.value,
            "windows_end_at": view.windows_end_at(at),
            "blocked_days": loop.spoken_days(view.processing.blocked_days),
            "at": at,
            "calibrations": [
                {
                    "name": c.name,
                    "step": c.step.value,
                    "state": c.state.value,
                    "freshness": view.standing(c.name).freshness.value,
                    "why": loop.why(view, c, at).sentence,
                    "expert": c.expert,
                    "jobs_done": own.done if own else 0,
                    "jobs_held": own.held if own else 0,
                    "jobs": own.total if own else 0,
                }
                for c in sorted(view.calibrations.values(), key=lambda c: (c.step.order, c.id))
                for own in [jobs.get(c.name)]
            ],
            "publishing": [{"says": str(change), **change.to_json()} for change in preview.changes],
            "obstacle": preview.obstacle,
            "preview": preview.fingerprint,
        }


def _windows(facts: dict[str, Any]) -> str | None:
    ends_at, blocked = facts["windows_end_at"], facts["blocked_days"]
    until = f"windows end {local(ends_at)}" if ends_at else ""
    return "; ".join(filter(None, [until, f"blocked days {blocked}" if blocked else ""])) or None


def picture(facts: dict[str, Any]) -> Table:
    """The overview as a table for a terminal."""
    at: datetime = facts["at"]
    held = ", held" if facts["held"] else ""
    barrier = ", full barriers between steps" if facts["barrier"] == BarrierPolicy.STEPS else ""
    table = Table(
        title=f"{facts['name']}: {facts['state']}{held}{barrier}  ({at:%H:%M:%S} UTC)",
        title_justify="left",
        header_style="bold",
        caption=_windows(facts),
        caption_justify="left",
    )
    for column in ("Step", "Calibration", "State", "Jobs", "Why / what next"):
        table.add_column(column)
    for row in facts["calibrations"]:
        held_jobs = f", {row['jobs_held']} held" if row["jobs_held"] else ""
        jobs = f"{row['jobs_done']}/{row['jobs']}{held_jobs}" if row["jobs"] else "–"
        word = loop.state_in_words(State(row["state"]), ProcessingState(facts["state"]))
        table.add_row(row["step"], row["name"], f"{_SIGNS[word]} {word}", jobs, row["why"])
    return table
