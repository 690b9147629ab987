"""Which batch systems there are, by the name of their centre."""

from b2cal.core.errors import B2calError
from b2cal.model import Database
from b2cal.settings import Settings

from .contract import Backend
from .local import LocalBackend

LOCAL = "local"


class UnknownCentre(B2calError):
    """No settings describe a centre of this name."""


def backends(settings: Settings, database: Database) -> dict[str, Backend]:
    """The batch system of each centre that the settings describe. This machine is always one of them."""
    return {LOCAL: LocalBackend(database, settings.batch.slots)}


def backend(settings: Settings, database: Database, centre: str) -> Backend:
    """The batch system of one centre.

    Raises:
        UnknownCentre: there is none of this name.
    """
    known = backends(settings, database)
    if centre not in known:
        raise UnknownCentre(f"There is no centre {centre!r}.", hint=f"Known centres: {', '.join(sorted(known))}.")
    return known[centre]
