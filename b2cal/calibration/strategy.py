"""How the runs of a calibration are divided into intervals of validity."""

from collections.abc import Iterable, Mapping
from enum import StrEnum, auto
from typing import Any

from b2cal.core.errors import B2calError
from b2cal.core.iov import ExpRun, InvalidIoV, IoV, experiment_starts, split

BOUNDARIES_KEY = "payload_boundaries"
"""The key of the expert_config that holds the boundaries, as [[exp, run], ...]; Belle II's name."""


class Strategy(StrEnum):
    """How the runs of a calibration are divided."""

    SINGLE = auto()
    """One set of constants for all runs."""
    BOUNDARIES = auto()
    """New constants from each [exp, run] of `config["payload_boundaries"]` on, and for each experiment."""


class InvalidBoundaries(B2calError):
    """The payload boundaries of an expert_config are no list of runs."""


def pieces(strategy: Strategy, iov: IoV, config: Mapping[str, Any], runs: Iterable[ExpRun]) -> list[IoV]:
    """The intervals that are fitted one by one; together they are `iov`, and each holds at least one of `runs`.

    A boundary is the first run of a new payload (Belle II's SequentialBoundaries). One without runs behind it changes
    nothing: the constants before it stay valid.

    Raises:
        InvalidBoundaries: the expert_config has none, or they are malformed.
    """
    if strategy is Strategy.SINGLE:
        return [iov]
    present = sorted(runs)
    cuts = [*boundaries(config), *experiment_starts(present)]
    filled = [piece for piece in split(iov, cuts) if any(piece.contains(run) for run in present)]
    return split(iov, [piece.first for piece in filled[1:]])


def boundaries(config: Mapping[str, Any]) -> list[ExpRun]:
    """The first runs of new payloads, as the expert_config names them.

    Raises:
        InvalidBoundaries: it has none, or they are malformed.
    """
    try:
        return [ExpRun(int(exp), int(run)) for exp, run in config[BOUNDARIES_KEY]]
    except (KeyError, TypeError, ValueError, InvalidIoV) as error:
        raise InvalidBoundaries(
            f"The expert_config has no usable {BOUNDARIES_KEY}: {config.get(BOUNDARIES_KEY)!r}.",
            hint=f'Write "{BOUNDARIES_KEY}": [[exp, run], ...], each the first run of new constants; [] for none.',
        ) from error
