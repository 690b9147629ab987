"""Lists of texts as people type them into one line, separated by commas."""

import csv
from collections.abc import Iterable

from b2cal import loop

EMPTY = "(empty)"
"""How an empty text is typed: Belle II's vocabulary has one among its beam energies."""

_SPECIAL = frozenset(',"\n\r')


def typed(values: Iterable[str]) -> str:
    """The line for these texts: `listed` gives them back."""
    return ", ".join(_one(value) for value in values)


def listed(text: str) -> list[str]:
    """The texts of a line. Those that hold commas stand in quotes; spaces around them do not count.

    Raises:
        InvalidChoice: a text is longer than any that can be meant.
    """
    try:
        rows = list(csv.reader(text.splitlines(), skipinitialspace=True))
    except csv.Error as error:
        raise loop.InvalidChoice(f"This is no list: {error}.", hint="Separate its values with commas.") from None
    found = [piece.strip() for row in rows for piece in row]
    return ["" if piece == EMPTY else piece for piece in found if piece]


def _one(value: str) -> str:
    if not value:
        return EMPTY
    return '"' + value.replace('"', '""') + '"' if _SPECIAL & set(value) else value
