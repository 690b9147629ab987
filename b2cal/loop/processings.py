"""Life of a processing: created, activated, held, cancelled."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from b2cal import releases
from b2cal.conditions import tag_named, takes_payloads, way_on, way_to_correct
from b2cal.core.iov import IoV
from b2cal.model import (
    Attempt,
    BarrierPolicy,
    Calibration,
    Definition,
    GlobalTag,
    NoVerdictPolicy,
    Person,
    Processing,
    ProcessingKind,
    ProcessingState,
    PublishPolicy,
    Release,
    Role,
    Run,
    SignOffPolicy,
    StartPolicy,
    State,
    now,
)
from b2cal.settings import LONGEST_S

from .actors import manager
from .calendar import blocked_days
from .defaults import carried_over
from .errors import Conflict, InvalidChoice, NotFound
from .graph import task_id, want_graph
from .named import release_named
from .order import Place, directly_before
from .publication import freeze_base, wake_tag
from .room import Room, refuse_short
from .rules import FINISHED, ProcessingVerb
from .transition import Act, decided, processing_transition, raise_signals
from .vetoes import veto_from_the_start
from .windows_and_reminders import open_window


class PlanVerb(StrEnum):
    """How a processing comes into being."""

    PLAN = "plan"


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class NewProcessing:
    """What a manager asks for."""

    name: str
    runs: IoV
    release: str
    manager: str
    base_tag: str
    target_tag: str
    kind: ProcessingKind = ProcessingKind.PROMPT
    centre: str = "local"
    window_s: float = 48 * 3600.0
    reject_window_s: float = 24 * 3600.0
    inputs_patience_s: float = 24 * 3600.0
    blocked: tuple[date, ...] = ()
    zone: str = "UTC"
    start: StartPolicy = StartPolicy.READY
    barrier: BarrierPolicy = BarrierPolicy.NONE
    sign_off: SignOffPolicy = SignOffPolicy.AUTO
    no_verdict: NoVerdictPolicy = NoVerdictPolicy.GENERIC
    publish: PublishPolicy = PublishPolicy.AUTO
    vetoes: tuple[str, ...] = ()


def create_processing(db: Session, wanted: NewProcessing) -> Processing:
    """Plan a processing, as its manager.

    Raises:
        InvalidChoice: a name that files and DAGs cannot have, an open run range, one without data, an unknown zone, a
            window that has no length or outlasts everybody.
        NotFound: release, tag or person is not known.
        NotAllowed: the manager is none.
        Conflict: the name is taken; the tag takes nothing; a prompt processing of the same tag has some of these runs,
            or is published for later ones.
    """
    _refuse_name(db, wanted.name)
    _refuse_runs(db, wanted.runs)
    _refuse_times(wanted)
    by = manager(db, wanted.manager)
    release = release_named(db, wanted.release)
    base, target = tag_named(db, wanted.base_tag), tag_named(db, wanted.target_tag)
    _refuse_target(db, wanted, target)
    _refuse_unknown(release, wanted.vetoes)
    processing = Processing(
        name=wanted.name,
        kind=wanted.kind,
        state=ProcessingState.PLANNED,
        held=False,
        run_first=wanted.runs.first.number,
        run_last=wanted.runs.last_number,
        release_id=release.id,
        manager=wanted.manager,
        centre=wanted.centre,
        base_tag_id=base.id,
        target_tag_id=target.id,
        window_s=wanted.window_s,
        reject_window_s=wanted.reject_window_s,
        inputs_patience_s=wanted.inputs_patience_s,
        blocked_days=blocked_days(wanted.blocked, wanted.zone),
        start_policy=wanted.start,
        barrier_policy=wanted.barrier,
        sign_off_policy=wanted.sign_off,
        no_verdict_policy=wanted.no_verdict,
        publish_policy=wanted.publish,
        vetoes=list(wanted.vetoes),
        version=1,
        signal=1,
        generation=1,
        created_at=now(db),
    )
    db.add(processing)
    db.flush()
    decision = decided(Act(by, 0), now(db), PlanVerb.PLAN, processing.state, processing.state)
    decision.processing_id = processing.id
    db.add(decision)
    db.flush()
    return processing


def activate(db: Session, processing_id: int, room: Room, act: Act) -> Processing:
    """Freeze release, graph and base, open all windows; leave out what was named for it or has a standing veto.

    `room` is what whoever activates it found just before, see `room_for`.

    Raises:
        InvalidChoice: besides what `processing_transition` raises: there is too little of it, and no reason.
    """
    refuse_short(room, act.reason)
    shortage: dict[str, Any] = {"room": room.to_json()} if room.is_short else {}
    processing = processing_transition(db, processing_id, ProcessingVerb.ACTIVATE, act, **shortage)
    processing.activated_at = now(db)
    definitions = db.scalars(
        select(Definition).where(Definition.release_id == processing.release_id).order_by(Definition.id)
    ).all()
    graph = releases.graph(definitions, processing.release.vocabulary)
    _refuse_circle(definitions, graph, processing.barrier_policy)
    _refuse_equal_task_ids(definitions)
    _know(db, {definition.expert for definition in definitions})
    for definition in definitions:
        calibration = Calibration(
            processing_id=processing.id,
            definition_id=definition.id,
            name=definition.name,
            step=definition.step,
            kind=definition.kind,
            upstream=sorted(graph[definition.name]),
            expert=definition.expert,
            state=State.OPEN,
            version=1,
            signal=1,
            since=now(db),
            reminders_sent=0,
            carried_over=carried_over(db, processing, definition),
            accept_incomplete=False,
            problem="",
        )
        open_window(calibration, now(db), processing.window_s, processing.blocked_days)
        db.add(calibration)
    db.flush()
    freeze_base(db, processing)
    veto_from_the_start(db, processing, act)
    want_graph(db, processing)
    return processing


def hold(db: Session, processing_id: int, act: Act) -> None:
    """Jobs drain, nothing new starts."""
    processing_transition(db, processing_id, ProcessingVerb.HOLD, act).held = True


def take_over(db: Session, processing_id: int, act: Act) -> None:
    """Whoever asks becomes the manager of this processing: what it asks of its manager is asked of that person."""
    before = db.get(Processing, processing_id)
    change = [before.manager, act.by.username] if before is not None else []
    processing = processing_transition(db, processing_id, ProcessingVerb.TAKE_OVER, act, manager=change)
    processing.manager = act.by.username


def release(db: Session, processing_id: int, act: Act) -> None:
    """End a hold: everything that became due meanwhile is done."""
    processing = processing_transition(db, processing_id, ProcessingVerb.RELEASE, act)
    processing.held = False
    # While it was held nothing could start: what waits for inputs is counted anew.
    waiting = update(Calibration).where(Calibration.processing_id == processing_id)
    db.execute(waiting.values(incomplete_since=None))
    raise_signals(db, processing_id)


def cancel(db: Session, processing_id: int, act: Act) -> None:
    """Give a processing up; its jobs are cancelled and nothing is published."""
    processing = processing_transition(db, processing_id, ProcessingVerb.CANCEL, act)
    processing.ended_at = now(db)
    unfinished = select(Attempt).join(Calibration, Calibration.id == Attempt.calibration_id)
    unfinished = unfinished.where(Calibration.processing_id == processing_id, Calibration.state.not_in(FINISHED))
    for attempt in db.scalars(unfinished.where(Attempt.live.is_(True))):
        attempt.live, attempt.ended_at = None, attempt.ended_at or now(db)
    raise_signals(db, processing_id)
    wake_tag(db, processing.target_tag_id)
    want_graph(db, processing)


def data_arrived(db: Session) -> None:
    """Runs or files were registered: whatever waits for inputs looks again.

    So does what is open: with other inputs the defaults that were rejected are submitted after all.
    """
    for processing_id in db.scalars(select(Processing.id).where(Processing.state == ProcessingState.ACTIVE)):
        waiting = db.scalars(
            select(Calibration.name).where(
                Calibration.processing_id == processing_id, Calibration.state.in_([State.OPEN, State.SUBMITTED])
            )
        ).all()
        raise_signals(db, processing_id, set(waiting))


def _refuse_name(db: Session, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidChoice(
            f"{name!r} cannot be the name of a processing.",
            hint="Use up to 64 letters, digits, dots, dashes and underscores, for instance bucket23.",
        )
    if db.scalar(select(Processing.id).where(Processing.name == name)) is not None:
        raise Conflict(f"There is a processing {name} already.", hint="Choose another name.")


def _refuse_times(wanted: NewProcessing) -> None:
    for seconds in (wanted.window_s, wanted.reject_window_s, wanted.inputs_patience_s):
        if not 0 < seconds <= LONGEST_S:
            raise InvalidChoice(
                f"A processing cannot wait for {seconds:g} s.", hint="Give a positive time of at most a hundred years."
            )


def _refuse_runs(db: Session, runs: IoV) -> None:
    if runs.last is None:
        raise InvalidChoice("A processing needs a last run.", hint="Give a run range such as e26r180-e26r1967.")
    known = select(Run.exprun).where(Run.exprun.between(runs.first.number, runs.last_number))
    if db.scalar(known.limit(1)) is None:
        raise InvalidChoice(
            f"The run registry has no run in {runs}.", hint="`b2cal data scan FOLDER` registers runs and files."
        )


def _refuse_target(db: Session, wanted: NewProcessing, target: GlobalTag) -> None:
    if not takes_payloads(target):
        raise Conflict(
            f"The tag {target.name} is {target.state.value}: nothing can be published to it.",
            hint=f"{way_on(target)} Or choose another.",
        )
    if wanted.kind is ProcessingKind.PROMPT:
        _refuse_overlap(db, wanted, target)
        _refuse_too_late(db, wanted, target)


def _refuse_unknown(release: Release, vetoes: Sequence[str]) -> None:
    known = [definition.name for definition in release.definitions]
    unknown = [name for name in vetoes if name not in known]
    if unknown:
        raise NotFound(
            f"The release {release.name} has no calibration {', '.join(unknown)} to veto.",
            hint=f"It has: {', '.join(known)}.",
        )


def _refuse_overlap(db: Session, wanted: NewProcessing, target: GlobalTag) -> None:
    other = db.scalar(
        select(Processing.name).where(
            Processing.target_tag_id == target.id,
            Processing.kind == ProcessingKind.PROMPT,
            Processing.state != ProcessingState.CANCELLED,
            Processing.run_first <= wanted.runs.last_number,
            Processing.run_last >= wanted.runs.first.number,
        )
    )
    if other is not None:
        raise Conflict(
            f"{other} of the same tag {target.name} has some of the runs {wanted.runs}.",
            hint="Prompt processings of one tag may not overlap: choose other runs or another tag.",
        )


def _refuse_too_late(db: Session, wanted: NewProcessing, target: GlobalTag) -> None:
    """Publication goes in run order: what comes before published constants could never be published."""
    later = db.scalar(
        select(Processing)
        .where(
            Processing.target_tag_id == target.id,
            Processing.kind == ProcessingKind.PROMPT,
            Processing.state == ProcessingState.PUBLISHED,
            Processing.run_first > wanted.runs.last_number,
        )
        .order_by(Processing.run_first)
        .limit(1)
    )
    if later is not None:
        raise Conflict(
            f"{wanted.runs} lie before {IoV.from_numbers(later.run_first, later.run_last)}, which {later.name} has"
            f" published to {target.name}: nothing of them could be published any more.",
            hint=f"Choose later runs. {way_to_correct(target.name)}",
        )


def _refuse_equal_task_ids(definitions: Sequence[Definition]) -> None:
    counts = Counter(task_id(definition.name) for definition in definitions)
    unclear = [definition.name for definition in definitions if counts[task_id(definition.name)] > 1]
    unclear += [definition.name for definition in definitions if not task_id(definition.name)]
    if unclear:
        raise Conflict(
            f"The names {', '.join(unclear)} differ from others only in signs, or have no letter from a to z.",
            hint="Airflow needs a name of its own for each: rename them in the release.",
        )


def _refuse_circle(definitions: Sequence[Definition], graph: dict[str, list[str]], barrier: BarrierPolicy) -> None:
    """With full barriers nothing may depend on a later step, which waits for it."""
    places = [Place(it.name, it.step, frozenset(graph[it.name])) for it in definitions]
    before = directly_before(places, barrier)
    circle = releases.find_cycle({name: sorted(names) for name, names in before.items()})
    if circle is not None:
        steps = {definition.name: definition.step.value for definition in definitions}
        path = " -> ".join(f"{name} ({steps[name]})" for name in circle)
        raise Conflict(
            f"With full barriers between the steps these would wait for each other in a circle: {path}.",
            hint="Correct the steps in release.toml, or do without barriers.",
        )


def _know(db: Session, experts: set[str]) -> None:
    """Experts that nobody has registered become known, without a password: they cannot log in yet."""
    known = set(db.scalars(select(Person.username).where(Person.username.in_(experts))))
    db.add_all(
        Person(username=name, full_name=name, role=Role.EXPERT, password_hash="") for name in sorted(experts - known)
    )
    db.flush()
