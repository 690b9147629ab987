"""Side effects that belong to decisions, carried out after the commit: at least once, in order per kind."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from b2cal.batch import crashpoint
from b2cal.model import Outbox, now

from .desk import Desk

Handler = Callable[[Mapping[str, Any]], None]
"""Carries out one kind of side effect. It may be called again with the same body after a crash."""

AT_A_TIME = 100
LONGEST_PAUSE_S = 60.0
INTERVAL = timedelta(seconds=1)
"""How often the outbox is looked into."""

log = structlog.get_logger(__name__)


class OutboxRelay:
    """Relays the kinds that it has a handler for; rows of other kinds stay until somebody has one."""

    def __init__(self, desk: Desk, handlers: Mapping[str, Handler]) -> None:
        self._desk = desk
        self._handlers = handlers
        self._resume_at: dict[str, datetime] = {}
        self._look_at: datetime | None = None

    def relay(self) -> None:
        """Carry out what is due. After a failure its kind rests, longer each time; other kinds go on."""
        at = self._desk.now()
        if self._look_at is not None and at < self._look_at:
            return
        self._look_at = at + INTERVAL
        kinds = [kind for kind in self._handlers if at >= self._resume_at.get(kind, at)]
        if not kinds:
            return
        unsent = select(Outbox.id, Outbox.kind, Outbox.body, Outbox.tries).where(
            Outbox.sent_at.is_(None), Outbox.kind.in_(kinds)
        )
        with self._desk.database.read() as db:
            rows = db.execute(unsent.order_by(Outbox.id).limit(AT_A_TIME)).all()
        resting: set[str] = set()
        for row_id, kind, body, tries in rows:
            if kind not in resting and not self._carry_out(row_id, kind, body, tries):
                resting.add(kind)

    def _carry_out(self, row_id: int, kind: str, body: Mapping[str, Any], tries: int) -> bool:
        try:
            self._handlers[kind](body)
        except Exception as error:  # noqa: BLE001 (whatever goes wrong with one must not stop the others)
            pause_s = min(0.5 * 2**tries, LONGEST_PAUSE_S)
            log.warning("a side effect failed, it is tried again", kind=kind, error=repr(error), pause_s=pause_s)
            self._desk.write(lambda db: _count_try(db, row_id))
            self._resume_at[kind] = self._desk.now() + timedelta(seconds=pause_s)
            return False
        crashpoint("sent-to-row")
        self._desk.write(lambda db: _mark_sent(db, row_id))
        return True


def _count_try(db: Session, row_id: int) -> None:
    db.execute(update(Outbox).where(Outbox.id == row_id).values(tries=Outbox.tries + 1))


def _mark_sent(db: Session, row_id: int) -> None:
    db.execute(update(Outbox).where(Outbox.id == row_id).values(tries=Outbox.tries + 1, sent_at=now(db)))
