"""All that the page of one calibration shows: attempt, verdict with plots, configuration, jobs, inputs, payloads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session, joinedload, selectinload

from b2cal import loop, releases
from b2cal.batch import NOTHING, Excerpt, around_error
from b2cal.conditions import clipped
from b2cal.core.iov import IoV, gaps
from b2cal.data import late_files
from b2cal.model import (
    Attempt,
    AttemptFile,
    AttemptPayload,
    Calibration,
    DataFile,
    Decision,
    FileCopy,
    Grade,
    Job,
    JobGroup,
    JobState,
    Kind,
    Processing,
    Submission,
    Verdict,
)
from b2cal.settings import Settings
from b2cal.site.config_form import Field, fields, origins, texts_of
from b2cal.site.looks import GRADE
from b2cal.site.plots import Plot
from b2cal.validation import judged

from .evidence import Bucket, Check, Picture, pictures, plots, series, trends
from .history import decisions_of
from .runs import Report, report
from .views import view_of


@dataclass(frozen=True)
class Stream:
    """Files of one data name, read or made."""

    data_name: str
    n_files: int
    n_events: int
    size_bytes: int


@dataclass(frozen=True)
class Failure:
    """Failed tries with the same first error.

    Attributes:
        job: one of them, to look at.
        n_tries: how many there were.
        rules: the retry rules that were applied, in words.
        excerpt: the lines of its log around the error.
    """

    job: Job
    n_tries: int
    rules: tuple[str, ...]
    excerpt: Excerpt


@dataclass(frozen=True)
class Previous:
    """The configuration in a processing before, and the name of that processing."""

    processing: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """A payload of the attempt, and whether the base has the same constants for the same runs."""

    payload: AttemptPayload
    unchanged: bool


@dataclass(frozen=True)
class Dossier:
    """One calibration. `attempt` is the live one, else the last; `submission` likewise.

    `n_later` files of its streams were registered after the attempt began; whether it would take them is told by
    the page of its inputs.
    """

    view: loop.ProcessingView
    calibration: Calibration
    attempt: Attempt | None
    submission: Submission | None
    decisions: Sequence[Decision]
    jobs: loop.Jobs | None
    failures: Sequence[Failure]
    inputs: Sequence[Stream]
    n_later: int
    restart_until: datetime | None
    made: Sequence[Made]
    produced: Sequence[Stream]
    copies: Sequence[FileCopy]
    config: Sequence[Field]
    previous: Previous
    plots: Sequence[Plot]
    pictures: Sequence[Picture]
    trends: Mapping[str, Sequence[Bucket]]

    @property
    def checks(self) -> list[Check]:
        """The verdict's checks that have limits, anomalous first."""
        rows = judged(self._all_checks)
        return sorted(rows, key=lambda row: (-GRADE[Grade(row["grade"])].urgency, -row["n_outside"]))

    @property
    def shown_only(self) -> list[Check]:
        """What was measured and has no limit."""
        with_limits = judged(self._all_checks)
        return [row for row in self._all_checks if row not in with_limits]

    @property
    def anomalous(self) -> list[Check]:
        return [row for row in self.checks if row["grade"] != Grade.PASS.value]

    @property
    def _all_checks(self) -> Sequence[Check]:
        verdict = self.attempt.verdict if self.attempt is not None else None
        return verdict.checks if verdict is not None else []

    @property
    def last_act(self) -> Decision | None:
        """What brought the calibration into its present state."""
        state = self.calibration.state.value
        return next((one for one in self.decisions if one.to_state == state and one.from_state != state), None)

    @property
    def runs(self) -> Report:
        """Which runs the attempt took, and why not the others."""
        return report(self.attempt.runs if self.attempt is not None else [])


