"""An attempt: what it freezes at its start, and how its jobs stand."""

from collections.abc import Set as AbstractSet
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session, selectinload

from b2cal import releases
from b2cal.conditions import Entry
from b2cal.core.checksums import digest
from b2cal.core.ids import new_token
from b2cal.core.iov import IoV
from b2cal.data import Inputs
from b2cal.model import (
    Attempt,
    AttemptFile,
    AttemptPayload,
    AttemptRead,
    Calibration,
    GroupState,
    Job,
    JobGroup,
    JobState,
    Kind,
    Outcome,
    Stage,
    Submission,
    now,
)
from b2cal.runtime import OUTPUTS, Constants, InputFile, JobOutcome, StageOutcome, WantGroup, Work

from .by_hand import ByHand
from .inputs import inputs_of
from .rejections import combination_of
from .rounds import counting_tries
from .view import ProcessingView
from .workplace import Workplace


def begin(view: ProcessingView, calibration: Calibration, submission: Submission) -> Attempt:
    """Write down all that a new attempt reads: files with checksums, and one map of payload ids."""
    db = view.db
    reads = view.would_read(calibration.name, submission.config)
    inputs = None if calibration.kind is Kind.COPY else inputs_of(view, calibration, submission.selection)
    attempt = Attempt(
        calibration_id=calibration.id,
        submission_id=submission.id,
        number=(db.scalar(select(func.max(Attempt.number)).where(Attempt.calibration_id == calibration.id)) or 0) + 1,
        live=True,
        combination=combination_of(db, calibration, submission.config, reads, inputs),
        runs=_run_report(inputs),
        started_at=now(db),
        message="",
        rejected=False,
        converged=True,
        without_data=[],
    )
    db.add(attempt)
    db.flush()
    if inputs is not None and inputs.files:  # they may be ten thousand, and others wait to write
        db.execute(
            insert(AttemptFile),
            [
                {
                    "attempt_id": attempt.id,
                    "data_file_id": it.file.id,
                    "data_name": it.data_name,
                    "sha256": it.file.sha256,
                }
                for it in inputs.files
            ],
        )
    _freeze(db, attempt, reads)
    return attempt


def live_attempt(db: Session, calibration_id: int) -> Attempt | None:
    """The attempt of a calibration that counts, if there is one."""
    return db.scalar(select(Attempt).where(Attempt.calibration_id == calibration_id, Attempt.live.is_(True)))


def frozen(db: Session, attempt: Attempt) -> dict[str, int]:
    """How many files and payloads an attempt has frozen."""
    files = select(func.count()).where(AttemptFile.attempt_id == attempt.id)
    reads = select(func.count()).where(AttemptRead.attempt_id == attempt.id)
    return {"files": db.scalars(files).one(), "reads": db.scalars(reads).one()}


def begin_by_hand(view: ProcessingView, before: Attempt, made: ByHand, at: datetime, *, sums_hold: bool) -> Attempt:
    """Put payloads made by hand in the place of what an attempt brought; the new attempt has ended when it begins.

    It belongs to the same submission. What the attempt before used counts as read, of a failed one all that it may
    have: a change of that makes stale.
    With `sums_hold` its files count, too: what was collected from them will measure the payloads.
    """
    db = view.db
    attempt = Attempt(
        calibration_id=before.calibration_id,
        submission_id=before.submission_id,
        number=before.number + 1,
        live=True,
        combination=digest({"by hand": made.contents}),
        runs=before.runs if sums_hold else [],
        started_at=at,
        ended_at=at,
        outcome=Outcome.REPLACED,
        message=f"Replaced by hand from {made.origin}",
        rejected=False,
        converged=True,
        without_data=[],
    )
    db.add(attempt)
    db.flush()
    if sums_hold:
        db.add_all(
            AttemptFile(
                attempt_id=attempt.id, data_file_id=file.data_file_id, data_name=file.data_name, sha256=file.sha256
            )
            for file in before.files
        )
    db.add_all(
        AttemptPayload(attempt_id=attempt.id, name=e.name, first=e.first, last=e.last, payload_id=e.payload_id)
        for e in made.entries(db)
    )
    used = {read.name for read in before.reads if read.used is not False}
    _freeze(db, attempt, view.would_read(before.calibration.name, before.submission.config), used)
    return attempt


def _freeze(
    db: Session, attempt: Attempt, reads: list[tuple[Entry, str | None]], used: AbstractSet[str] | None = None
) -> None:
    """The one map of payloads that the attempt may read; `used`: the names that count (None: not known yet)."""
    db.add_all(
        AttemptRead(
            attempt_id=attempt.id,
            name=entry.name,
            first=entry.first,
            last=entry.last,
            payload_id=entry.payload_id,
            producer=producer,
            used=None if used is None else entry.name in used,
        )
        for entry, producer in reads
    )
    db.flush()


def _run_report(inputs: Inputs | None) -> list[dict[str, object]]:
    if inputs is None:
        return []
    return [choice.to_json() for choice in inputs.runs]


