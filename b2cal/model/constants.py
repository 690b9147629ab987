"""Tables of constants: payloads, their IoVs and the global tags."""

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .base import Base
from .enums import TagState
from .types import Digest, Id, Label, Moment, Name, Ref, RunNumber, enum


class Payload(Base):
    """A set of constants, known by the identity of its contents; its file lies in the payload store."""

    __tablename__ = "payload"

    id: Mapped[Id]
    name: Mapped[Label]
    identity: Mapped[Digest]
    checksum: Mapped[Digest] = mapped_column(comment="SHA-256 of the file")
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[Moment]

    __table_args__ = (UniqueConstraint("name", "identity"), Base.__table_args__)


class GlobalTag(Base):
    """A named set of IoVs. Its version row is locked while IoVs are changed."""

    __tablename__ = "global_tag"

    id: Mapped[Id]
    name: Mapped[Name] = mapped_column(unique=True)
    state: Mapped[TagState] = mapped_column(enum(TagState))
    version: Mapped[int]
    created_at: Mapped[Moment]


class TagIov(Base):
    """In this global tag this payload is valid from `first` to `last`, both inclusive."""

    __tablename__ = "tag_iov"

    id: Mapped[Id]
    tag_id: Mapped[Ref] = mapped_column(ForeignKey("global_tag.id"))
    name: Mapped[Label]
    payload_id: Mapped[Ref] = mapped_column(ForeignKey("payload.id"))
    first: Mapped[RunNumber]
    last: Mapped[RunNumber]
    payload: Mapped[Payload] = relationship()

    __table_args__ = (
        UniqueConstraint("tag_id", "name", "first"),
        CheckConstraint("first <= last", name="ordered"),
        Base.__table_args__,
    )
