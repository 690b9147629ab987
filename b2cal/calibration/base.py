"""The two kinds of calculation that an expert writes."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from b2cal.calibration.conditions import Conditions
from b2cal.calibration.events import Branches, Events
from b2cal.calibration.measurement import Limit, Measurement
from b2cal.calibration.payload import Array, Payload
from b2cal.calibration.strategy import Strategy
from b2cal.core.errors import B2calError
from b2cal.core.iov import IoV

Collected = Array | dict[str, Array]
"""What `collect` returns and `fit` gets: an array, or arrays by key. Results are added element by element, by key."""


class NotEnoughData(B2calError):
    """Too few data for constants that deserve to be used: nothing is published, and nothing went wrong."""

    def __init__(self, needed: float, found: float, what: str = "events") -> None:
        super().__init__(
            f"Only {found:g} {what} were found, {needed:g} are needed.", hint="Add runs or lower the requirement."
        )
        self.needed = needed
        self.found = found
        self.what = what


@dataclass(frozen=True)
class Iterate:
    """Returned by `fit`: not converged yet. The next iteration reads these payloads as its conditions."""

    payloads: Payload | Sequence[Payload]


class Calibration(ABC):
    """Makes constants from data: `collect` runs over all events, `fit` makes payloads of what was collected.

    Attributes:
        branches: columns to read; a mapping if they differ between data names.
        tree: name of the tree that holds them.
        strategy: how runs are divided.
        max_iterations: how often collect and fit may run while `fit` returns Iterate.
        limits: where measurements may lie, by their names.
        carried_over: keys of the expert_config whose defaults come from the last published processing.
    """

    branches: Branches = ()
    tree: str = "events"
    strategy: Strategy = Strategy.SINGLE
    max_iterations: int = 1
    limits: Mapping[str, Limit] = MappingProxyType({})
    carried_over: Sequence[str] = ()

    @abstractmethod
    def collect(self, events: Events, conditions: Conditions, config: dict[str, Any]) -> Collected:
        """Reduce one chunk of events of one run. Results of all chunks are added.

        Every file is read by a new object of this class: what is stored in `self` does not reach the fit.
        """

    @abstractmethod
    def fit(
        self, collected: Collected, conditions: Conditions, config: dict[str, Any], iov: IoV
    ) -> Payload | Sequence[Payload] | Iterate:
        """Make constants valid for `iov` from the sum of what its runs gave.

        Raises:
            NotEnoughData: too little was collected.
        """

    def measure(
        self, payloads: Sequence[Payload], collected: Collected, conditions: Conditions, config: dict[str, Any]
    ) -> Sequence[Measurement]:
        """Measure how good the new constants are; `conditions` hold those valid before. Limits are applied later."""
        return ()


class Production(ABC):
    """Makes new event data from events, file by file: for instance cDST from raw data."""

    branches: Branches = ()
    tree: str = "events"
    carried_over: Sequence[str] = ()

    @abstractmethod
    def produce(self, events: Events, conditions: Conditions, config: dict[str, Any]) -> dict[str, Array]:
        """Columns of the new events, one row for each event that is kept. A chunk may be empty."""