def dossier(db: Session, number: int, settings: Settings) -> Dossier:
    """Read everything about a calibration.

    Raises:
        NotFound: there is none of this number.
    """
    it = calibration_of(db, number)
    view = view_of(db, it.processing_id)
    it = view.calibrations[it.name]
    attempt = view.attempts.get(it.name) or last_attempt(db, it.id)
    submission = last_submission(db, it.id)
    measured = series(attempt, settings.reports)
    before = previous(db, it)
    return Dossier(
        view=view,
        calibration=it,
        attempt=attempt,
        submission=submission,
        decisions=decisions_of(db, it.id),
        jobs=loop.by_attempt(loop.stages_of(db, [attempt.id])).get(attempt.id) if attempt is not None else None,
        failures=_failures(db, attempt, settings.attempts) if attempt is not None else (),
        inputs=_inputs(db, attempt.id) if attempt is not None else (),
        n_later=_n_later(view, it, attempt) if attempt is not None and attempt.live else 0,
        restart_until=loop.restart_until(view, it),
        made=[Made(made, _is_of_base(view, made)) for made in attempt.payloads] if attempt is not None else (),
        produced=_produced(db, attempt.id) if attempt is not None and it.kind is Kind.PRODUCE else (),
        copies=loop.copies_of(db, attempt.id) if attempt is not None and it.kind is Kind.PRODUCE else (),
        config=_config(it, before, submission),
        previous=before,
        plots=plots(measured),
        pictures=pictures(attempt, settings.reports, measured),
        trends=trends(db, it, attempt),
    )


def calibration_of(db: Session, number: int) -> Calibration:
    """The calibration of this number, with its processing.

    Raises:
        NotFound: there is none.
    """
    found = db.scalar(
        select(Calibration)
        .where(Calibration.id == number)
        .options(joinedload(Calibration.processing), joinedload(Calibration.definition))
    )
    if found is None:
        raise loop.NotFound(
            f"There is no calibration number {number}.", hint="Look for it on the page of its processing."
        )
    return found


def verdict_of(db: Session, calibration_number: int, attempt_number: int) -> Verdict:
    """The verdict on one attempt of a calibration.

    Raises:
        NotFound: there is none of these numbers, or it was not judged.
    """
    it = calibration_of(db, calibration_number)
    of_attempt = (Attempt.calibration_id == it.id, Attempt.number == attempt_number)
    found = db.scalar(select(Verdict).join(Attempt, Attempt.id == Verdict.attempt_id).where(*of_attempt))
    if found is None:
        raise loop.NotFound(
            f"There is no report on attempt {attempt_number} of {it.name}.",
            hint="There is one when its constants have been judged.",
        )
    return found


def late(db: Session, attempt: Attempt | None) -> list[DataFile]:
    """Files that an attempt would take now but does not have; none before there is an attempt."""
    if attempt is None:
        return []
    own = select(AttemptFile).where(AttemptFile.attempt_id == attempt.id).options(joinedload(AttemptFile.file))
    at_hand = db.scalars(own).all()  # else each of them is asked for on its own
    return late_files(db, attempt.id) if at_hand else []


def previous(db: Session, it: Calibration) -> Previous:
    """What the same calibration was submitted with last, in a processing before; empty if it never was."""
    found = db.execute(
        select(Processing.name, Submission.config)
        .join(Calibration, Calibration.processing_id == Processing.id)
        .join(Submission, Submission.calibration_id == Calibration.id)
        .where(Calibration.name == it.name, Processing.id < it.processing_id, Submission.live.is_(True))
        .order_by(Processing.id.desc())
        .limit(1)
    ).one_or_none()
    return Previous(found.name, found.config) if found is not None else Previous()


def last_attempt(db: Session, calibration_id: int) -> Attempt | None:
    """The live attempt, else the last that there was, with its verdict and payloads."""
    return db.scalar(
        select(Attempt)
        .where(Attempt.calibration_id == calibration_id)
        .order_by(Attempt.number.desc())
        .limit(1)
        .options(
            joinedload(Attempt.verdict),
            joinedload(Attempt.submission),
            selectinload(Attempt.payloads).joinedload(AttemptPayload.payload),
        )
    )


