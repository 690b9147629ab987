"""Constants made before, as a calibration reads them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from b2cal.calibration.inputs import UnreadableInput
from b2cal.calibration.payload import Array, Payload
from b2cal.core.errors import B2calError
from b2cal.core.iov import ExpRun, IoV

BEGINNING = ExpRun(0, 0)


class MissingConstants(B2calError, KeyError):
    """A calibration asked for constants that nobody made for this run."""

    def __init__(self, name: str, run: ExpRun) -> None:
        super().__init__(
            f"There are no constants {name!r} for {run}.",
            hint="Check the spelling; constants of another calibration need it in depends_on, or in the base tag.",
        )

    __str__ = B2calError.__str__  # a KeyError would put quotes around the message


@dataclass(frozen=True)
class Constants:
    """One payload file with its runs. `identity` is what was frozen for the attempt."""

    name: str
    iov: IoV
    path: Path
    identity: str

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        iov = IoV.from_json([entry["first"], entry["last"]])
        return cls(str(entry["name"]), iov, Path(entry["path"]), str(entry["identity"]))

    def read(self) -> Payload:
        """Read the file.

        Raises:
            UnreadableInput: it cannot be read, or holds other constants than were frozen.
        """
        payload = Payload.read(self.path, self.iov)
        if (payload.name, payload.identity) != (self.name, self.identity):
            raise UnreadableInput(self.path, f"it holds other constants than the {self.name} frozen for this attempt")
        return payload


class Conditions:
    """The constants valid for one run: `conditions["LayerAlignment"]["dx"]`.

    Attributes:
        run: the run.
        names_read: every name that was asked for so far, at any run.
    """

    def __init__(self, constants: Iterable[Constants], run: ExpRun = BEGINNING) -> None:
        """Of several constants of one name for a run, the last given are valid."""
        self.run = run
        self.names_read: set[str] = set()
        self._constants = tuple(constants)
        self._loaded: dict[Constants, Payload] = {}

    def __getitem__(self, name: str) -> Mapping[str, Array]:
        """The values by key.

        Raises:
            MissingConstants: there are none of that name for this run.
        """
        return self.payload(name).values

    def payload(self, name: str) -> Payload:
        """The same with IoV and covariance."""
        self.names_read.add(name)
        for constants in reversed(self._constants):
            if constants.name == name and constants.iov.contains(self.run):
                if constants not in self._loaded:
                    self._loaded[constants] = constants.read()
                return self._loaded[constants]
        raise MissingConstants(name, self.run)

    def at(self, run: ExpRun) -> "Conditions":
        """The constants valid for another run."""
        other = Conditions(self._constants, run)
        other.names_read, other._loaded = self.names_read, self._loaded
        return other
