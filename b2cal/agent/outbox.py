"""Side effects that belong to decisions, carried out after the commit: at least once.

Those of one kind about one thing keep their order; one that fails delays only what comes after it there.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row, func, or_, select, update
from sqlalchemy.orm import Session

from b2cal.batch import crashpoint
from b2cal.model import Outbox, now

from .desk import Desk

Handler = Callable[[Mapping[str, Any]], None]
"""Carries out one kind of side effect. It may be called again with the same body after a crash."""

AT_A_TIME = 100
LONGEST_PAUSE_S = 60.0
MOST_TRIES = 5_000
"""Three and a half days with the longest pause: whatever is broken longer than a weekend does not heal by itself."""

INTERVAL = timedelta(seconds=1)
"""How often the outbox is looked into."""

Due = Row[int, str, dict[str, Any], int]

log = structlog.get_logger(__name__)


class OutboxRelay:
    """Relays the kinds that it has a handler for; rows of other kinds stay until somebody has one."""

    def __init__(self, desk: Desk, handlers: Mapping[str, Handler]) -> None:
        self._desk = desk
        self._handlers = handlers
        self._look_at: datetime | None = None

    def relay(self) -> None:
        """Carry out what is due. What fails is tried again, less and less often, and given up in the end."""
        at = self._desk.now()
        if self._look_at is not None and at < self._look_at:
            return
        self._look_at = at + INTERVAL
        left = AT_A_TIME
        while left > 0 and (rows := self._due(left)):
            for row in rows:
                self._carry_out(*row)
            left -= len(rows)

    def _due(self, most: int) -> list[Due]:
        """Of each kind about each thing the oldest that is open, if it is not to wait."""
        is_open = (Outbox.sent_at.is_(None), Outbox.given_up_at.is_(None), Outbox.kind.in_(list(self._handlers)))
        oldest = select(func.min(Outbox.id)).where(*is_open).group_by(Outbox.kind, Outbox.about)
        with self._desk.database.read() as db:
            due = or_(Outbox.not_before.is_(None), Outbox.not_before <= now(db))
            query = select(Outbox.id, Outbox.kind, Outbox.body, Outbox.tries).where(Outbox.id.in_(oldest), due)
            return list(db.execute(query.order_by(Outbox.id).limit(most)))

    def _carry_out(self, row_id: int, kind: str, body: Mapping[str, Any], tries: int) -> None:
        try:
            self._handlers[kind](body)
        except Exception as error:  # noqa: BLE001 (whatever goes wrong with one must not stop the others)
            failure = f"{type(error).__name__}: {error}"
            log.warning("a side effect failed", kind=kind, error=failure, tries=tries + 1)
            self._desk.write(lambda db: _put_off(db, row_id, tries + 1, failure))
        else:
            crashpoint("sent-to-row")
            self._desk.write(lambda db: _mark_sent(db, row_id))


def _put_off(db: Session, row_id: int, tries: int, failure: str) -> None:
    pause = timedelta(seconds=min(0.5 * 2 ** min(tries - 1, 10), LONGEST_PAUSE_S))
    given_up_at = now(db) if tries >= MOST_TRIES else None
    rest = {"tries": tries, "error": failure, "not_before": now(db) + pause, "given_up_at": given_up_at}
    db.execute(update(Outbox).where(Outbox.id == row_id).values(rest))


def _mark_sent(db: Session, row_id: int) -> None:
    db.execute(update(Outbox).where(Outbox.id == row_id).values(tries=Outbox.tries + 1, sent_at=now(db)))
