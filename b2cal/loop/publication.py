"""What publishing a processing changes, when it may, and doing it in one step."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from sqlalchemy import and_, delete, select, update
from sqlalchemy.orm import Session

from b2cal import conditions
from b2cal.conditions import Change, Entry
from b2cal.core.checksums import digest
from b2cal.core.iov import IoV
from b2cal.model import (
    BaseIov,
    Calibration,
    Definition,
    GlobalTag,
    Kind,
    Processing,
    ProcessingKind,
    ProcessingState,
    PublishPolicy,
    State,
    Submission,
    TagState,
    now,
)

from .actors import THE_LOOP
from .advance import Progress
from .defaults import default_config
from .errors import Conflict
from .graph import want_graph
from .obstacles import processing_obstacle
from .rules import GOING, OVER, ProcessingVerb
from .transition import Act, processing_transition, raise_signals, refuse_repetition
from .vetoes import left_out_from_the_start
from .view import Freshness, ProcessingView
from .workplace import Workplace


@dataclass(frozen=True)
class Preview:
    """What publishing will change, what is not known yet, what stands in its way and what helps (empty: nothing)."""

    changes: list[Change]
    unknown: list[str]
    obstacle: str
    way_out: str

    @property
    def refused(self) -> str:
        """Why the tag does not take it, however long one waits; empty if it does."""
        return next((change.forbidden for change in self.changes if change.forbidden), "")

    @property
    def fingerprint(self) -> str:
        """Hash of the changes, short enough to be typed: whoever publishes says by it what was seen."""
        return digest([change.to_json() for change in self.changes])[:16]


def publication_preview(view: ProcessingView) -> Preview:
    """Per payload what is closed and what is created, before anything is done."""
    unknown = [name for name in view.calibrations if not view.settled(name)]
    changes = conditions.preview(view.db, view.processing.target_tag_id, new_entries(view))
    return Preview(changes, unknown, *_obstacle_and_way_out(view, unknown, changes))


def published_before(db: Session, processing: Processing) -> str:
    """That the target tag has constants for runs of a new processing already, as a sentence; empty if it has none."""
    runs = IoV.from_numbers(processing.run_first, processing.run_last)
    prompt = processing.kind is ProcessingKind.PROMPT
    owned = [payload.payload_name for it in _taking_part(db, processing) for payload in it.payloads]
    tag = processing.target_tag
    fixed = conditions.fixed_for(db, tag, owned, IoV(runs.first, None) if prompt else runs)
    if not fixed:
        return ""
    more = f" and {len(fixed) - 1} more" if len(fixed) > 1 else ""
    later = " or later ones" if prompt or tag.state is TagState.RUNNING else ""
    return (
        f"{tag.name} has constants of {fixed[0]}{more} for these runs{later} already: only equal ones could be"
        f" published there. {conditions.way_to_correct(tag.name)}"
    )


def _taking_part(db: Session, processing: Processing) -> list[Definition]:
    """What is not vetoed, or will not be when the processing is activated."""
    if processing.state is ProcessingState.PLANNED:
        left_out = left_out_from_the_start(db, processing)
        return [it for it in processing.release.definitions if it.name not in left_out]
    return [it.definition for it in processing.calibrations if it.state is not State.VETOED]


def new_entries(view: ProcessingView) -> list[Entry]:
    """All payloads that the processing gives to its target tag.

    For a veto these are those of the stated fallback, which others have read; without one the open IoV goes on.
    """
    return [entry for calibration in view.calibrations.values() for entry in view.made(calibration)]


def why_unpublished(view: ProcessingView) -> str:
    """What a processing waits for as a whole once it is complete; empty before and after."""
    if view.processing.state is not ProcessingState.COMPLETE:
        return ""
    preview = publication_preview(view)
    if preview.unknown:
        return f"{preview.obstacle} {preview.way_out}"
    return f"All calibrations are finished{_and_then(view, preview)}"


def _and_then(view: ProcessingView, preview: Preview) -> str:
    it = view.processing
    if preview.refused:
        return f", but they cannot be published: {preview.obstacle} {preview.way_out}"
    if preview.obstacle:
        return f"; it is published after {earlier_unpublished(view)}, which has earlier runs."
    if it.publish_policy is PublishPolicy.MANUAL:
        return f"; publishing waits for {it.manager}."
    if it.held:
        return f"; nothing is published by itself until {it.manager} releases it."
    return "; b2cal publishes them by itself while it runs (`b2cal up`)."


def _obstacle_and_way_out(view: ProcessingView, unknown: list[str], changes: list[Change]) -> tuple[str, str]:
    it = view.processing
    if it.state is ProcessingState.CANCELLED:
        return f"{it.name} is cancelled: nothing of it is published.", "Calibrate its runs in another processing."
    if unknown:
        finished = f"{len(unknown)} of {len(view.calibrations)} calibrations are not finished, {unknown[0]} among them."
        return finished, f"Look at what they wait for: `b2cal why {it.name}`."
    refused = [change for change in changes if change.forbidden]
    if refused:
        return refused[0].forbidden, _way_into_tag(view, {change.name for change in refused})
    earlier = earlier_unpublished(view)
    if earlier is None:
        return "", ""
    obstacle = f"{earlier} has earlier runs and is not published yet."
    return obstacle, f"It comes after that one: look at what that waits for with `b2cal why {earlier}`."


def _way_into_tag(view: ProcessingView, refused: AbstractSet[str]) -> str:
    """What helps where a tag does not take payloads of these names."""
    it, tag = view.processing, view.processing.target_tag
    if not conditions.takes_payloads(tag):
        return f"{conditions.way_on(tag)} For another tag cancel {it.name}, and calibrate its runs into that one."
    correcting = f"Or, if it corrects them, cancel {it.name}. {conditions.way_to_correct(tag.name)}"
    return f"{_how_to_leave_out(view, refused)} {correcting}"


def _how_to_leave_out(view: ProcessingView, payloads: AbstractSet[str]) -> str:
    """How these payloads are not published: by vetoes, and where there is one already, by one without a fallback."""
    owners = [
        it
        for it in view.calibrations.values()
        if any(owned.payload_name in payloads for owned in it.definition.payloads)
    ]
    vetoed = [it.name for it in owners if it.state is State.VETOED]
    ways = ["Veto the calibrations that are in the way"] if len(vetoed) < len(owners) else []
    if vetoed:
        ways.append(f"Lift the veto of {', '.join(vetoed)} and veto again without a fallback")
    return f"{'. '.join(ways)}: {view.processing.target_tag.name} keeps what it holds of them."


def earlier_unpublished(view: ProcessingView) -> str | None:
    """Prompt processings of one target tag publish in run order: the name of the one to wait for."""
    it = view.processing
    if it.kind is not ProcessingKind.PROMPT:
        return None
    return view.db.scalar(
        select(Processing.name)
        .where(
            Processing.target_tag_id == it.target_tag_id,
            Processing.kind == ProcessingKind.PROMPT,
            Processing.run_first < it.run_first,
            Processing.state.not_in(OVER),
        )
        .order_by(Processing.run_first)
        .limit(1)
    )


def publish(db: Session, processing_id: int, act: Act, previewed: str | None) -> list[Change]:
    """Publish a complete processing into its target tag, all or nothing.

    Args:
        db: of a unit of work.
        processing_id: which one.
        act: who publishes, and why.
        previewed: fingerprint of the preview that was looked at; it is kept with the decision. None: nobody looked.

    Raises:
        Conflict: it is not complete, or an earlier one is not published, or a published IoV would be altered; or
            publishing changes something else than was previewed.
        NotAllowed, Repeated: as in `transition`.
    """
    refuse_repetition(db, act)
    view = ProcessingView(db, processing_id)
    refusal = processing_obstacle(view.processing, ProcessingVerb.PUBLISH, act.by)
    if refusal is not None and view.processing.state not in GOING:  # while it goes on the preview says what is missing
        raise refusal
    preview = publication_preview(view)
    if preview.obstacle:
        raise Conflict(f"{view.processing.name} cannot be published: {preview.obstacle}", hint=preview.way_out)
    if previewed is not None and preview.fingerprint != previewed:
        raise Conflict(
            f"What publishing {view.processing.name} changes is not what was previewed any more.",
            hint="Look at the preview again, and publish from there.",
        )
    changes = [change.to_json() for change in preview.changes]
    processing = processing_transition(db, processing_id, ProcessingVerb.PUBLISH, act, previewed or "", changes=changes)
    processing.ended_at = now(db)
    conditions.publish(db, processing.target_tag_id, new_entries(view))
    raise_signals(db, processing.id)
    want_graph(db, processing)
    _pass_on(db, processing)
    return preview.changes


def wake_tag(db: Session, tag_id: int) -> None:
    """Whether a tag may be published to has changed, or whose turn it is: whoever will publish to it looks again."""
    waiting = select(Processing.id).where(Processing.target_tag_id == tag_id, Processing.state.in_(GOING))
    for processing_id in db.scalars(waiting):
        raise_signals(db, processing_id, set())


def tag_changed(db: Session, tag: GlobalTag) -> None:
    """A tag has come, or new constants in it: whoever publishes to it, copies from it or falls back to it looks again.

    Airflow goes over a processing once more where something is stale by it.
    """
    wake_tag(db, tag.id)
    for processing in _readers(db, tag):
        _look_again(db, processing, f"{tag.name} has new constants")


def _readers(db: Session, tag: GlobalTag) -> list[Processing]:
    """The processings in which a calibration copies from a tag, or is vetoed with it as its fallback.

    What is not submitted counts with its defaults: perhaps these wait for nothing but this tag.
    """
    going = (
        select(Calibration, Submission.config)
        .join(Processing, Processing.id == Calibration.processing_id)
        .outerjoin(Submission, and_(Submission.calibration_id == Calibration.id, Submission.live.is_(True)))
        .where(Processing.state.in_(GOING))
    )
    reading = {
        calibration.processing_id
        for calibration, config in db.execute(going)
        if calibration.fallback_tag_id == tag.id
        or (calibration.kind is Kind.COPY and (config or default_config(calibration)).get("source_tag") == tag.name)
    }
    return list(db.scalars(select(Processing).where(Processing.id.in_(reading)).order_by(Processing.id)))


def _pass_on(db: Session, published: Processing) -> None:
    """Processings on top of this tag read the new constants as their base: what used the old ones becomes stale."""
    later = db.scalars(
        select(Processing).where(
            Processing.base_tag_id == published.target_tag_id,
            Processing.run_first > published.run_first,
            Processing.kind == ProcessingKind.PROMPT,
            Processing.state.in_(GOING),
        )
    ).all()
    for processing in later:
        freeze_base(db, processing)
        _look_again(db, processing, f"{published.name} was published and changed what it read")
    tag_changed(db, published.target_tag)


def _look_again(db: Session, processing: Processing, because: str) -> None:
    """What a processing reads may have changed: it wakes, and Airflow goes over it once more if something is stale."""
    raise_signals(db, processing.id)
    view = ProcessingView(db, processing.id)
    if all(view.standing(name).freshness is Freshness.FRESH for name in view.calibrations):
        return
    db.execute(update(Processing).where(Processing.id == processing.id).values(generation=Processing.generation + 1))
    db.refresh(processing)
    if processing.state is ProcessingState.COMPLETE:
        processing_transition(db, processing.id, ProcessingVerb.REOPEN, Act(THE_LOOP, processing.version, because))


def freeze_base(db: Session, processing: Processing) -> None:
    """Copy what the base tag holds now for the run range of a processing."""
    db.execute(delete(BaseIov).where(BaseIov.processing_id == processing.id))
    runs = IoV.from_numbers(processing.run_first, processing.run_last)
    db.add_all(
        BaseIov(processing_id=processing.id, name=e.name, first=e.first, last=e.last, payload_id=e.payload_id)
        for e in conditions.tag_entries(db, processing.base_tag_id, overlapping=runs)
    )
    db.flush()


def advance_processing(workplace: Workplace, processing: str) -> Progress:
    """Do all that is due for a processing as a whole: complete it, publish it by policy; say how it stands.

    Raises:
        NotFound: there is no such processing.
    """
    while True:
        with workplace.database.read() as db:
            view = ProcessingView.of(db, processing)
            it = view.processing
            progress = Progress(it.state.value, it.state in OVER, it.signal, None, it.generation)
            verb = _due(view)
        if verb is None:
            return progress
        _act(workplace, processing, verb)


def _due(view: ProcessingView) -> ProcessingVerb | None:
    it = view.processing
    if it.held or it.state in OVER:
        return None
    settled = all(view.settled(name) for name in view.calibrations)
    if it.state is ProcessingState.ACTIVE:
        return ProcessingVerb.COMPLETE if settled else None
    if not settled:
        return ProcessingVerb.REOPEN
    automatic = it.publish_policy is PublishPolicy.AUTO and not publication_preview(view).obstacle
    return ProcessingVerb.PUBLISH if automatic else None


def _act(workplace: Workplace, name: str, verb: ProcessingVerb) -> None:
    def unit(db: Session) -> None:
        view = ProcessingView.of(db, name)
        if _due(view) is not verb:
            return
        act = Act(
            THE_LOOP,
            view.processing.version,
            "all calibrations are finished" if verb is not ProcessingVerb.REOPEN else "",
        )
        if verb is ProcessingVerb.PUBLISH:
            publish(db, view.processing.id, act, previewed=None)
        else:
            processing_transition(db, view.processing.id, verb, act)

    workplace.database.write(unit)
