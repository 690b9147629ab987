"""How near constants came to the truth of a simulation: what the comparison writes and the site shows."""

from dataclasses import dataclass

WORST_P = 0.001
"""A type of constants with a p that is not larger is not compatible with the truth."""


@dataclass(frozen=True)
class AgainstTruth:
    """One type of constants.

    Attributes:
        payload: its name.
        values: how many independent numbers were compared; 0 if there were no constants but nominal ones.
        before, after: distance of nominal and found constants to the truth, in `unit`.
        p: probability of such a distance, or a larger one, if all is right.
        resolution: of what, and its unit.
        resolution_before, resolution_after, resolution_true: with nominal, found and true constants.
    """

    payload: str
    values: int
    unit: str
    before: float
    after: float
    p: float
    resolution: str
    resolution_before: float
    resolution_after: float
    resolution_true: float

    @property
    def holds(self) -> bool:
        """Whether chance alone may give such a distance."""
        return self.p > WORST_P

    @property
    def gained(self) -> float | None:
        """How much of what the true constants would improve was reached, in percent; None: nothing could be."""
        possible = self.resolution_before - self.resolution_true
        return 100 * (self.resolution_before - self.resolution_after) / possible if possible > 0 else None
