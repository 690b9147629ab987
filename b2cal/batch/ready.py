"""Whether a batch system takes jobs, asked in a process of its own.

The site serves threads, and the bindings of HTCondor know of none: whatever becomes of the process, nobody is hurt.
"""

import os
from pathlib import Path

from b2cal.core.apart import Allowance, work_apart
from b2cal.settings import Settings

from .centres import LOCAL, known_centre
from .contract import BatchError

_ASKER = Path(__file__).with_name("asker.py")
_PATIENCE = Allowance(seconds=120)


def objection(settings: Settings, centre: str) -> BatchError | None:
    """What the batch system of a centre has against taking jobs; None if it takes them.

    Raises:
        UnknownCentre: no settings describe it.
        CannotWorkApart: nobody can ask.
    """
    if known_centre(settings, centre) == LOCAL:
        return None
    described = settings.centres[centre].model_dump(mode="json")
    item = {"centre": described, "folder": str(settings.folder(f"centres/{centre}"))}
    (answer,) = work_apart(_ASKER, [item], _PATIENCE, environment=os.environ)
    if answer.failure:
        return BatchError(
            f"The batch system of {centre} could not be asked: {answer.failure}.",
            hint="Look at what `b2cal centre status` says.",
        )
    return BatchError(*answer.value) if answer.value else None
