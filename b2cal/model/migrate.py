"""Bring the calibration database to the newest schema.

One process at a time. On SQLite all revisions are one transaction: who is killed leaves nothing behind. MariaDB takes
back no change of a table: there an upgrade that stopped in the middle is told as such, and needs the dump from before.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from sqlalchemy import Connection, NullPool, create_engine, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from b2cal import shipped
from b2cal.core.errors import B2calError

from .database import Database, check_url, is_conflict

# Alembic is imported where it is needed: at the top it would cost every process of b2cal 0.1 s at its start.
if TYPE_CHECKING:
    from alembic.config import Config

_PATIENCE_S = 600
_BUSY = (
    f"Another b2cal has used the calibration database for more than {_PATIENCE_S // 60} minutes; it was not upgraded.",
    "Stop every b2cal that uses it, and begin again.",
)
_AS_BEFORE = (
    "It is as it was before: see that its disk has room. A damaged one has to come back from the backup; if nothing"
    " was ever done with it, remove its file and run `b2cal init`."
)
_HALF_DONE = (
    "MariaDB cannot take back what was done. Drop the database, create it empty, load the dump from before the upgrade"
    " if it was not new, and run `b2cal init`."
)


class NewerSchema(B2calError):
    """The database has a revision that this b2cal does not know."""


class NotUpgraded(B2calError):
    """The revisions could not be carried through, or another b2cal keeps the database busy."""


def alembic_config(url: str) -> "Config":
    """Alembic's configuration for one database, without an ini file."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(shipped("migrations")))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def schema(database: Database) -> tuple[str | None, str | None]:
    """The revision that a database has, and the newest one."""
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    with database.engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
    return present, ScriptDirectory.from_config(alembic_config(str(database.engine.url))).get_current_head()


def migrate(url: str, revision: str = "head") -> None:
    """Upgrade the schema of the database at `url`; nothing happens where it is there already.

    Raises:
        UnusableUrl: it names no database that b2cal can use.
        NewerSchema: a newer b2cal has upgraded it before.
        NotUpgraded: a revision could not be carried through, or another b2cal was busy with the database too long.
    """
    from alembic import command
    from alembic.util import CommandError

    check_url(url)
    try:
        command.upgrade(alembic_config(url), revision)
    except CommandError as error:  # it knows every revision but those to come
        raise NewerSchema(
            f"The calibration database cannot be used by this b2cal, which is older: {error}.",
            "Use the b2cal that upgraded it, or a newer one.",
        ) from error


@contextmanager
def alone(url: str) -> Iterator[Connection]:
    """A connection that may change the schema, while nobody else does; others wait for it.

    Raises:
        NotUpgraded: as in `migrate`.
    """
    kind = make_url(url).get_backend_name()
    with _on_sqlite(url) if kind == "sqlite" else _on_mariadb(url) as connection:
        try:
            yield connection
        except DBAPIError as error:
            said = error.orig.args[-1] if error.orig is not None and error.orig.args else error
            raise NotUpgraded(
                f"The upgrade of the calibration database stopped: {said}.",
                _AS_BEFORE if kind == "sqlite" else _HALF_DONE,
            ) from error


@contextmanager
def _on_sqlite(url: str) -> Iterator[Connection]:
    _make_private(make_url(url).database)
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": _PATIENCE_S})
    event.listen(engine, "connect", _leave_transactions_to_us)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with engine.connect() as connection:
        try:
            transaction = connection.begin()
        except OperationalError as error:
            if is_conflict(error):
                raise NotUpgraded(*_BUSY) from error
            raise
        with transaction:
            yield connection


def _make_private(file: str | None) -> None:
    """SQLite would let everybody read what it makes, and gives its other files the rights of this one."""
    if file and file != ":memory:":
        with suppress(OSError):  # what is the matter SQLite says itself
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, mode=0o600))


def _leave_transactions_to_us(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    # As in database.py, but without foreign keys: a table that is rebuilt is dropped while others refer to it.
    connection.isolation_level = None


@contextmanager
def _on_mariadb(url: str) -> Iterator[Connection]:
    with create_engine(url, poolclass=NullPool).connect() as connection:
        # The server's names of locks are for all its databases. It frees the lock when the connection ends.
        wait = text("SELECT GET_LOCK(CONCAT('b2cal schema ', MD5(DATABASE())), :patience)")
        if connection.scalar(wait, {"patience": _PATIENCE_S}) != 1:
            raise NotUpgraded(*_BUSY)
        connection.commit()
        yield connection
