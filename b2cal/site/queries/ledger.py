"""Decisions: who decided what, when and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal.model import Calibration, Decision, GlobalTag, Processing, StandingVeto

PAGE = 100


@dataclass(frozen=True)
class Entry:
    """A decision with what it was about."""

    decision: Decision
    processing: str | None
    calibration: str | None
    tag: str | None
    standing_veto: str | None


@dataclass(frozen=True)
class Ledger:
    """A page of decisions, the latest first; `older` is the number to go on from."""

    entries: Sequence[Entry]
    older: int | None


def ledger(db: Session, *, processing: str, actor: str, people_only: bool, before: int | None) -> Ledger:
    """Decisions that fit, the latest first; an empty text fits all."""
    query = (
        select(Decision, Processing.name, Calibration.name, GlobalTag.name, StandingVeto.name)
        .outerjoin(Processing, Processing.id == Decision.processing_id)
        .outerjoin(Calibration, Calibration.id == Decision.calibration_id)
        .outerjoin(GlobalTag, GlobalTag.id == Decision.tag_id)
        .outerjoin(StandingVeto, StandingVeto.id == Decision.standing_veto_id)
        .order_by(Decision.id.desc())
        .limit(PAGE + 1)
    )
    if processing:
        query = query.where(Processing.name == processing)
    if actor:
        query = query.where(Decision.actor == actor)
    if people_only:
        query = query.where(Decision.role != "loop")
    if before is not None:
        query = query.where(Decision.id < before)
    rows = [Entry(*row) for row in db.execute(query)]
    return Ledger(rows[:PAGE], rows[PAGE - 1].decision.id if len(rows) > PAGE else None)


def choices(db: Session) -> tuple[list[str], list[str]]:
    """Processings and actors that decisions know, to choose from."""
    processings = list(db.scalars(select(Processing.name).order_by(Processing.id.desc()).limit(100)))
    return processings, sorted(db.scalars(select(Decision.actor).distinct()))
