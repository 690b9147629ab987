"""What the loop works with in one process: settings, database and clock."""

from dataclasses import dataclass

from b2cal.conditions import PayloadStore
from b2cal.core.clock import SystemClock
from b2cal.model import Database
from b2cal.settings import Settings


@dataclass(frozen=True)
class Workplace:
    """Made once per process, after forks."""

    settings: Settings
    database: Database

    @property
    def store(self) -> PayloadStore:
        """Where the payload files lie."""
        return PayloadStore(self.settings.store)


def open_workplace(settings: Settings | None = None) -> Workplace:
    """The workplace that the settings of this process describe."""
    settings = settings or Settings()
    return Workplace(settings, Database(settings.url, SystemClock()))
