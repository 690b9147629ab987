"""Tables of the loop: processings, calibrations, submissions, attempts, verdicts, decisions, outbox."""

from datetime import date

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .base import Base
from .constants import GlobalTag, Payload
from .enums import (
    BarrierPolicy,
    Grade,
    Kind,
    NoVerdictPolicy,
    Outcome,
    ProcessingKind,
    ProcessingState,
    PublishPolicy,
    Role,
    SignOffPolicy,
    StartPolicy,
    State,
    Step,
)
from .sources import DataFile, Definition, Release
from .types import Digest, Id, Json, JsonList, Label, Moment, Name, Prose, Ref, RunNumber, enum


class Processing(Base):
    """One pass of the loop over a run range."""

    __tablename__ = "processing"

    id: Mapped[Id]
    name: Mapped[Name] = mapped_column(unique=True)
    kind: Mapped[ProcessingKind] = mapped_column(enum(ProcessingKind))
    state: Mapped[ProcessingState] = mapped_column(enum(ProcessingState))
    held: Mapped[bool] = mapped_column(default=False)
    run_first: Mapped[RunNumber]
    run_last: Mapped[RunNumber]
    release_id: Mapped[Ref] = mapped_column(ForeignKey("release.id"))
    manager: Mapped[Name] = mapped_column(ForeignKey("person.username"))
    centre: Mapped[Name]
    base_tag_id: Mapped[Ref] = mapped_column(ForeignKey("global_tag.id"))
    target_tag_id: Mapped[Ref] = mapped_column(ForeignKey("global_tag.id"))
    window_s: Mapped[float]
    reject_window_s: Mapped[float] = mapped_column(comment="length of the window that a reject opens")
    inputs_patience_s: Mapped[float] = mapped_column(
        default=24 * 3600.0, comment="inputs that stay incomplete for so long are put to the manager"
    )
    start_policy: Mapped[StartPolicy] = mapped_column(enum(StartPolicy))
    barrier_policy: Mapped[BarrierPolicy] = mapped_column(enum(BarrierPolicy), default=BarrierPolicy.NONE)
    sign_off_policy: Mapped[SignOffPolicy] = mapped_column(enum(SignOffPolicy))
    no_verdict_policy: Mapped[NoVerdictPolicy] = mapped_column(enum(NoVerdictPolicy))
    publish_policy: Mapped[PublishPolicy] = mapped_column(enum(PublishPolicy))
    vetoes: Mapped[JsonList] = mapped_column(
        default=list, comment="names of calibrations that are left out from the start"
    )
    version: Mapped[int] = mapped_column(default=1, comment="guards people's clicks")
    signal: Mapped[int] = mapped_column(default=1, comment="raised with everything that can make something due")
    generation: Mapped[int] = mapped_column(default=1, comment="raised when something finished is reopened")
    created_at: Mapped[Moment]
    activated_at: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]
    release: Mapped[Release] = relationship()
    base_tag: Mapped[GlobalTag] = relationship(foreign_keys=[base_tag_id])
    target_tag: Mapped[GlobalTag] = relationship(foreign_keys=[target_tag_id])
    calibrations: Mapped[list["Calibration"]] = relationship(back_populates="processing", order_by="Calibration.id")
    blocked_days: Mapped[list["BlockedDay"]] = relationship(order_by="BlockedDay.day")

    __table_args__ = (CheckConstraint("run_first <= run_last", name="runs_ordered"), Base.__table_args__)


