"""The verdict on an attempt: a job measures, b2cal applies the limits."""

from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from b2cal import validation
from b2cal.core.iov import IoV
from b2cal.model import Attempt, Calibration, Grade, Kind, Outcome, Stage, State, Verdict
from b2cal.runtime import Constants, Measurements, UnusableOutput, Work, measure_step, measurements
from b2cal.validation import Check, Judgement, Provenance

from .actors import THE_LOOP
from .attempts import collected_before, constants, work_of
from .provenance import provenance
from .results import add_used, want_group
from .rules import Verb
from .transition import Act, transition
from .view import ProcessingView
from .workplace import Workplace


@dataclass(frozen=True)
class Judged:
    """Which attempt is judged."""

    processing: str
    calibration: str
    attempt_id: int


@dataclass(frozen=True)
class Case:
    """What is judged: the new constants, those before, and what the script measured."""

    judged: Judged
    work: Work
    new: tuple[Constants, ...]
    previous: tuple[Constants, ...]
    outcome: Outcome | None
    converged: bool
    without_data: tuple[IoV, ...]
    provenance: Provenance

    @property
    def is_measured(self) -> bool:
        """Whether the script has something to measure with: for payloads made by hand, sums of the attempt before."""
        if self.work.kind is not Kind.CALIBRATE:
            return False
        return self.outcome is Outcome.CONSTANTS or (self.outcome is Outcome.REPLACED and bool(self.work.stages))


def judge_attempt(workplace: Workplace, processing: str, calibration: str) -> bool:
    """Have an ended attempt measured, then judge it."""
    with workplace.database.read() as db:
        view = ProcessingView.of(db, processing)
        it = view.calibration(calibration)
        attempt = view.attempts.get(calibration)
        if it.state is not State.VALIDATING or attempt is None:
            return True
        case = _case(db, workplace, view, it, attempt)
    measured = Measurements()
    if case.is_measured:
        stage = next((stage for stage in case.work.stages if stage.stage is Stage.MEASURE), None)
        if stage is None:
            return want_group(workplace, attempt.id, measure_step(case.work, case.new))
        if not stage.finished:
            return False
        if stage.failed:
            error = next((job.error for job in stage.jobs if job.error), "no job said why")
            return _fail(workplace, case.judged, f"The validation job failed: {error}")
        try:
            measured = measurements(stage)
        except UnusableOutput as error:
            return _fail(workplace, case.judged, f"{error} {error.hint}")
    judgement = _judgement(view.requested, case, measured)
    report = validation.write_report(
        workplace.settings.reports / str(attempt.id),
        f"{calibration} in {processing}",
        judgement,
        measured.measurements,
        case.new,
        case.previous,
        case.provenance,
    )
    return write_down(workplace, case.judged, judgement, measured, report.name)


def _case(db: Session, workplace: Workplace, view: ProcessingView, it: Calibration, attempt: Attempt) -> Case:
    names = {payload.payload_name for payload in it.definition.payloads}
    work = work_of(db, workplace, attempt, view.requested)
    if attempt.outcome is Outcome.REPLACED:
        work = replace(work, stages=(*work.stages, *collected_before(db, workplace, attempt)))
    return Case(
        judged=Judged(view.processing.name, it.name, attempt.id),
        work=work,
        new=tuple(constants(workplace, p.name, p.first, p.last, p.payload.identity) for p in attempt.payloads),
        previous=tuple(constants(workplace, e.name, e.first, e.last, e.identity) for e in view.base if e.name in names),
        outcome=attempt.outcome,
        converged=attempt.converged,
        without_data=tuple(IoV.from_json(iov) for iov in attempt.without_data),
        provenance=provenance(view, it, attempt),
    )


def _judgement(requested: IoV, case: Case, measured: Measurements) -> Judgement:
    generic: list[Check] = []
    if case.new:
        generic = validation.generic_checks(case.new, case.previous, requested, case.without_data)
    if not case.converged:
        generic = [*generic, validation.not_converged()]
    if case.outcome is Outcome.REPLACED and case.work.traits.get("limits") and not case.is_measured:
        generic = [*generic, validation.not_measured()]
    return validation.judge(measured.measurements, measured.limits, generic)


def write_down(workplace: Workplace, judged: Judged, judgement: Judgement, measured: Measurements, report: str) -> bool:
    """Keep the verdict and put the attempt before whoever decides, in one transaction."""

    def unit(db: Session) -> bool:
        it, attempt = _still_validating(db, judged)
        if it is None or attempt is None:
            return True
        with transition(
            db, it.id, Verb.JUDGED, Act(THE_LOOP, it.version, f"verdict {judgement.grade.value}"), State.REVIEW
        ) as change:
            verdict = Verdict(
                attempt_id=attempt.id,
                grade=judgement.grade,
                generic_only=judgement.generic_only,
                checks=[check.to_json() for check in judgement.checks],
                report=f"{attempt.id}/{report}",
                judged_at=change.at,
            )
            db.add(verdict)
            change.detail(attempt=attempt.number)
            add_used(db, attempt.id, measured.names_read)
            if judgement.grade is not Grade.PASS:
                change.tell(it.expert, f"Please decide: verdict {judgement.grade.value}.")
        return True

    return workplace.database.write(unit)


def _fail(workplace: Workplace, judged: Judged, problem: str) -> bool:
    def unit(db: Session) -> bool:
        it, _ = _still_validating(db, judged)
        if it is None:
            return True
        with transition(db, it.id, Verb.JUDGED, Act(THE_LOOP, it.version, problem), State.FAILED) as change:
            it.problem = problem
            change.tell(it.expert, f"Failed: {problem}")
        return True

    return workplace.database.write(unit)


def _still_validating(db: Session, judged: Judged) -> tuple[Calibration, Attempt] | tuple[None, None]:
    view = ProcessingView.of(db, judged.processing)
    it = view.calibration(judged.calibration)
    attempt = view.attempts.get(judged.calibration)
    if it.state is not State.VALIDATING or attempt is None or attempt.id != judged.attempt_id:
        return None, None
    return it, attempt
