"""Constants with their interval of validity, as an object and as a ROOT file."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from b2cal.calibration.inputs import UnreadableInput, open_root
from b2cal.core.checksums import digest, sha256_bytes
from b2cal.core.errors import B2calError
from b2cal.core.files import replacing
from b2cal.core.iov import IoV

Array = np.ndarray[Any, np.dtype[Any]]

# What ROOT trees can hold without loss.
_DTYPES = frozenset({"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"})
_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)


class InvalidPayload(B2calError):
    """Constants that must not be published: not numbers, not finite, or not what the script declared."""


class Payload:
    """Named constants and the runs that they are valid for.

    Attributes:
        name: of the payload in the global tag.
        iov: the runs.
        values: read-only arrays by key, any shape, little-endian.
        covariance: of the values, (n, n), or one such matrix per channel, (channels, n, n).
    """

    def __init__(
        self, name: str, iov: IoV, values: Mapping[str, ArrayLike], covariance: ArrayLike | None = None
    ) -> None:
        """Copy and check the constants.

        Raises:
            InvalidPayload: a value is not a number or boolean, or not finite; says which, and where.
        """
        _check_name(name, "payload")
        if not values:
            raise InvalidPayload(f"{name} has no values.", hint="Give at least one array of constants.")
        for key in values:
            _check_name(key, f"value of {name}")
        self.name = name
        self.iov = iov
        self.values: Mapping[str, Array] = MappingProxyType(
            {key: _checked(values[key], f"{name}, value {key!r}") for key in sorted(values)}
        )
        self.covariance = None if covariance is None else _checked_covariance(covariance, name)

    @property
    def identity(self) -> str:
        """SHA-256 of name and contents; equal for equal constants, however their files or arrays are laid out.

        The IoV is no part of it: the same constants may be valid for other runs.
        """
        arrays = [[key, "array", *_described(array), sha256_bytes(array.tobytes())] for key, array in self._arrays()]
        return digest([self.name, arrays])

    def write(self, path: str | Path) -> None:
        """Write a ROOT file: one tree for each array, flattened, and the JSON text `meta` with names and shapes."""
        import uproot

        meta = {
            "payload": self.name,
            "identity": self.identity,
            "arrays": {key: _described(array) for key, array in self._arrays()},
        }
        with replacing(path) as temporary, uproot.recreate(temporary) as file:
            file["meta"] = json.dumps(meta, sort_keys=True)
            for key, array in self._arrays():
                tree = file.mktree(key, {"value": array.dtype.newbyteorder("=")})
                if array.size:
                    tree.extend({"value": array.ravel()})

    @classmethod
    def read(cls, path: str | Path, iov: IoV) -> Self:
        """Read a file made by `write`; the runs are known to the global tag, not to the file.

        Raises:
            UnreadableInput: the file is missing, damaged or no payload, or its contents differ from its identity.
        """
        with open_root(path) as file:
            meta = json.loads(str(file["meta"]))
            arrays = {
                key: file[key]["value"].array(library="np").astype(dtype).reshape(shape)
                for key, (dtype, shape) in meta["arrays"].items()
            }
            covariance = arrays.pop("covariance", None)
            values = {key.removeprefix("values/"): array for key, array in arrays.items()}
            payload = cls(meta["payload"], iov, values, covariance)
            if payload.identity != meta["identity"]:
                raise UnreadableInput(path, "its contents differ from the identity written in it")
            return payload

    def __repr__(self) -> str:
        shapes = ", ".join(f"{key} {array.dtype}{list(array.shape)}" for key, array in self.values.items())
        return f"<Payload {self.name}, {self.iov}: {shapes}>"

    def _arrays(self) -> list[tuple[str, Array]]:
        arrays = [(f"values/{key}", array) for key, array in self.values.items()]
        return arrays if self.covariance is None else [("covariance", self.covariance), *arrays]


def _check_name(name: str, what: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidPayload(
            f"{name!r} cannot be the name of a {what}.", hint="Use letters, digits and underscores, a letter first."
        )


def _described(array: Array) -> tuple[str, list[int]]:
    return array.dtype.str, list(array.shape)


def _checked(values: ArrayLike, where: str) -> Array:
    array = np.asarray(values)
    if array.dtype.str[1:] not in _DTYPES:
        raise InvalidPayload(
            f"{where} is of type {array.dtype}, which a payload cannot hold.",
            hint="Use integers of up to 64 bits, float32, float64 or booleans.",
        )
    array = np.array(array, dtype=array.dtype.newbyteorder("<"), order="C")
    if not np.all(finite := np.isfinite(array)):
        index = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise InvalidPayload(
            f"{where}[{', '.join(map(str, index))}] is {array[index]}, not a finite number.",
            hint="Keep the previous constant for a channel without data, or mark the channel as bad.",
        )
    array.flags.writeable = False
    return array


def _checked_covariance(covariance: ArrayLike, name: str) -> Array:
    array = _checked(covariance, f"{name}, covariance")
    if array.ndim not in (2, 3) or array.shape[-1] != array.shape[-2]:
        raise InvalidPayload(
            f"The covariance of {name} has the shape {array.shape}.",
            hint="Give a square matrix, or one square matrix for each channel.",
        )
    return array
