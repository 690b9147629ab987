"""Which batch systems there are, by the name of their centre."""

from pathlib import Path

from b2cal.core.errors import B2calError
from b2cal.model import Database
from b2cal.settings import CondorSettings, LsfSettings, Settings

from .contract import Backend, BatchError
from .local import LocalBackend
from .lsf import LsfBackend

LOCAL = "local"


class UnknownCentre(B2calError):
    """No settings describe a centre of this name."""


def backends(settings: Settings, database: Database) -> dict[str, Backend]:
    """The batch system of each centre that the settings describe. This machine is always one of them.

    Raises:
        BatchError: one of them cannot be asked from here.
    """
    return {name: backend_of(settings, database, name) for name in (*settings.centres, LOCAL)}


def backend_of(settings: Settings, database: Database, name: str) -> Backend:
    """The batch system of one centre.

    Raises:
        UnknownCentre: the settings do not describe it.
        BatchError: it cannot be asked from here.
    """
    if known_centre(settings, name) == LOCAL:
        return LocalBackend(database, settings.batch.slots)
    return elsewhere(settings.centres[name], settings.folder(f"centres/{name}"))


def elsewhere(centre: CondorSettings | LsfSettings, folder: Path) -> Backend:
    """The batch system that the settings of a centre describe; the folder is its own.

    Raises:
        BatchError: it cannot be asked from here.
    """
    try:
        return _client(centre, folder)
    except ImportError as error:
        raise BatchError(
            f"The client of its batch system cannot be loaded: {error}.",
            hint="Install the locked packages into the environment that runs b2cal: `make setup`.",
        ) from error
    except OSError as error:
        raise BatchError(
            f"What b2cal keeps about it cannot be used: {error.strerror}, {error.filename}.",
            hint="Let the account of b2cal read and write there.",
        ) from error


def _client(centre: CondorSettings | LsfSettings, folder: Path) -> Backend:
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
