"""Column types that mean the same on SQLite and on MariaDB."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Enum, Integer, String, Text, TypeDecorator
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import mapped_column

MARIADB = ("mysql", "mariadb")
_COLLATION = "utf8mb4_bin"


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time: aware UTC outside, naive UTC with microseconds inside."""

    impl = DateTime().with_variant(mysql.DATETIME(fsp=6), *MARIADB)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without zone is not a point in time: {value}")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


def text(length: int) -> String:
    """A string compared byte by byte on every database."""
    return String(length).with_variant(mysql.VARCHAR(length, collation=_COLLATION), *MARIADB)


def enum(kind: type[StrEnum]) -> Enum:
    """A closed list of words, kept by a CHECK constraint."""
    return Enum(
        kind,
        native_enum=False,
        length=24,
        create_constraint=True,
        name=kind.__name__.lower(),
        values_callable=lambda members: [member.value for member in members],
    )


_LONG = Text().with_variant(mysql.LONGTEXT(collation=_COLLATION), *MARIADB)
_BIG = BigInteger().with_variant(Integer, "sqlite")

Id = Annotated[int, mapped_column(_BIG, primary_key=True, autoincrement=True)]
Ref = Annotated[int, mapped_column(_BIG)]
RunNumber = Annotated[int, mapped_column(BigInteger, comment="ExpRun.number; open end = 2^63-1")]
Name = Annotated[str, mapped_column(text(64))]
Label = Annotated[str, mapped_column(text(128))]
Digest = Annotated[str, mapped_column(text(64))]
Token = Annotated[str, mapped_column(text(32))]
Place = Annotated[str, mapped_column(text(700))]
Prose = Annotated[str, mapped_column(_LONG)]
Json = Annotated[dict[str, Any], mapped_column(JSON)]
JsonList = Annotated[list[Any], mapped_column(JSON)]
Moment = Annotated[datetime, mapped_column(UtcDateTime)]
