"""Vetoes of a whole subsystem, and such as are there from the beginning: named for a processing, or standing."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal.model import Definition, Processing, Role, StandingVeto, State, now

from .actors import Actor
from .errors import Conflict, InvalidChoice, NotAllowed, NotFound
from .transition import Act, decided
from .verbs import in_doubt_with, veto
from .view import ProcessingView


class StandingVetoVerb(StrEnum):
    """What can be done to the part of a calibration in all that is activated."""

    BEGIN = "begin"
    END = "end"


class Part(StrEnum):
    """Whether a calibration takes part in processings that are activated."""

    TAKES_PART = "takes_part"
    LEFT_OUT = "left_out"


@dataclass(frozen=True)
class Subsystem:
    """What a veto of a part of the detector would leave out, and whom that would put in doubt."""

    name: str
    calibrations: tuple[str, ...]
    in_doubt: tuple[str, ...]


def subsystems(view: ProcessingView) -> list[Subsystem]:
    """The subsystems that the scripts of a processing name, with what is not vetoed yet."""
    found: dict[str, list[str]] = {}
    for it in view.calibrations.values():
        name = it.definition.settings.get("subsystem")
        if name and it.state is not State.VETOED:
            found.setdefault(name, []).append(it.name)
    return [Subsystem(name, tuple(its), tuple(in_doubt_with(view, its))) for name, its in sorted(found.items())]


def veto_subsystem(
    db: Session, processing_id: int, name: str, act: Act, fallback_tag: str | None = None
) -> tuple[str, ...]:
    """Veto every calibration of a subsystem, all or nothing, each with a decision; their names.

    `act.seen` does not count: what was vetoed or changed meanwhile is met as it is.

    Raises:
        NotFound: no calibration that is not vetoed yet belongs to it.
        NotAllowed, InvalidChoice, Repeated, UnknownTag: as in `veto`.
    """
    view = ProcessingView(db, processing_id)
    known = {it.name: it for it in subsystems(view)}
    if name not in known:
        raise NotFound(
            f"{view.processing.name} has nothing of the subsystem {name!r} to veto.",
            hint=f"Subsystems with calibrations that are not vetoed: {', '.join(known) or 'none'}.",
        )
    for calibration in known[name].calibrations:
        it = view.calibration(calibration)
        veto(db, it.id, Act(act.by, it.version, act.reason, act.key_for(it.id)), fallback_tag)
    return known[name].calibrations


def left_out_from_the_start(db: Session, processing: Processing) -> dict[str, str]:
    """Whom activating a processing vetoes, with the reasons: those named for it, and the standing vetoes."""
    return {
        row.name: f"standing veto of {row.begun_by} since {row.begun_at:%Y-%m-%d}: {row.reason}"
        for row in standing_vetoes(db)
    } | dict.fromkeys(processing.vetoes, "left out from the start of this processing")


def veto_from_the_start(db: Session, processing: Processing, act: Act) -> None:
    """Veto those who are left out of a processing that has just been activated."""
    reasons = left_out_from_the_start(db, processing)
    for it in ProcessingView(db, processing.id).calibrations.values():
        if it.name in reasons:
            veto(db, it.id, Act(act.by, it.version, reasons[it.name]))


def standing_vetoes(db: Session) -> Sequence[StandingVeto]:
    """Those that hold now, by name."""
    return db.scalars(select(StandingVeto).where(StandingVeto.live.is_(True)).order_by(StandingVeto.name)).all()


def begin_standing_veto(db: Session, name: str, by: Actor, reason: str) -> StandingVeto:
    """Leave a calibration out of every processing that is activated from now on.

    Raises:
        NotAllowed: not a manager.
        InvalidChoice: there is no reason.
        NotFound: no release has a definition of this name.
        Conflict: it has a standing veto already.
    """
    _refuse_unless_manager(by)
    if not reason.strip():
        raise InvalidChoice("A standing veto needs a reason.", hint="Say in a few words why; it is kept.")
    if db.scalar(select(Definition.id).where(Definition.name == name).limit(1)) is None:
        raise NotFound(f"No release has a calibration {name}.", hint="Check the spelling; capitals count.")
    present = _standing(db, name)
    if present is not None:
        raise Conflict(
            f"{name} has a standing veto of {present.begun_by} already: {present.reason}.",
            hint="End it first, to give another reason.",
        )
    row = StandingVeto(name=name, live=True, reason=reason.strip(), begun_by=by.username, begun_at=now(db))
    db.add(row)
    db.flush()
    _keep_decision(db, row, StandingVetoVerb.BEGIN, Act(by, 0, row.reason))
    return row


def end_standing_veto(db: Session, name: str, by: Actor, reason: str = "") -> None:
    """Let a calibration take part again in processings that are activated from now on.

    Raises:
        NotAllowed: not a manager.
        NotFound: it has no standing veto.
    """
    _refuse_unless_manager(by)
    row = _standing(db, name)
    if row is None:
        known = ", ".join(it.name for it in standing_vetoes(db))
        raise NotFound(f"{name} has no standing veto.", hint=f"There are: {known or 'none'}.")
    row.live, row.ended_by, row.ended_at = None, by.username, now(db)
    _keep_decision(db, row, StandingVetoVerb.END, Act(by, 0, reason.strip()))


def _keep_decision(db: Session, row: StandingVeto, verb: StandingVetoVerb, act: Act) -> None:
    begins = verb is StandingVetoVerb.BEGIN
    before, after = (Part.TAKES_PART, Part.LEFT_OUT) if begins else (Part.LEFT_OUT, Part.TAKES_PART)
    decision = decided(act, now(db), verb, before, after)
    decision.standing_veto_id = row.id
    db.add(decision)
    db.flush()


def _standing(db: Session, name: str) -> StandingVeto | None:
    return db.scalar(select(StandingVeto).where(StandingVeto.name == name, StandingVeto.live.is_(True)))


def _refuse_unless_manager(by: Actor) -> None:
    if by.role is not Role.MANAGER:
        raise NotAllowed("Standing vetoes are for managers.", hint="Ask a manager.")
