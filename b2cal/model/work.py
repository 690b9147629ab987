"""Tables of the batch work: groups, their submissions, jobs, the queue of the local backend, leases."""

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from b2cal.core.failures import Source

from .base import Base
from .enums import GroupState, IncidentKind, JobState, Stage
from .loop import Attempt
from .types import Id, Json, Label, Moment, Name, Place, Prose, Ref, Token, enum


class JobGroup(Base):
    """N batch jobs of one stage of an attempt, wanted by loop/, carried out by agent/.

    Round 0 is the whole group; round k > 0 is the subset of those before that failed and is tried again, or copies of
    jobs that still run and race them.
    """

    __tablename__ = "job_group"

    id: Mapped[Id]
    attempt_id: Mapped[Ref] = mapped_column(ForeignKey("attempt.id"))
    stage: Mapped[Stage] = mapped_column(enum(Stage))
    iteration: Mapped[int]
    round: Mapped[int]
    state: Mapped[GroupState] = mapped_column(enum(GroupState), index=True)
    spec: Mapped[Json] = mapped_column(comment="what all its jobs share of job.json")
    token: Mapped[Token] = mapped_column(unique=True)
    epoch: Mapped[int] = mapped_column(comment="the submission that counts; 0 = never submitted")
    not_before: Mapped[Moment]
    wanted_at: Mapped[Moment]
    submitted_at: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]
    incident_id: Mapped[Ref | None] = mapped_column(ForeignKey("incident.id"), comment="it waits until that is over")
    tries_from: Mapped[int] = mapped_column(default=0, comment="the round from which tries count: somebody asked anew")
    asks_since: Mapped[Moment | None] = mapped_column(comment="it waits until somebody decides whether it is tried")
    attempt: Mapped[Attempt] = relationship()
    jobs: Mapped[list["Job"]] = relationship(order_by="Job.number", back_populates="group")

    __table_args__ = (UniqueConstraint("attempt_id", "stage", "iteration", "round"), Base.__table_args__)


class GroupEpoch(Base):
    """One try to submit a group, written before the batch system is asked."""

    __tablename__ = "group_epoch"

    group_id: Mapped[Ref] = mapped_column(ForeignKey("job_group.id"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    intended_at: Mapped[Moment]
    recorded_at: Mapped[Moment | None]

    __table_args__ = (CheckConstraint("epoch >= 1", name="from_one"), Base.__table_args__)


class Job(Base):
    """One batch job: part `number` of its stage. Its job.json is the group's spec with its own on top."""

    __tablename__ = "job"

    id: Mapped[Id]
    group_id: Mapped[Ref] = mapped_column(ForeignKey("job_group.id"))
    number: Mapped[int]
    label: Mapped[Label] = mapped_column(comment="what it works on, for people: 'runs e1r3 to e1r5'")
    spec: Mapped[Json] = mapped_column(comment="its own part of job.json: the input files")
    state: Mapped[JobState] = mapped_column(enum(JobState))
    batch_id: Mapped[Label] = mapped_column(default="")
    folder: Mapped[Place] = mapped_column(default="", comment="below the attempts folder")
    host: Mapped[Label] = mapped_column(default="")
    pending_reason: Mapped[Prose] = mapped_column(
        default="", comment="why it does not run now, as its batch system says"
    )
    exit_code: Mapped[int | None]
    error: Mapped[Prose] = mapped_column(default="", comment="the first error, one line")
    source: Mapped[Source | None] = mapped_column(enum(Source), comment="who says that it failed")
    code: Mapped[int | None] = mapped_column(comment="signal, exit code, or code of the hold reason")
    failure_kind: Mapped[Label] = mapped_column(default="", comment="what it has in common with those that fail alike")
    retry: Mapped[Prose] = mapped_column(default="", comment="the retry rule that was applied and why")
    memory_mb: Mapped[int | None] = mapped_column(comment="what it asks for; NULL = the usual of its centre")
    started_at: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]
    cpu_s: Mapped[float | None]
    memory_bytes: Mapped[int | None] = mapped_column(BigInteger)
    disk_bytes: Mapped[int | None] = mapped_column(BigInteger, comment="the most that its folder took")
    copy_of: Mapped[Ref | None] = mapped_column(
        ForeignKey("job.id"), index=True, comment="the job that it races: who is done first counts"
    )
    slow: Mapped[Prose] = mapped_column(
        default="", comment="that it ran far longer than its siblings, and how long they needed"
    )
    limits: Mapped[Json] = mapped_column(
        default=dict, server_default="{}", comment="what it might have used: wall_s, cpu_s, memory_bytes, disk_bytes"
    )
    group: Mapped[JobGroup] = relationship(back_populates="jobs")

    __table_args__ = (
        UniqueConstraint("group_id", "number"),
        Index(None, "group_id", "state"),
        Index(None, "ended_at"),
        Base.__table_args__,
    )


class WantedLog(Base):
    """A running job of which somebody wants to see what it prints; the agent brings it and removes the row."""

    __tablename__ = "wanted_log"

    job_id: Mapped[Ref] = mapped_column(ForeignKey("job.id"), primary_key=True, autoincrement=False)
    wanted_at: Mapped[Moment]


class LocalJob(Base):
    """The queue of the local backend: a batch system of its own, so no reference to the tables above."""

    __tablename__ = "local_job"

    id: Mapped[Id]
    token: Mapped[Token]
    epoch: Mapped[int]
    number: Mapped[int]
    folder: Mapped[Place]
    state: Mapped[JobState] = mapped_column(enum(JobState))
    queued_at: Mapped[Moment]
    changed_at: Mapped[Moment]

    __table_args__ = (
        UniqueConstraint("token", "epoch", "number"),
        Index(None, "state"),
        Index(None, "changed_at"),
        Base.__table_args__,
    )


class Incident(Base):
    """Trouble at a centre that b2cal looks after by itself: many jobs fail alike, or a host fails jobs.

    A probe, which is a copy of one of the jobs, goes ahead; what it brings back is thrown away.
    """

    __tablename__ = "incident"

    id: Mapped[Id]
    centre: Mapped[Name]
    kind: Mapped[IncidentKind] = mapped_column(enum(IncidentKind))
    about: Mapped[Label] = mapped_column(comment="kind of failure, or name of the host")
    live: Mapped[bool | None] = mapped_column(comment="true or null: marker of one that is not over")
    reason: Mapped[Prose]
    opened_at: Mapped[Moment]
    closed_at: Mapped[Moment | None]
    probe: Mapped[Json] = mapped_column(comment="the job that is sent: what its folder is made from")
    probe_token: Mapped[Token | None] = mapped_column(unique=True, comment="of the probe that is under way")
    probe_due: Mapped[Moment] = mapped_column(comment="when the next one is sent")
    probes: Mapped[int] = mapped_column(default=0, comment="how many have been sent")

    __table_args__ = (
        UniqueConstraint("centre", "kind", "about", "live"),
        CheckConstraint("live is null or live = 1", name="live_marker"),
        Base.__table_args__,
    )


class Lease(Base):
    """Who is the one agent, until when; the epoch fences off an older holder."""

    __tablename__ = "lease"

    name: Mapped[Name] = mapped_column(primary_key=True)
    holder: Mapped[Label]
    epoch: Mapped[int]
    expires_at: Mapped[Moment]
