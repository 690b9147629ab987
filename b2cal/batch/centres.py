"""Which batch systems there are, by the name of their centre."""

from pathlib import Path

from b2cal.core.errors import B2calError
from b2cal.model import Database
from b2cal.settings import CondorSettings, LsfSettings, Settings

from .contract import Backend
from .local import LocalBackend
from .lsf import LsfBackend

LOCAL = "local"


class UnknownCentre(B2calError):
    """No settings describe a centre of this name."""


def backends(settings: Settings, database: Database) -> dict[str, Backend]:
    """The batch system of each centre that the settings describe. This machine is always one of them."""
    others = {name: backend_of(centre, settings.folder(f"centres/{name}")) for name, centre in settings.centres.items()}
    return {**others, LOCAL: LocalBackend(database, settings.batch.slots)}


def backend_of(centre: CondorSettings | LsfSettings, folder: Path) -> Backend:
    """The batch system that settings describe; the folder is its own."""
    if isinstance(centre, LsfSettings):
        return LsfBackend(centre, folder)
    # Its bindings load a large library, which most processes never need.
    if centre.remote:
        from .condor_remote import RemoteCondorBackend

        return RemoteCondorBackend(centre, folder)
    from .condor import CondorBackend

    return CondorBackend(centre, folder)


def known_centre(settings: Settings, name: str) -> str:
    """The name of a centre, if the settings describe it.

    Raises:
        UnknownCentre: they do not.
    """
    known = [LOCAL, *settings.centres]
    if name not in known:
        raise UnknownCentre(
            f"There is no centre {name!r}; known: {', '.join(known)}.",
            hint=f"Describe it in b2cal.toml under [centres.{name}], or choose another.",
        )
    return name
