"""How a fit ended: the word that a fit's job writes and that whoever plans the next step reads."""

from enum import StrEnum, auto


class FitOutcome(StrEnum):
    """What a fit can say."""

    OK = auto()
    ITERATE = auto()
    NOT_ENOUGH_DATA = auto()