class BlockedDay(Base):
    """A day on which the windows of a processing do not run down, as its manager named it."""

    __tablename__ = "blocked_day"

    processing_id: Mapped[Ref] = mapped_column(ForeignKey("processing.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    zone: Mapped[Name] = mapped_column(comment="name of the time zone that the day is meant in")
    starts_at: Mapped[Moment]
    ends_at: Mapped[Moment]

    __table_args__ = (CheckConstraint("starts_at < ends_at", name="ordered"), Base.__table_args__)


class BaseIov(Base):
    """The frozen base of a processing: what stood in its base tag when it was activated."""

    __tablename__ = "base_iov"

    processing_id: Mapped[Ref] = mapped_column(ForeignKey("processing.id"), primary_key=True)
    name: Mapped[Label] = mapped_column(primary_key=True)
    first: Mapped[RunNumber] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[RunNumber]
    payload_id: Mapped[Ref] = mapped_column(ForeignKey("payload.id"))
    payload: Mapped[Payload] = relationship()


class StandingVeto(Base):
    """A calibration that is left out of every processing that is activated; kept when it has ended."""

    __tablename__ = "standing_veto"

    id: Mapped[Id]
    name: Mapped[Name] = mapped_column(comment="of the calibration, in every release")
    live: Mapped[bool | None] = mapped_column(comment="true or null: marker of a veto that holds")
    reason: Mapped[Prose]
    begun_by: Mapped[Name]
    begun_at: Mapped[Moment]
    ended_by: Mapped[Name | None]
    ended_at: Mapped[Moment | None]

    __table_args__ = (
        UniqueConstraint("name", "live"),
        CheckConstraint("live is null or live = 1", name="live_marker"),
        Base.__table_args__,
    )


class Calibration(Base):
    """One definition inside one processing."""

    __tablename__ = "calibration"

    id: Mapped[Id]
    processing_id: Mapped[Ref] = mapped_column(ForeignKey("processing.id"))
    definition_id: Mapped[Ref] = mapped_column(ForeignKey("definition.id"))
    name: Mapped[Name]
    step: Mapped[Step] = mapped_column(enum(Step))
    kind: Mapped[Kind] = mapped_column(enum(Kind))
    upstream: Mapped[JsonList] = mapped_column(comment="names of the direct upstream calibrations, frozen")
    expert: Mapped[Name] = mapped_column(ForeignKey("person.username"))
    deputy: Mapped[Name | None] = mapped_column(ForeignKey("person.username"))
    state: Mapped[State] = mapped_column(enum(State))
    version: Mapped[int] = mapped_column(default=1)
    signal: Mapped[int] = mapped_column(default=1)
    since: Mapped[Moment] = mapped_column(comment="when it came into its state")
    window_started_at: Mapped[Moment | None]
    window_ends_at: Mapped[Moment | None]
    reminders_sent: Mapped[int] = mapped_column(default=0)
    incomplete_since: Mapped[Moment | None] = mapped_column(comment="since when only its inputs keep it from starting")
    selection: Mapped[Json | None] = mapped_column(comment="the manager's selection for a definition without filters")
    carried_over: Mapped[Json] = mapped_column(
        default=dict, comment="key -> value, of: defaults from the last published processing, frozen"
    )
    accept_incomplete: Mapped[bool] = mapped_column(default=False, comment="somebody decided to go on")
    kept_reads: Mapped[Digest | None] = mapped_column(comment="what it would read when somebody decided to keep it")
    fallback_tag_id: Mapped[int | None] = mapped_column(ForeignKey("global_tag.id"))
    problem: Mapped[Prose] = mapped_column(default="", comment="why it failed or asks")
    processing: Mapped[Processing] = relationship(back_populates="calibrations")
    definition: Mapped[Definition] = relationship()
    submission: Mapped["Submission | None"] = relationship(
        primaryjoin="and_(Submission.calibration_id == Calibration.id, Submission.live)", viewonly=True
    )
    attempt: Mapped["Attempt | None"] = relationship(
        primaryjoin="and_(Attempt.calibration_id == Calibration.id, Attempt.live)", viewonly=True
    )
    fallback_tag: Mapped[GlobalTag | None] = relationship()

    __table_args__ = (
        UniqueConstraint("processing_id", "definition_id"),
        UniqueConstraint("processing_id", "name"),
        CheckConstraint("deputy is null or deputy <> expert", name="deputy_is_another"),
        Base.__table_args__,
    )


class Submission(Base):
    """A choice of configuration and input selection; immutable, numbered."""

    __tablename__ = "submission"

    id: Mapped[Id]
    calibration_id: Mapped[Ref] = mapped_column(ForeignKey("calibration.id"))
    number: Mapped[int]
    live: Mapped[bool | None] = mapped_column(comment="true or null: marker of the submission that counts")
    config: Mapped[Json]
    selection: Mapped[Json]
    submitted_by: Mapped[Name]
    automatic: Mapped[bool]
    submitted_at: Mapped[Moment]
    comment: Mapped[Prose] = mapped_column(default="")
    calibration: Mapped[Calibration] = relationship()

    __table_args__ = (
        UniqueConstraint("calibration_id", "number"),
        UniqueConstraint("calibration_id", "live"),
        CheckConstraint("live is null or live = 1", name="live_marker"),
        Base.__table_args__,
    )


class Attempt(Base):
    """One execution of a submission. At most one attempt of a calibration is live."""

    __tablename__ = "attempt"

    id: Mapped[Id]
    calibration_id: Mapped[Ref] = mapped_column(ForeignKey("calibration.id"))
    submission_id: Mapped[Ref] = mapped_column(ForeignKey("submission.id"))
    number: Mapped[int]
    live: Mapped[bool | None] = mapped_column(comment="true or null: marker of the current attempt")
    combination: Mapped[Digest] = mapped_column(
        comment="hash over release, script, configuration, files and constants: equal ones bring the same"
    )
    runs: Mapped[JsonList] = mapped_column(  # long, and of interest on two pages only
        deferred=True, comment="every run with taken or left out, and the reason"
    )
    started_at: Mapped[Moment]
    ended_at: Mapped[Moment | None]
    outcome: Mapped[Outcome | None] = mapped_column(enum(Outcome))
    converged: Mapped[bool] = mapped_column(default=True)
    without_data: Mapped[JsonList] = mapped_column(
        default=list, comment="runs with too few data, as [first, last]; the constants before stay valid there"
    )
    message: Mapped[Prose] = mapped_column(default="")
    rejected: Mapped[bool] = mapped_column(
        default=False, comment="what has the same combination is not submitted automatically again"
    )
    code_version: Mapped[Name | None] = mapped_column(comment="of b2cal, which its jobs run; null before there are")
    code_digest: Mapped[Digest | None] = mapped_column(comment="hash over that code")
    submission: Mapped[Submission] = relationship()
    calibration: Mapped[Calibration] = relationship()
    files: Mapped[list["AttemptFile"]] = relationship(order_by="AttemptFile.data_file_id, AttemptFile.data_name")
    reads: Mapped[list["AttemptRead"]] = relationship(order_by="AttemptRead.name, AttemptRead.first")
    payloads: Mapped[list["AttemptPayload"]] = relationship(order_by="AttemptPayload.name, AttemptPayload.first")
    verdict: Mapped["Verdict | None"] = relationship()

    __table_args__ = (
        UniqueConstraint("calibration_id", "number"),
        UniqueConstraint("calibration_id", "live"),
        CheckConstraint("live is null or live = 1", name="live_marker"),
        Base.__table_args__,
    )


class AttemptFile(Base):
    """An input file, frozen with its checksum, and the data name under which the calibration reads it."""

    __tablename__ = "attempt_file"

    attempt_id: Mapped[Ref] = mapped_column(ForeignKey("attempt.id"), primary_key=True)
    data_file_id: Mapped[Ref] = mapped_column(ForeignKey("data_file.id"), primary_key=True)
    data_name: Mapped[Name] = mapped_column(primary_key=True)
    sha256: Mapped[Digest]
    file: Mapped[DataFile] = relationship()


class AttemptRead(Base):
    """A payload that the attempt may read, fixed at its start; `used`: whether its jobs did (null: not known)."""

    __tablename__ = "attempt_read"

    attempt_id: Mapped[Ref] = mapped_column(ForeignKey("attempt.id"), primary_key=True)
    name: Mapped[Label] = mapped_column(primary_key=True)
    first: Mapped[RunNumber] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[RunNumber]
    payload_id: Mapped[Ref] = mapped_column(ForeignKey("payload.id"))
    producer: Mapped[Name | None] = mapped_column(comment="the upstream calibration it came from; null = the base")
    used: Mapped[bool | None]
    payload: Mapped[Payload] = relationship()


class AttemptPayload(Base):
    """A payload that the attempt produced."""

    __tablename__ = "attempt_payload"

    attempt_id: Mapped[Ref] = mapped_column(ForeignKey("attempt.id"), primary_key=True)
    name: Mapped[Label] = mapped_column(primary_key=True)
    first: Mapped[RunNumber] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[RunNumber]
    payload_id: Mapped[Ref] = mapped_column(ForeignKey("payload.id"))
    payload: Mapped[Payload] = relationship()

    __table_args__ = (CheckConstraint("first <= last", name="ordered"), Base.__table_args__)


class Verdict(Base):
    """Machine-readable outcome of the validation of an attempt."""

    __tablename__ = "verdict"

    attempt_id: Mapped[Ref] = mapped_column(ForeignKey("attempt.id"), primary_key=True)
    grade: Mapped[Grade] = mapped_column(enum(Grade))
    generic_only: Mapped[bool] = mapped_column(comment="the script gave no measurements")
    checks: Mapped[JsonList]
    report: Mapped[Label] = mapped_column(comment="file below the reports folder")
    judged_at: Mapped[Moment]


class Decision(Base):
    """One act, human or automatic, that changed something: in a processing, a tag, by a standing veto, or who logs in.

    Append-only.
    """

    __tablename__ = "decision"

    id: Mapped[Id]
    processing_id: Mapped[Ref | None] = mapped_column(ForeignKey("processing.id"))
    calibration_id: Mapped[int | None] = mapped_column(ForeignKey("calibration.id"))
    tag_id: Mapped[Ref | None] = mapped_column(ForeignKey("global_tag.id"))
    standing_veto_id: Mapped[Ref | None] = mapped_column(ForeignKey("standing_veto.id"))
    person: Mapped[Name | None] = mapped_column(ForeignKey("person.username"))
    at: Mapped[Moment]
    actor: Mapped[Name]
    role: Mapped[Role] = mapped_column(enum(Role))
    verb: Mapped[Name]
    from_state: Mapped[Name]
    to_state: Mapped[Name]
    reason: Mapped[Prose]
    seen: Mapped[Digest] = mapped_column(comment="hash of the evidence that was in front of whoever decided")
    details: Mapped[Json]
    request_key: Mapped[Label | None] = mapped_column(unique=True, comment="makes a click idempotent")

    __table_args__ = (
        Index(None, "processing_id", "calibration_id", "id"),
        CheckConstraint(
            "(processing_id IS NOT NULL) + (tag_id IS NOT NULL) + (standing_veto_id IS NOT NULL)"
            " + (person IS NOT NULL) = 1",
            name="about_one",
        ),
        Base.__table_args__,
    )


class Outbox(Base):
    """A side effect that belongs to a decision; the agent carries it out after the commit, at least once."""

    __tablename__ = "outbox"

    id: Mapped[Id]
    key: Mapped[Label] = mapped_column(unique=True)
    kind: Mapped[Name]
    about: Mapped[Name] = mapped_column(comment="side effects of one kind about one thing keep their order")
    body: Mapped[Json]
    created_at: Mapped[Moment]
    sent_at: Mapped[Moment | None] = mapped_column(index=True)
    tries: Mapped[int] = mapped_column(Integer, default=0)
    not_before: Mapped[Moment | None] = mapped_column(comment="after a failure")
    given_up_at: Mapped[Moment | None]
    error: Mapped[Prose] = mapped_column(default="", comment="of the last try that failed")


class SitePresence(Base):
    """A time in which people could reach the site; between two of them it was away."""

    __tablename__ = "site_presence"

    id: Mapped[Id]
    away_since: Mapped[Moment | None] = mapped_column(unique=True, comment="last sign of life before; null = the first")
    began_at: Mapped[Moment]
    seen_at: Mapped[Moment] = mapped_column(comment="last sign of life of the site")
