"""Two kinds of session: `read()` sees a snapshot, `write(unit)` carries a unit of work and repeats it on conflict.

On SQLite and on MariaDB alike units are carried out one after the other.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from b2cal.core.clock import Clock
from b2cal.core.errors import B2calError

from .lengths import refuse_too_long
from .types import MARIADB

Result = TypeVar("Result")

_LOCK_WAIT, _DEADLOCK = 1205, 1213
_PATIENCE_S = 30.0
_KINDS = (
    "Leave `database_url` out, which means SQLite below the home folder, or give one of the form"
    " mariadb+pymysql://user:password@host/name."
)


class UnusableUrl(B2calError):
    """`database_url` is no URL, names a driver that is not installed, or no database of a kind that b2cal can use."""


class Database:
    """The calibration database of one process. Make it after forks; it never shares connections with a parent."""

    def __init__(self, url: str, clock: Clock) -> None:
        """Connects to nothing yet.

        Raises:
            UnusableUrl: no connection to this URL is possible.
        """
        self.clock = clock
        self.engine = _engine(url)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one snapshot and writes nothing."""
        with self._session() as db:
            yield db

    def write(self, unit: Callable[[Session], Result]) -> Result:
        """Carry out `unit` in one transaction; on busy, deadlock or lock wait repeat the whole of it.

        The unit does no I/O of its own and may be called several times. What it returns must not be used to
        lazily load more: the session is closed.

        Raises:
            OperationalError: the database stayed busy for 30 s, or is not there.
        """
        give_up_at = time.monotonic() + _PATIENCE_S
        pause_s = 0.01
        while True:
            try:
                with self._session() as db:
                    db.connection(execution_options={"b2cal_write": True})
                    result = unit(db)
                    db.commit()
                    return result
            except OperationalError as error:
                if not is_conflict(error) or time.monotonic() > give_up_at:
                    raise
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.5)

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _session(self) -> Session:
        return Session(self.engine, expire_on_commit=False, info={"clock": self.clock})


def now(db: Session) -> datetime:
    """The time by the injected clock of this session's database."""
    clock: Clock = db.info["clock"]
    return clock.now()


def is_conflict(error: OperationalError) -> bool:
    """Whether somebody else was in the way, so that the same may succeed later."""
    text = str(error.orig).lower()
    number = error.orig.args[0] if error.orig is not None and error.orig.args else None
    return "database is locked" in text or "database is busy" in text or number in (_LOCK_WAIT, _DEADLOCK)


def check_url(url: str) -> None:
    """See that `url` is one of a database that b2cal can use, without connecting to it.

    Raises:
        UnusableUrl: it is not; the message holds no password.
    """
    _engine(url).dispose()


def _engine(url: str) -> Engine:
    try:
        engine = _engine_of_its_kind(make_url(url))
    except ModuleNotFoundError as error:
        raise UnusableUrl(f"`database_url` needs the driver {error.name}, which is not installed.", _KINDS) from error
    except NoSuchModuleError as error:
        raise UnusableUrl("`database_url` names a driver that SQLAlchemy does not know.", _KINDS) from error
    except (ArgumentError, ValueError) as error:  # their texts may hold parts of the password
        raise UnusableUrl("`database_url` is not the URL of a database.", _KINDS) from error
    return engine


def _engine_of_its_kind(url: URL) -> Engine:
    kind = url.get_backend_name()
    if kind == "sqlite":
        engine = create_engine(url, connect_args={"timeout": _PATIENCE_S})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    elif kind in MARIADB:
        engine = create_engine(url, pool_pre_ping=True, isolation_level="REPEATABLE READ")
        event.listen(engine, "connect", _prepare_mariadb)
        event.listen(engine, "begin", _begin_mariadb)
    else:
        raise UnusableUrl(f"b2cal keeps its data in SQLite or MariaDB, not in {kind}.", _KINDS)
    event.listen(engine, "before_cursor_execute", refuse_too_long)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    # The driver must not begin transactions by itself: the kind of BEGIN is chosen in _begin_sqlite.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepare_mariadb(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute(f"SET time_zone = '+00:00', innodb_lock_wait_timeout = {_PATIENCE_S:.0f}")
    cursor.close()


def _begin_mariadb(connection: Connection) -> None:
    # As on SQLite there is one writer at a time, so what a unit has looked at stays so until it commits. Whose turn it
    # is to write says the lock on the only row that every database of b2cal has. Nobody who reads waits for it.
    if connection.get_execution_options().get("b2cal_write", False):
        connection.exec_driver_sql("SELECT version_num FROM alembic_version FOR UPDATE")


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that reads first and writes later fails at once when somebody else wrote in between.
    writing = connection.get_execution_options().get("b2cal_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