def last_submission(db: Session, calibration_id: int) -> Submission | None:
    """The latest submission of a calibration, whether it still counts or not."""
    query = select(Submission).where(Submission.calibration_id == calibration_id)
    return db.scalar(query.order_by(Submission.number.desc()).limit(1))


def _config(it: Calibration, before: Previous, submission: Submission | None) -> list[Field]:
    told = origins(it.definition.settings["expert_config"], it.carried_over)
    now = texts_of(submission.config) if submission is not None else {}
    return fields(it.definition.config_schema, loop.default_config(it), before.config, now, {}, told)


def _inputs(db: Session, attempt_id: int) -> list[Stream]:
    """By the data name under which they are read."""
    name = AttemptFile.data_name
    query = select(name, *_SIZES).select_from(AttemptFile).join(AttemptFile.file).group_by(name)
    return _streams(db, query.where(AttemptFile.attempt_id == attempt_id).order_by(name))


def _produced(db: Session, attempt_id: int) -> list[Stream]:
    name = DataFile.data_name
    query = select(name, *_SIZES).group_by(name)
    return _streams(db, query.where(DataFile.attempt_id == attempt_id).order_by(name))


_SIZES = (func.count(), func.sum(DataFile.n_events), func.sum(DataFile.size_bytes))


def _streams(db: Session, query: Select[str, int, int, int]) -> list[Stream]:
    rows = db.execute(query)
    return [Stream(name, n_files, int(n_events), int(size)) for name, n_files, n_events, size in rows]


def _n_later(view: loop.ProcessingView, it: Calibration, attempt: Attempt) -> int:
    within = DataFile.exprun.between(it.processing.run_first, it.processing.run_last)
    vocabulary, filters = it.processing.release.vocabulary, attempt.submission.selection.get("filters", {})
    names = it.definition.settings["input_data_names"]
    streams = {stream for name in names for stream in releases.streams_of(vocabulary, name, filters.get(name, ()))}
    query = select(func.count()).where(
        DataFile.data_name.in_(streams),
        DataFile.format.in_(it.definition.settings["input_data_formats"]),
        or_(DataFile.attempt_id.is_(None), DataFile.attempt_id.in_(loop.productions(view, it.name))),
        DataFile.registered_at > attempt.started_at,
        within,
    )
    return view.db.scalar(query) or 0


def _failures(db: Session, attempt: Attempt, folder: Path) -> list[Failure]:
    rows = db.scalars(
        select(Job)
        .join(JobGroup, JobGroup.id == Job.group_id)
        .where(JobGroup.attempt_id == attempt.id, Job.state == JobState.FAILED)
        .order_by(Job.id)
        .options(joinedload(Job.group))
    ).all()
    alike: dict[str, list[Job]] = {}
    for job in rows:
        alike.setdefault(job.error, []).append(job)
    worst_first = sorted(alike.values(), key=len, reverse=True)
    return [
        Failure(
            job=jobs[0],
            n_tries=len(jobs),
            rules=tuple(dict.fromkeys(job.retry for job in jobs if job.retry)),
            excerpt=around_error(log_of(folder, jobs[0]), error) if index == 0 else NOTHING,
        )
        for index, jobs in enumerate(worst_first)
        for error in [jobs[0].error]
    ]


def log_of(attempts_folder: Path, job: Job, stream: str = "stderr") -> Path:
    """Where the log of a job lies; a job that was never started has none."""
    return attempts_folder / job.folder / stream if job.folder else attempts_folder / "none"


def _is_of_base(view: loop.ProcessingView, made: AttemptPayload) -> bool:
    iov = IoV.from_numbers(made.first, made.last)
    base = clipped((entry for entry in view.base if entry.name == made.name), iov)
    equal = [IoV.from_numbers(entry.first, entry.last) for entry in base if entry.identity == made.payload.identity]
    return not gaps(equal, within=iov)
