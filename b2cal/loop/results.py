"""What the jobs of an attempt brought back: its next group, or its payloads and files."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import update
from sqlalchemy.orm import Session

from b2cal.batch import crashpoint
from b2cal.calibration.doors import DoorTrouble
from b2cal.conditions import (
    Entry,
    StoredFile,
    check_files,
    coverage_problems,
    store_payload,
)
from b2cal.core.apart import CannotWorkApart
from b2cal.core.errors import B2calError, listed
from b2cal.core.files import CannotWrite
from b2cal.core.iov import IoV
from b2cal.data import NewFile, register_produced
from b2cal.model import Attempt, AttemptPayload, AttemptRead, Calibration, Kind, Outcome, State, now
from b2cal.runtime import Ended, ProducedPayload, WantGroup, Work, next_step

from .actors import THE_LOOP
from .attempts import want, work_of
from .rules import Verb
from .transition import Act, transition
from .view import ProcessingView
from .workplace import Workplace


@dataclass(frozen=True)
class Harvest:
    """An ended attempt with what is ready to be written down: checked payloads, or entries copied from a tag."""

    ended: Ended
    payloads: Sequence[tuple[ProducedPayload, StoredFile]] = ()
    copied: Sequence[Entry] = ()
    files: Sequence[NewFile] = ()


def bring_back(workplace: Workplace, processing: str, calibration: str) -> bool:
    """Look at the jobs of a running attempt: want the next group, or take what it produced.

    Raises:
        CannotWrite, OSError: a disk is full or away; asking again may help.
        CannotWorkApart: the process that checks payloads does not begin now; likewise.
    """
    with workplace.database.read() as db:
        view = ProcessingView.of(db, processing)
        it = view.calibration(calibration)
        attempt = view.attempts.get(calibration)
        if it.state is not State.RUNNING or attempt is None:
            return True
        if it.kind is Kind.COPY:
            harvest = _copied(view, it, attempt)
            return write_down(workplace, processing, calibration, attempt.id, harvest)
        work = work_of(db, workplace, attempt, view.requested)
        owned, centre = {payload.payload_name for payload in it.definition.payloads}, view.processing.centre
    found = _next_step(workplace, work, owned, centre)
    if found is None:
        return False
    if isinstance(found, WantGroup):
        return want_group(workplace, attempt.id, found)
    crashpoint("end-to-transition")
    return write_down(workplace, processing, calibration, attempt.id, found)


def _next_step(workplace: Workplace, work: Work, owned: set[str], centre: str) -> WantGroup | Harvest | None:
    """What follows from what the jobs left behind. What asking again cannot cure ends the attempt as failed."""
    try:
        step = next_step(work)
        return _harvest(workplace, step, owned, work.requested, centre) if isinstance(step, Ended) else step
    except (CannotWrite, CannotWorkApart, DoorTrouble):
        raise
    except B2calError as error:
        return Harvest(Ended(Outcome.FAILED, message=f"{error} {error.hint}"))


def want_group(workplace: Workplace, attempt_id: int, group: WantGroup) -> bool:
    """Write a group for the agent; tells whether the attempt is still live and the group is new."""

    def unit(db: Session) -> bool:
        attempt = db.get(Attempt, attempt_id)
        return bool(attempt and attempt.live) and want(db, attempt_id, group, now(db))

    return workplace.database.write(unit)


def _copied(view: ProcessingView, calibration: Calibration, attempt: Attempt) -> Harvest:
    """Curated payloads of a subsystem's tag, as they were when the attempt began, clipped to the run range."""
    config = attempt.submission.config
    if config.get("unchanged"):
        return Harvest(Ended(Outcome.NOTHING, message="Unchanged, says its expert"))
    source = config["source_tag"]
    names = {payload.payload_name for payload in calibration.definition.payloads}
    read = (Entry(r.name, r.first, r.last, r.payload_id, r.payload.identity) for r in attempt.reads)
    entries = view.fitted_in(read)
    problems = coverage_problems(entries, view.requested, names)
    if problems:
        return Harvest(Ended(Outcome.FAILED, message=f"The tag {source} cannot be copied: {listed(problems)}."))
    ended = Ended(Outcome.CONSTANTS, message=f"Copied from {source}", names_read=frozenset(names))
    return Harvest(ended, copied=entries)


