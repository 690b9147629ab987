"""The declarative base with the names of its constraints."""

from typing import Any

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

from .types import MARIADB


class Base(DeclarativeBase):
    """All tables of the calibration database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    __table_args__: Any = {
        f"{dialect}_{option}": value
        for dialect in MARIADB
        for option, value in (("charset", "utf8mb4"), ("engine", "InnoDB"))
    }
