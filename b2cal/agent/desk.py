"""What every step of the agent works with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy.orm import Session

from b2cal.batch import Backend
from b2cal.model import Database
from b2cal.settings import Settings

from .lease import AgentLease

Result = TypeVar("Result")


@dataclass(frozen=True)
class Desk:
    """Settings, database, the batch system of each centre, and the lease that fences every write."""

    settings: Settings
    database: Database
    backends: Mapping[str, Backend]
    lease: AgentLease

    def now(self) -> datetime:
        """The time by the injected clock."""
        return self.database.clock.now()

    def write(self, unit: Callable[[Session], Result]) -> Result:
        """Carry out `unit` in one transaction, if this process still is the agent.

        Raises:
            LeaseLost: it is not; nothing was written.
        """

        def fenced(db: Session) -> Result:
            self.lease.fence(db)
            return unit(db)

        return self.database.write(fenced)
