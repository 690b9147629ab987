"""Writing the events that a script's `produce` makes."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from b2cal.calibration.payload import Array
from b2cal.core.errors import B2calError
from b2cal.core.files import replacing

TREE = "events"


class InvalidEvents(B2calError):
    """`produce` returned something that is no table of events."""


def write_events(path: Path, batches: Iterable[dict[str, Array]]) -> int:
    """Write batches of columns as one tree of a ROOT file; returns the number of events.

    There must be at least one batch, if only an empty one: it says what the columns are.

    Raises:
        InvalidEvents: a batch is no table, or has other columns than the first.
    """
    import uproot

    tree: Any = None
    columns: dict[str, np.dtype[Any]] = {}
    with replacing(path) as temporary, uproot.recreate(temporary) as file:
        for batch in batches:
            found = _columns(batch)
            if tree is None:
                columns, tree = found, file.mktree(TREE, found)
            if found != columns:
                raise InvalidEvents(
                    f"produce returned the columns {_named(found)}, but {_named(columns)} before.",
                    hint="Return the same columns of the same types for every chunk.",
                )
            if len(next(iter(batch.values()))):
                tree.extend(batch)
        return int(tree.num_entries)


def _columns(batch: Any) -> dict[str, np.dtype[Any]]:
    if not isinstance(batch, dict) or not batch or not all(isinstance(column, np.ndarray) for column in batch.values()):
        raise InvalidEvents(f"produce returned {type(batch).__name__}.", hint="Return arrays by column name.")
    if len({column.shape[:1] for column in batch.values()}) != 1 or any(not column.ndim for column in batch.values()):
        shapes = ", ".join(f"{name} {column.shape}" for name, column in batch.items())
        raise InvalidEvents(f"produce returned columns of different length: {shapes}.", hint="Give one row per event.")
    return {name: np.dtype((column.dtype, column.shape[1:])) for name, column in batch.items()}


def _named(columns: dict[str, np.dtype[Any]]) -> str:
    return ", ".join(f"{name} {dtype}" for name, dtype in columns.items())