def _harvest(workplace: Workplace, ended: Ended, owned: set[str], requested: IoV, centre: str) -> Harvest:
    """Check what an attempt produced, in a separate process, and put the payload files into the store.

    Raises:
        UnusableFile, PayloadChanged: a file is not what its job wrote.
        CannotWrite: the store cannot be written to.
        CannotWorkApart: the process that checks does not begin.
        DoorTrouble: a file lies behind a door that is shut.
    """
    if ended.outcome is Outcome.FILES:
        return Harvest(ended, files=[NewFile.of(file, workplace.settings, centre) for file in ended.files])
    if ended.outcome is not Outcome.CONSTANTS:
        return Harvest(ended)
    checks = check_files([payload.path for payload in ended.payloads], names=sorted(owned))
    problems = [problem for check in checks for problem in check.problems]
    for payload, check in zip(ended.payloads, checks, strict=True):
        if not check.problems and (check.name, check.identity) != (payload.name, payload.identity):
            problems.append(f"{payload.path.name} holds other contents than its job reported")
    entries = [Entry(p.name, p.first, p.last, 0, p.identity) for p in ended.payloads]
    problems += coverage_problems(entries, requested, owned, ended.without_data)
    if problems:
        return Harvest(Ended(Outcome.FAILED, message=f"Its payloads were refused: {listed(problems)}."))
    stored = [workplace.store.put(check.path, check.identity, check.checksum) for check in checks]
    return Harvest(ended, payloads=list(zip(ended.payloads, stored, strict=True)))


def write_down(workplace: Workplace, processing: str, calibration: str, attempt_id: int, harvest: Harvest) -> bool:
    """End a running attempt with its harvest, in one transaction; nothing happens when it is not live any more."""

    def unit(db: Session) -> bool:
        view = ProcessingView.of(db, processing)
        it = view.calibration(calibration)
        attempt = view.attempts.get(calibration)
        if it.state is not State.RUNNING or attempt is None or attempt.id != attempt_id:
            return True
        ended = harvest.ended
        failed = ended.outcome is Outcome.FAILED
        with transition(
            db,
            it.id,
            Verb.ENDED,
            Act(THE_LOOP, it.version, ended.message),
            State.FAILED if failed else State.VALIDATING,
        ) as change:
            attempt.outcome, attempt.message, attempt.converged = ended.outcome, ended.message, ended.converged
            attempt.ended_at = change.at
            attempt.without_data = [iov.to_json() for iov in ended.without_data]
            _add_payloads(db, attempt.id, harvest)
            if not failed:  # of jobs that failed nobody knows what they have read
                _mark_used(db, attempt.id, ended.names_read)
            register_produced(db, attempt.id, harvest.files)
            it.problem = ended.message if failed else ""
            if failed:
                change.tell(it.expert, f"Failed: {ended.message}")
        return True

    return workplace.database.write(unit)


def _add_payloads(db: Session, attempt_id: int, harvest: Harvest) -> None:
    entries = list(harvest.copied)
    for produced, file in harvest.payloads:
        payload_id = store_payload(db, produced.name, produced.identity, file.checksum, file.size_bytes)
        entries.append(Entry(produced.name, produced.first, produced.last, payload_id, produced.identity))
    db.add_all(
        AttemptPayload(attempt_id=attempt_id, name=e.name, first=e.first, last=e.last, payload_id=e.payload_id)
        for e in entries
    )


def _mark_used(db: Session, attempt_id: int, names: frozenset[str]) -> None:
    """Keep which payloads the jobs really read; the others do not make the attempt stale."""
    add_used(db, attempt_id, names)
    db.execute(
        update(AttemptRead).where(AttemptRead.attempt_id == attempt_id, AttemptRead.used.is_(None)).values(used=False)
    )


def add_used(db: Session, attempt_id: int, names: frozenset[str]) -> None:
    """These payloads were read, too."""
    db.execute(
        update(AttemptRead).where(AttemptRead.attempt_id == attempt_id, AttemptRead.name.in_(names)).values(used=True)
    )
