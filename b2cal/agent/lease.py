"""The right to be the one agent, for 15 s at a time, and the fence against an agent that slept too long.

Where calls of a batch system take longer the lease lasts longer, ten minutes at most.

The lease's epoch goes up with every new holder. Whatever the agent writes, it first looks, in the same transaction,
whether the epoch is still its own: an agent that was stopped and wakes up after another took its place writes nothing.
"""

import socket
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from b2cal.core.processes import ProcessIdentity
from b2cal.loop import AGENT
from b2cal.model import Database, Lease, now

DURATION = timedelta(seconds=15)
LONGEST = timedelta(minutes=10)
"""A call that takes longer hangs: another agent may take over."""

Part = TypeVar("Part")


class LeaseLost(Exception):
    """Another agent has taken over; nothing was written."""


class AgentLease:
    """This process's claim on the lease."""

    def __init__(self, database: Database, holder: str) -> None:
        self._database = database
        self._holder = holder
        self._epoch: int | None = None
        self._renew_at: datetime | None = None
        self._lasts = DURATION

    @property
    def epoch(self) -> int | None:
        """The fencing epoch while this process holds the lease."""
        return self._epoch

    def keep(self) -> bool:
        """Renew the lease if it is due, or take it if it is free; tells whether this process holds it.

        Raises:
            LeaseLost: this process held it, and another has taken it.
        """
        at = self._database.clock.now()
        if self._renew_at is not None and at < self._renew_at:
            return True
        if self._epoch is not None:
            self._database.write(self._renew)
        elif not self._take():
            return False
        self._renew_at = at + self._lasts / 3
        return True

    def kept_over(self, parts: Iterable[Part]) -> Iterator[Part]:
        """Renew the lease between the parts of a long work; from now on it lasts three times as long as the longest.

        So who loses it in a part, and takes it again, does not lose it in the next.
        """
        begun = self._database.clock.now()
        try:
            for part in parts:
                self._allow_for(begun)
                self.keep()
                yield part
                begun = self._database.clock.now()
        finally:
            self._allow_for(begun)

    def outlast(self, db: Session, call: timedelta) -> None:
        """Give this process, inside a fenced transaction, so much longer for one call; the next `keep` ends that.

        No thread could renew the lease meanwhile: HTCondor's bindings let none run until files are sent or fetched.
        """
        db.execute(update(Lease).where(Lease.name == AGENT).values(expires_at=now(db) + min(DURATION + call, LONGEST)))
        self._renew_at = None

    def give_back(self) -> None:
        """Let the next agent begin at once."""
        if self._epoch is not None:
            mine = update(Lease).where(Lease.name == AGENT, Lease.epoch == self._epoch)
            self._database.write(lambda db: db.execute(mine.values(expires_at=now(db))))
        self.forget()

    def forget(self) -> None:
        """No longer rely on the lease; the next `keep` tries to take it."""
        self._epoch = self._renew_at = None

    def fence(self, db: Session) -> None:
        """Make sure, inside a writing transaction, that this process still is the agent.

        Raises:
            LeaseLost: it is not.
        """
        if (
            self._epoch is None
            or db.scalar(select(Lease.epoch).where(Lease.name == AGENT).with_for_update()) != self._epoch
        ):
            raise LeaseLost

    def _renew(self, db: Session) -> None:
        self.fence(db)
        db.execute(update(Lease).where(Lease.name == AGENT).values(expires_at=now(db) + self._lasts))

    def _allow_for(self, begun: datetime) -> None:
        took = self._database.clock.now() - begun
        self._lasts = max(self._lasts, min(3 * took, LONGEST))

    def _take(self) -> bool:
        with self._database.read() as db:
            row = db.execute(
                select(Lease.epoch, Lease.holder, Lease.expires_at).where(Lease.name == AGENT)
            ).one_or_none()
            free = row is None or row.expires_at <= now(db) or _is_gone(row.holder)
        if not free:
            return False
        seen = row.epoch if row else None

        def unit(db: Session) -> int | None:
            lease = db.get(Lease, AGENT, with_for_update=True)
            if (lease.epoch if lease else None) != seen:
                return None
            lease = lease or Lease(name=AGENT, epoch=0)
            lease.holder, lease.epoch, lease.expires_at = self._holder, lease.epoch + 1, now(db) + self._lasts
            db.add(lease)
            return lease.epoch

        self._epoch = self._database.write(unit)
        return self._epoch is not None


def this_process() -> str:
    """What this process is called as a holder, so that others on this machine can see whether it still runs."""
    me = ProcessIdentity.current()
    return f"{socket.gethostname()} {me.pid} {me.start_time} {me.boot_id}"


def _is_gone(holder: str) -> bool:
    """Whether the holder was a process of this machine and does not run any more: nobody needs to wait for it."""
    host, *process = holder.split()
    if host != socket.gethostname() or len(process) != 3:
        return False
    pid, start_time, boot_id = process
    return not ProcessIdentity(int(pid), int(start_time), boot_id).is_alive()