def work_of(db: Session, workplace: Workplace, attempt: Attempt, requested: IoV) -> Work:
    """The attempt as the runtime sees it."""
    definition = attempt.calibration.definition
    files = db.scalars(
        select(AttemptFile).where(AttemptFile.attempt_id == attempt.id).options(selectinload(AttemptFile.file))
    ).all()
    return Work(
        kind=definition.kind,
        module=definition.module,
        release=releases.folder(workplace.settings, definition.release),
        config=attempt.submission.config,
        traits=definition.traits,
        seed=_draws_of(attempt),
        files=tuple(
            InputFile(
                path=frozen.file.path,
                data_name=frozen.data_name,
                stream=frozen.file.data_name,
                exprun=frozen.file.exprun,
                sha256=frozen.sha256,
                size_bytes=frozen.file.size_bytes,
                n_events=frozen.file.n_events,
            )
            for frozen in files
        ),
        conditions=tuple(
            constants(workplace, read.name, read.first, read.last, read.payload.identity) for read in attempt.reads
        ),
        requested=requested,
        bytes_per_job=workplace.settings.batch.bytes_per_job,
        stages=tuple(_stages(db, workplace.settings.attempts, attempt)),
    )


def _draws_of(attempt: Attempt) -> str:
    """Where the random numbers of an attempt begin: the same at every centre, whatever its storage tells of files."""
    definition, config = attempt.calibration.definition, attempt.submission.config
    return digest({"release": definition.release.digest, "module": definition.module, "config": config})


def collected_before(db: Session, workplace: Workplace, attempt: Attempt) -> list[StageOutcome]:
    """What measures payloads made by hand: the collected sums of the last attempt that ran the script on these files.

    Empty when there are none, or none any more.
    """
    ran = db.scalar(
        select(Attempt)
        .where(
            Attempt.calibration_id == attempt.calibration_id,
            Attempt.number < attempt.number,
            Attempt.outcome.is_distinct_from(Outcome.REPLACED),
        )
        .order_by(Attempt.number.desc())
        .limit(1)
    )
    if ran is None or not attempt.files:
        return []
    stages = [it for it in _stages(db, workplace.settings.attempts, ran) if it.stage is Stage.COLLECT]
    return stages[-1:] if stages and stages[-1].finished and _all_there(stages[-1]) else []


def _all_there(stage: StageOutcome) -> bool:
    outputs = [job.folder / name if job.folder else None for job in stage.jobs for name in OUTPUTS[stage.stage]]
    return not stage.failed and all(path is not None and path.is_file() for path in outputs)


def constants(workplace: Workplace, name: str, first: int, last: int, identity: str) -> Constants:
    """A payload of the store with an IoV, as jobs read it."""
    return Constants(name, first, last, str(workplace.store.path(identity)), identity)


def _stages(db: Session, folder: Path, attempt: Attempt) -> list[StageOutcome]:
    """Every stage so far, its rounds merged: of each job the outcome of the try that counts."""
    groups = db.scalars(
        select(JobGroup)
        .where(JobGroup.attempt_id == attempt.id)
        .options(selectinload(JobGroup.jobs))
        .order_by(JobGroup.iteration, JobGroup.stage, JobGroup.round)
        .execution_options(populate_existing=True)
    )
    stages: dict[tuple[int, str], list[JobGroup]] = {}
    for group in groups:
        stages.setdefault((group.iteration, group.stage), []).append(group)
    return [_merged(folder, rounds) for rounds in stages.values()]


def _merged(folder: Path, rounds: list[JobGroup]) -> StageOutcome:
    last = rounds[-1]
    return StageOutcome(
        stage=last.stage,
        iteration=last.iteration,
        finished=all(group.state.ended for group in rounds),
        failed=last.state in (GroupState.FAILED, GroupState.CANCELLED),
        jobs=tuple(
            JobOutcome(number, job.state, folder / job.folder if job.state is JobState.DONE else None, job.error)
            for number, job in sorted(counting_tries(rounds).items())
        ),
    )


def want(db: Session, attempt_id: int, group: WantGroup, at: datetime) -> bool:
    """Write a group of jobs for the agent to carry out; False when it stands there already."""
    stands = select(JobGroup.id).where(
        JobGroup.attempt_id == attempt_id,
        JobGroup.stage == group.stage,
        JobGroup.iteration == group.iteration,
        JobGroup.round == 0,
    )
    if db.scalar(stands) is not None:
        return False
    row = JobGroup(
        attempt_id=attempt_id,
        stage=group.stage,
        iteration=group.iteration,
        round=0,
        state=GroupState.WANTED,
        spec=group.spec,
        token=new_token(),
        epoch=0,
        not_before=at,
        wanted_at=at,
    )
    db.add(row)
    db.flush()
    jobs = [
        {"group_id": row.id, "number": number, "label": job.label, "spec": job.spec, "state": JobState.QUEUED}
        for number, job in enumerate(group.jobs)
    ]
    if jobs:
        db.execute(insert(Job), jobs)
    return True
