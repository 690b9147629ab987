"""One processing as a whole: rows worst first, the graph, what waits for people, the forecast."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.model import Attempt, Calibration, Kind, Outcome, Run, State, Step
from b2cal.site.forecast import Forecast, Remaining, forecast
from b2cal.site.graph import Drawing, draw
from b2cal.site.looks import STEP, Look, look_of

from .history import durations
from .people import full_names


@dataclass(frozen=True)
class Row:
    """One calibration on the page of its processing; `decides`: it does not go on before somebody has."""

    calibration: Calibration
    look: Look
    why: loop.Why
    standing: loop.Standing
    progress: loop.Jobs | None
    expert: str
    brief: str
    decides: bool
    lacks_inputs: bool
    lacks_selection: bool
    is_unsubmitted: bool
    jobs_ask_since: datetime | None

    @property
    def asks(self) -> bool:
        """Somebody has to decide, or may still do something."""
        return self.decides or (self._goes_on and self.calibration.state is State.OPEN)

    @property
    def asks_manager(self) -> bool:
        """It is the manager who has to decide."""
        missing = self.lacks_inputs or self.lacks_selection or self.is_unsubmitted
        return self.is_stale or (missing and self._goes_on)

    @property
    def asked_at(self) -> datetime:
        """Since when it waits for a decision."""
        since = self.calibration.window_ends_at if self.is_unsubmitted else self.calibration.incomplete_since
        return self.jobs_ask_since or since or self.calibration.since

    @property
    def n_held(self) -> int:
        """How many of its jobs somebody has to release elsewhere, or HTCondor by itself."""
        held = self.progress.held if self.progress is not None else 0
        return held if self._goes_on and self.calibration.state is State.RUNNING and not self.decides else 0

    @property
    def is_stale(self) -> bool:
        stale = self.standing.freshness is loop.Freshness.STALE
        return stale and self._goes_on and self.calibration.state is State.SIGNED_OFF

    @property
    def _goes_on(self) -> bool:
        return self.calibration.processing.state in loop.GOING

    @property
    def doubt(self) -> str:
        """`stale` or `in doubt`; empty if fresh."""
        return "" if self.standing.freshness is loop.Freshness.FRESH else self.standing.freshness.value


@dataclass(frozen=True)
class Overview:
    """What the page of a processing shows of its calibrations."""

    rows: tuple[Row, ...]
    drawing: Drawing
    by_name: dict[str, Row]
    forecast: Forecast | None
    n_runs: int
    windows_end_at: datetime | None
    next_try: loop.NextTry | None

    @property
    def deciding(self) -> list[Row]:
        """Those that wait for a decision."""
        return [row for row in self.rows if row.decides]

    @property
    def held(self) -> list[Row]:
        """Those that wait for no decision here, but of which their batch system holds jobs."""
        return [row for row in self.rows if row.n_held]

    @property
    def open_until(self) -> list[tuple[datetime | None, list[Row]]]:
        """Those that may still be changed, by the end of their window, the next first."""
        groups: dict[datetime | None, list[Row]] = {}
        for row in self.rows:
            if row.asks and not row.decides:
                groups.setdefault(row.calibration.window_ends_at, []).append(row)
        return sorted(groups.items(), key=lambda group: (group[0] is None, group[0] and group[0].timestamp()))

    @property
    def jobs(self) -> loop.Jobs:
        """All jobs of the live attempts together."""
        return loop.together(row.progress for row in self.rows if row.progress is not None)


def overview(db: Session, view: loop.ProcessingView, now: datetime) -> Overview:
    """Look at all calibrations of a processing."""
    names = full_names(db)
    stages = loop.stages_of(db, [attempt.id for attempt in view.attempts.values()])
    jobs = loop.by_attempt(stages)
    rows = [_row(view, it, jobs, names, now) for it in view.calibrations.values()]
    rows.sort(key=lambda row: (-row.asks_manager, -row.look.urgency, row.calibration.since))
    upstream = {name: it.upstream for name, it in view.calibrations.items()}
    steps = {name: it.step.value for name, it in view.calibrations.items()}
    return Overview(
        rows=tuple(rows),
        drawing=draw(upstream, steps, [step.value for step in Step]),
        by_name={row.calibration.name: row for row in rows},
        forecast=_forecast(db, view, rows, now),
        n_runs=db.scalar(
            select(func.count())
            .select_from(Run)
            .where(Run.exprun.between(view.processing.run_first, view.processing.run_last))
        )
        or 0,
        windows_end_at=view.windows_end_at(now),
        next_try=loop.next_try(stages, now),
    )


def heading(step: str) -> str:
    """The name of a step above its columns."""
    return STEP[Step(step)]


def _decides(view: loop.ProcessingView, it: Calibration, now: datetime) -> bool:
    goes_on = view.processing.state in loop.GOING
    return goes_on and loop.asks_somebody(view, it, now) and not loop.restarts_itself(view, it)


def _row(
    view: loop.ProcessingView, it: Calibration, jobs: dict[int, loop.Jobs], names: dict[str, str], now: datetime
) -> Row:
    attempt = view.attempts.get(it.name)
    own = jobs.get(attempt.id) if attempt is not None else None
    why = loop.why(view, it, now)
    return Row(
        calibration=it,
        look=look_of(it.state, view.processing.state),
        why=why,
        standing=view.standing(it.name),
        progress=own,
        expert=names.get(it.expert, it.expert),
        brief=_brief(view, it, own, why, now),
        decides=_decides(view, it, now),
        lacks_inputs=loop.asks_for_inputs(view.processing, it, now),
        lacks_selection=it.state is State.OPEN and loop.lacks_selection(it),
        is_unsubmitted=loop.asks_to_be_submitted(it, now),
        jobs_ask_since=view.asking.get(it.name),
    )


def _brief(view: loop.ProcessingView, it: Calibration, own: loop.Jobs | None, why: loop.Why, now: datetime) -> str:
    """The few words that fit into a node of the graph."""
    if view.processing.state in loop.OVER and it.state not in loop.FINISHED:
        return look_of(it.state, view.processing.state).word
    if it.state is State.OPEN and it.window_ends_at is not None and it.window_ends_at > now:
        return f"window {loop.spoken(it.window_ends_at - now)}"
    if it.state is State.SUBMITTED and why.calibration is not None:
        return f"after {why.calibration}"
    if it.state is State.RUNNING and own is not None:
        return f"{own.done:,} of {own.total:,}{f', {own.held:,} held' if own.held else ' jobs'}"
    if it.state is State.VETOED and it.fallback_tag is not None:
        return f"from {it.fallback_tag.name}"
    attempt = view.attempts.get(it.name)
    return (attempt is not None and _outcome(it, attempt)) or look_of(it.state, view.processing.state).word


def _outcome(it: Calibration, attempt: Attempt) -> str:
    if it.state is State.REVIEW and attempt.verdict is not None:
        return f"{attempt.verdict.grade.value}: decide"
    if it.state is not State.SIGNED_OFF or attempt.ended_at is None:
        return ""
    if attempt.outcome is Outcome.NOTHING:
        return "nothing to publish"
    if attempt.outcome is Outcome.REPLACED:
        return "replaced by hand"
    return "copied" if it.kind is Kind.COPY else loop.spoken(attempt.ended_at - attempt.started_at)


def _forecast(db: Session, view: loop.ProcessingView, rows: Sequence[Row], now: datetime) -> Forecast | None:
    if view.processing.state not in loop.GOING:
        return None
    took = durations(db, list(view.calibrations))
    remaining = {}
    for row in rows:
        it = row.calibration
        remaining[it.name] = Remaining(
            state=it.state,
            upstream=sorted(view.directly_before[it.name]),
            took=took.get(it.name, ()),
            running_since=view.attempts[it.name].started_at if it.name in view.attempts else None,
            window_ends=it.window_ends_at,
            decides=row.decides,
            held=row.n_held > 0,
        )
    return forecast(remaining, now)
