"""Tables of what comes in: people, releases, runs and files."""

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .base import Base
from .enums import CopyState, DataFormat, Kind, Role, Step
from .types import Digest, Id, Json, Label, Moment, Name, Place, Prose, Ref, RunNumber, enum


class Person(Base):
    """Somebody who may log in. A manager may also act for every expert."""

    __tablename__ = "person"

    username: Mapped[Name] = mapped_column(primary_key=True)
    full_name: Mapped[Label]
    role: Mapped[Role] = mapped_column(enum(Role))
    password_hash: Mapped[Prose]

    __table_args__ = (CheckConstraint("role in ('expert', 'manager')", name="can_log_in"), Base.__table_args__)


class Release(Base):
    """A set of calibration scripts at one version: a content-addressed copy of a folder."""

    __tablename__ = "release"

    id: Mapped[Id]
    name: Mapped[Name]
    digest: Mapped[Digest] = mapped_column(unique=True)
    interpreter: Mapped[Place]
    environment: Mapped[Json] = mapped_column(
        default=dict, server_default="{}", comment="what its jobs find in their environment, by name"
    )
    vocabulary: Mapped[Json]
    added_at: Mapped[Moment]
    definitions: Mapped[list["Definition"]] = relationship(back_populates="release", order_by="Definition.id")


class Definition(Base):
    """One calibration as its script declares it."""

    __tablename__ = "definition"

    id: Mapped[Id]
    release_id: Mapped[Ref] = mapped_column(ForeignKey("release.id"))
    name: Mapped[Name]
    module: Mapped[Label]
    step: Mapped[Step] = mapped_column(enum(Step))
    kind: Mapped[Kind] = mapped_column(enum(Kind))
    expert: Mapped[Name]
    settings: Mapped[Json] = mapped_column(comment="Belle II's CalibrationSettings; depends_on as names")
    config_schema: Mapped[Json] = mapped_column(comment="JSON Schema of expert_config")
    traits: Mapped[Json] = mapped_column(
        comment="strategy, limits, branches, carried_over, ...: what the class declares"
    )
    release: Mapped[Release] = relationship(back_populates="definitions")
    payloads: Mapped[list["DefinitionPayload"]] = relationship(order_by="DefinitionPayload.payload_name")

    __table_args__ = (UniqueConstraint("release_id", "name"), Base.__table_args__)


class DefinitionPayload(Base):
    """Which definition owns a payload: in one release there is only one."""

    __tablename__ = "definition_payload"

    release_id: Mapped[Ref] = mapped_column(ForeignKey("release.id"), primary_key=True)
    payload_name: Mapped[Label] = mapped_column(primary_key=True)
    definition_id: Mapped[Ref] = mapped_column(ForeignKey("definition.id"))


class Run(Base):
    """One run as the run registry tells it."""

    __tablename__ = "run"

    exprun: Mapped[RunNumber] = mapped_column(primary_key=True, autoincrement=False)
    started_at: Mapped[Moment]
    duration_s: Mapped[float]
    n_events: Mapped[int] = mapped_column(BigInteger)
    attributes: Mapped[Json] = mapped_column(comment="filter category -> values")
    expected: Mapped[Json] = mapped_column(comment="data name -> events that should arrive")


class DataFile(Base):
    """One file of one run and one stream, as the catalogue knows it; `data_name` is the stream."""

    __tablename__ = "data_file"

    id: Mapped[Id]
    path: Mapped[Place] = mapped_column(unique=True)
    data_name: Mapped[Name]
    format: Mapped[DataFormat] = mapped_column(enum(DataFormat))
    exprun: Mapped[RunNumber] = mapped_column(ForeignKey("run.exprun"))
    n_events: Mapped[int] = mapped_column(BigInteger)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger, comment="a file of the same size and age is not read again")
    sha256: Mapped[Digest]
    registered_at: Mapped[Moment]
    expires_at: Mapped[Moment | None] = mapped_column(comment="its storage may delete it from then on; null = never")
    attempt_id: Mapped[int | None] = mapped_column(
        ForeignKey("attempt.id"), comment="the cDST production that made it; null = from the detector"
    )

    __table_args__ = (Index(None, "data_name", "format", "exprun"), Base.__table_args__)


class FileCopy(Base):
    """A copy of a produced file in a second place, as a rule on tape."""

    __tablename__ = "file_copy"

    id: Mapped[Id]
    data_file_id: Mapped[Ref] = mapped_column(ForeignKey("data_file.id"), unique=True)
    target: Mapped[Place] = mapped_column(comment="where it lies when it is done")
    state: Mapped[CopyState] = mapped_column(enum(CopyState))
    tries: Mapped[int] = mapped_column(default=0)
    error: Mapped[Prose] = mapped_column(comment="of the last try")
    not_before: Mapped[Moment] = mapped_column(comment="when it is tried again")
    wanted_at: Mapped[Moment]
    done_at: Mapped[Moment | None]
    file: Mapped[DataFile] = relationship()

    __table_args__ = (Index(None, "state", "not_before"), Base.__table_args__)


class Watch(Base):
    """A folder that is scanned again and again; kept when that has ended."""

    __tablename__ = "watch"

    id: Mapped[Id]
    place: Mapped[Place] = mapped_column(comment="a folder, or its address behind a door")
    stream: Mapped[Name] = mapped_column(comment="only its files; empty = those of all streams")
    keep_days: Mapped[int | None] = mapped_column(comment="new files may go so long after their arrival; null = never")
    live: Mapped[bool | None] = mapped_column(comment="true or null: marker of a watch that goes on")
    begun_by: Mapped[Name]
    begun_at: Mapped[Moment]
    ended_by: Mapped[Name | None]
    ended_at: Mapped[Moment | None]
    scanned_at: Mapped[Moment | None] = mapped_column(comment="the last time that this succeeded")
    failing_since: Mapped[Moment | None]
    error: Mapped[Prose]

    __table_args__ = (
        UniqueConstraint("place", "stream", "live"),
        CheckConstraint("live is null or live = 1", name="live_marker"),
        Base.__table_args__,
    )


class UnreadableFile(Base):
    """A file that the catalogue met and could not register, with the reason."""

    __tablename__ = "unreadable_file"

    path: Mapped[Place] = mapped_column(primary_key=True)
    reason: Mapped[Prose]
    seen_at: Mapped[Moment]
