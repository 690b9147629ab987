"""Who is signed in, and who tries too often: a small database of the site's own, shared by all its workers.

It holds nothing that the calibration loop needs; if it is deleted, everybody signs in again.
"""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from b2cal.core.checksums import sha256_bytes
from b2cal.core.clock import Clock

IDLE = timedelta(hours=8)
LONGEST = timedelta(hours=24)
MEMORY = timedelta(minutes=15)
TRIES = {"account from address": 10, "address": 30, "account": 100}
"""Failed log-ins within MEMORY after which one has to wait. Nobody can keep somebody else out from one address."""

_TOUCHED_EACH = timedelta(minutes=1)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS visits (token TEXT PRIMARY KEY, username TEXT, password TEXT, began REAL, seen REAL);
CREATE TABLE IF NOT EXISTS failure (kind TEXT, who TEXT, at REAL);
CREATE INDEX IF NOT EXISTS failure_who ON failure (kind, who, at);
"""


@dataclass(frozen=True)
class Visit:
    """Who came, and with which password."""

    username: str
    password: str

    def belongs_to(self, password_hash: str) -> bool:
        """Whether that is still the password: with a new one, or none, all visits are over."""
        return bool(password_hash) and self.password == _hash(password_hash)


@dataclass(frozen=True)
class Entrance:
    """The door of the site. Tokens and passwords are kept as hashes: who reads the file cannot use them."""

    path: Path
    clock: Clock

    def open(self, username: str, password_hash: str) -> str:
        """Begin a visit; the token that is returned stands for it from now on."""
        token = secrets.token_urlsafe(32)
        at = self._now()
        with self._database() as db:
            db.execute("DELETE FROM visits WHERE began < ? OR seen < ?", (at - _s(LONGEST), at - _s(IDLE)))
            row = (_hash(token), username, _hash(password_hash), at, at)
            db.execute("INSERT INTO visits VALUES (?, ?, ?, ?, ?)", row)
        return token

    def visit(self, token: str) -> Visit | None:
        """The visit of this token, unless it is over: 8 h without a click, 24 h in all, or signed out."""
        at = self._now()
        query = "SELECT username, password FROM visits WHERE token = ? AND began >= ? AND seen >= ?"
        with self._database() as db:
            row = db.execute(query, (_hash(token), at - _s(LONGEST), at - _s(IDLE))).fetchone()
        return None if row is None else Visit(*row)

    def clicked(self, token: str) -> None:
        """Whoever came with this token did something: the visit is not idle."""
        at = self._now()
        touch = "UPDATE visits SET seen = ? WHERE token = ? AND seen < ?"
        with self._database() as db:
            db.execute(touch, (at, _hash(token), at - _s(_TOUCHED_EACH)))

    def close(self, token: str) -> None:
        """End a visit, whoever still holds its cookie."""
        with self._database() as db:
            db.execute("DELETE FROM visits WHERE token = ?", (_hash(token),))

    def failed(self, account: str, address: str) -> None:
        """Remember that somebody could not sign in."""
        at = self._now()
        with self._database() as db:
            db.execute("DELETE FROM failure WHERE at < ?", (at - _s(MEMORY),))
            rows = [(kind, who, at) for kind, who in _kinds(account, address)]
            db.executemany("INSERT INTO failure VALUES (?, ?, ?)", rows)

    def succeeded(self, account: str, address: str) -> None:
        """Forget that somebody could not sign in before to this account from there."""
        with self._database() as db:
            db.execute("DELETE FROM failure WHERE kind = ? AND who = ?", _kinds(account, address)[0])

    def shut_until(self, account: str, address: str) -> datetime | None:
        """Until when nobody may try this account, or from this address; None: now."""
        at = self._now()
        latest = 0.0
        with self._database() as db:
            for kind, who in _kinds(account, address):
                query = "SELECT at FROM failure WHERE kind = ? AND who = ? ORDER BY at DESC LIMIT 1 OFFSET ?"
                row = db.execute(query, (kind, who, TRIES[kind] - 1)).fetchone()
                latest = max(latest, row[0] + _s(MEMORY) if row else 0.0)
        return self.clock.now() + timedelta(seconds=latest - at) if latest > at else None

    def _now(self) -> float:
        return self.clock.now().timestamp()

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
        with closing(sqlite3.connect(self.path, timeout=10, isolation_level="IMMEDIATE")) as db, db:
            db.executescript(_SCHEMA)
            yield db


def _kinds(account: str, address: str) -> tuple[tuple[str, str], ...]:
    name = account[:64]
    return ("account from address", f"{name} {address}"), ("address", address), ("account", name)


def _hash(token: str) -> str:
    return sha256_bytes(token.encode())


def _s(span: timedelta) -> float:
    return span.total_seconds()
