"""The one place that changes a state: guard, new state, decision, signals, outbox."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from b2cal.core.checksums import digest
from b2cal.model import Calibration, Decision, Outbox, Processing, ProcessingState, State, now

from .actors import Actor
from .errors import Conflict, InvalidChoice, NotFound, Repeated
from .evidence import evidence
from .obstacles import as_it_stands, obstacle, processing_obstacle
from .order import Place, all_after, directly_before
from .rules import FINISHED, ProcessingRule, ProcessingVerb, Reason, Rule, Verb, processing_rule, rule_at


@dataclass(frozen=True)
class Act:
    """How somebody asks for a verb: who, after having seen which version, why, with which form."""

    by: Actor
    seen: int
    reason: str = ""
    request_key: str | None = None

    def key_for(self, *part: object) -> str | None:
        """The key of a part of what one form asks for, of fixed length; without a key of the whole there is none."""
        return digest([self.request_key, *part]) if self.request_key else None


@dataclass(frozen=True)
class Transition:
    """What a verb may do while its transition is open: look, add rows, tell somebody."""

    db: Session
    calibration: Calibration
    decision: Decision
    at: datetime

    def detail(self, **facts: Any) -> None:
        """Keep facts with the decision."""
        self.decision.details = {**self.decision.details, **facts}

    def tell(self, username: str, text: str) -> None:
        """Leave a message for somebody in the outbox."""
        say(self.db, f"message:{self.decision.id}:{username}", self.calibration, username, text)


@contextmanager
def transition(db: Session, calibration_id: int, verb: Verb, act: Act, to: State | None = None) -> Iterator[Transition]:
    """Carry out `verb`: the state changes at once, the body adds what belongs to it; the caller commits.

    `to` chooses among the states that the rule allows (not needed where there is only one).

    Raises:
        Conflict: the calibration changed after `act.seen`, or the verb has no rule in its state or for its kind.
        NotAllowed: `act.by` may not do this; says who may.
        InvalidChoice: the rule wants a reason and there is none.
        Repeated: the same form was carried out before.
        NotFound: there is no such calibration.
    """
    calibration, rule = _guarded(db, calibration_id, verb, act)
    before, after = calibration.state, _target(rule, calibration.state, to)
    at = now(db)
    decision = decided(act, at, verb, before, after)
    decision.processing_id, decision.calibration_id = calibration.processing_id, calibration_id
    decision.seen = evidence(db, calibration)
    changed = db.execute(
        update(Calibration)
        .where(Calibration.id == calibration_id, Calibration.state == before, Calibration.version == act.seen)
        .values(state=after, version=Calibration.version + 1, signal=Calibration.signal + 1)
        .values({} if after is before else {"since": at, "incomplete_since": None})
    )
    if changed.rowcount != 1:  # type: ignore[attr-defined]
        raise as_it_stands(db, calibration, verb)
    db.add(decision)
    db.flush()
    db.refresh(calibration)
    yield Transition(db, calibration, decision, at)
    db.flush()
    if before is not after and (before in FINISHED or after in FINISHED):
        _wake_those_after(db, calibration)
    if before in FINISHED and before is not after:
        _begin_new_pass(db, calibration, act)


def refuse_early(db: Session, calibration_id: int, verb: Verb, act: Act) -> Calibration:
    """Refuse what `transition` would refuse now, before long preparations for it; the calibration as it stands.

    Raises:
        Conflict, NotAllowed, InvalidChoice, Repeated, NotFound: as in `transition`.
    """
    calibration, _ = _guarded(db, calibration_id, verb, act)
    if calibration.version != act.seen:
        raise as_it_stands(db, calibration, verb)
    return calibration


def _guarded(db: Session, calibration_id: int, verb: Verb, act: Act) -> tuple[Calibration, Rule]:
    refuse_repetition(db, act)
    calibration = db.get(Calibration, calibration_id, populate_existing=True)
    if calibration is None:
        raise NotFound(f"There is no calibration number {calibration_id}.", hint="It may belong to another database.")
    return calibration, _checked(db, calibration, verb, act)


def refuse_repetition(db: Session, act: Act) -> None:
    """Refuse a form that was carried out before.

    Raises:
        Repeated: it was.
    """
    if act.request_key and db.scalar(select(Decision.id).where(Decision.request_key == act.request_key)):
        raise Repeated("This was done already by the same click.", hint="Nothing is to be done.")


def processing_transition(
    db: Session, processing_id: int, verb: ProcessingVerb, act: Act, seen: str = "", **facts: Any
) -> Processing:
    """Carry out a processing's verb: guard, new state, decision with facts, signals. The caller adds the rest.

    `seen` is the hash of what was in front of whoever decided, where that is more than the state.

    Raises:
        Conflict, NotAllowed, InvalidChoice, Repeated, NotFound: as in `transition`.
    """
    refuse_repetition(db, act)
    processing = db.get(Processing, processing_id, populate_existing=True)
    if processing is None:
        raise NotFound(f"There is no processing number {processing_id}.", hint="It may belong to another database.")
    refusal = processing_obstacle(processing, verb, act.by)
    if refusal is not None:
        raise refusal
    rule = processing_rule(verb)
    _refuse_without_reason(rule, act)
    before, after = processing.state, rule.to or processing.state
    changed = db.execute(
        update(Processing)
        .where(Processing.id == processing_id, Processing.state == before, Processing.version == act.seen)
        .values(state=after, version=Processing.version + 1, signal=Processing.signal + 1)
    )
    if changed.rowcount != 1:  # type: ignore[attr-defined]
        raise Conflict(f"{processing.name} was changed by somebody else meanwhile.", hint="Look at it again.")
    decision = decided(act, now(db), verb, before, after)
    decision.processing_id, decision.seen, decision.details = processing_id, seen, facts
    db.add(decision)
    db.flush()
    db.refresh(processing)
    return processing


def decided(act: Act, at: datetime, verb: StrEnum, before: StrEnum, after: StrEnum) -> Decision:
    """The row that keeps an act; what it was about, the caller says."""
    return Decision(
        at=at,
        actor=act.by.username,
        role=act.by.role,
        verb=verb.value,
        from_state=before.value,
        to_state=after.value,
        reason=act.reason,
        seen="",
        details={},
        request_key=act.request_key,
    )


def raise_signals(db: Session, processing_id: int, names: set[str] | None = None) -> None:
    """Wake what waits in Airflow for these calibrations (None: for all) and for the processing itself."""
    wake = update(Calibration).where(Calibration.processing_id == processing_id)
    if names is not None:
        wake = wake.where(Calibration.name.in_(names))
    db.execute(wake.values(signal=Calibration.signal + 1))
    db.execute(update(Processing).where(Processing.id == processing_id).values(signal=Processing.signal + 1))


def say(db: Session, key: str, it: Calibration, to: str, text: str) -> None:
    """Put a message about a calibration into the outbox, once per key."""
    body = {"to": to, "processing": it.processing.name, "calibration": it.name, "text": text}
    effect(db, key, "message", f"calibration {it.id}", body)


def effect(db: Session, key: str, kind: str, about: str, body: dict[str, Any]) -> None:
    """Put a side effect into the outbox, once per key; those of one kind about one thing keep their order."""
    if db.scalar(select(Outbox.id).where(Outbox.key == key)) is None:
        db.add(Outbox(key=key, kind=kind, about=about, body=body, created_at=now(db), tries=0))


def _checked(db: Session, calibration: Calibration, verb: Verb, act: Act) -> Rule:
    refusal = obstacle(db, calibration, verb, act.by.role)
    if refusal is not None:
        raise refusal
    rule = rule_at(verb, calibration.state)
    assert rule is not None, "where no rule holds, there is an obstacle"
    _refuse_without_reason(rule, act)
    return rule


def _refuse_without_reason(rule: Rule | ProcessingRule, act: Act) -> None:
    if rule.reason is Reason.NEEDED and not act.reason.strip():
        raise InvalidChoice(f"{rule.label} needs a reason.", hint="Say in a few words why; it is kept.")


def _target(rule: Rule, state: State, to: State | None) -> State:
    if not rule.to:
        return state
    target = to or rule.to[0]
    if target not in rule.to:
        raise ValueError(f"{rule.verb} does not lead to {target}")
    return target


def _wake_those_after(db: Session, calibration: Calibration) -> None:
    rows = db.execute(
        select(Calibration.name, Calibration.step, Calibration.upstream).where(
            Calibration.processing_id == calibration.processing_id
        )
    ).all()
    places = [Place(row.name, row.step, frozenset(row.upstream)) for row in rows]
    before = directly_before(places, calibration.processing.barrier_policy)
    raise_signals(db, calibration.processing_id, all_after(before, calibration.name))


def _begin_new_pass(db: Session, calibration: Calibration, act: Act) -> None:
    """Something finished is reopened: Airflow goes over the processing once more."""
    processing = calibration.processing
    db.execute(update(Processing).where(Processing.id == processing.id).values(generation=Processing.generation + 1))
    db.refresh(processing)
    raise_signals(db, processing.id)
    if processing.state is ProcessingState.COMPLETE:
        reopened = Act(act.by, processing.version, f"{calibration.name} was reopened")
        processing_transition(db, processing.id, ProcessingVerb.REOPEN, reopened)
