"""Calling a script's `fit` for each interval of validity."""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from b2cal.calibration.base import Iterate, NotEnoughData
from b2cal.calibration.collected import Part, total
from b2cal.calibration.conditions import Conditions
from b2cal.calibration.payload import InvalidPayload, Payload
from b2cal.calibration.script import Script
from b2cal.core.fit_outcome import FitOutcome
from b2cal.core.iov import IoV, overlaps


@dataclass(frozen=True)
class Fitted:
    """The constants of one or more intervals.

    Attributes:
        without_data: the intervals that had too few data; there the constants before stay valid.
        message: the same for people.
    """

    outcome: FitOutcome
    payloads: tuple[Payload, ...] = ()
    without_data: tuple[IoV, ...] = ()
    message: str = ""


def fit_all(
    script: Script, iovs: Sequence[IoV], parts: Sequence[Part], conditions: Conditions, config: dict[str, Any]
) -> Fitted:
    """Fit each interval with what its runs gave; those of one experiment may be joined, never across experiments.

    An experiment with too few data does not stop the others.
    """

    def fit_one(iov: IoV) -> Fitted:
        collected = total(part for part in parts if iov.contains(part.run))
        answer = script.calibration().fit(collected, conditions.at(iov.first), copy.deepcopy(config), iov)
        if isinstance(answer, Iterate):
            return Fitted(FitOutcome.ITERATE, _checked(answer.payloads, script, iov))
        return Fitted(FitOutcome.OK, _checked(answer, script, iov))

    fitted: list[Fitted] = []
    shortages: dict[IoV, NotEnoughData] = {}
    for _, of_experiment in groupby(iovs, key=lambda iov: iov.first.exp):
        of_one = list(of_experiment)
        try:
            fitted += fit_joining(fit_one, of_one)
        except NotEnoughData as error:
            shortages[IoV(of_one[0].first, of_one[-1].last)] = error
    return _together(fitted, shortages)


def fit_joining(fit_one: Callable[[IoV], Fitted], iovs: Sequence[IoV]) -> list[Fitted]:
    """Fit intervals in order; one with too few data is joined with the next, the last with the one before.

    This is what Belle II's SequentialBoundaries does.

    Raises:
        NotEnoughData: there are too few data in all of them together.
    """
    done: list[tuple[IoV, Fitted]] = []
    waiting: IoV | None = None
    shortage = NotEnoughData(needed=1, found=0)
    for iov in iovs:
        joined = iov if waiting is None else IoV(waiting.first, iov.last)
        try:
            done.append((joined, fit_one(joined)))
            waiting = None
        except NotEnoughData as error:
            waiting, shortage = joined, error
    if waiting is not None:
        if not done:
            raise shortage
        before, _ = done.pop()
        joined = IoV(before.first, waiting.last)
        done.append((joined, fit_one(joined)))
    return [fitted for _, fitted in done]


def _checked(answer: Payload | Iterable[Payload], script: Script, iov: IoV) -> tuple[Payload, ...]:
    name = script.settings.name
    payloads = (answer,) if isinstance(answer, Payload) else answer
    if not isinstance(payloads, Sequence) or not payloads or not all(isinstance(each, Payload) for each in payloads):
        raise InvalidPayload(
            f"fit of {name!r} returned {answer!r}.",
            hint="Return a Payload, a list of them, or Iterate(payloads); raise NotEnoughData if data are too few.",
        )
    for payload in payloads:
        if payload.name not in script.produced_payloads:
            raise InvalidPayload(
                f"fit of {name!r} made a payload {payload.name!r}, which the script does not declare.",
                hint=f"It declares {', '.join(script.produced_payloads)}; see produced_payloads in its settings.",
            )
        if payload.iov.clip(iov) != payload.iov:
            raise InvalidPayload(
                f"fit of {name!r} made {payload.name} for {payload.iov}, but was asked for {iov}.",
                hint="Give the payload the iov that fit is called with, or a part of it.",
            )
    return tuple(payloads)


def _together(fitted: Sequence[Fitted], shortages: Mapping[IoV, NotEnoughData]) -> Fitted:
    without_data = tuple(shortages)
    message = " ".join(
        f"Too few data for {iov}, where the constants before stay valid: {error}" for iov, error in shortages.items()
    )
    if not fitted:
        return Fitted(FitOutcome.NOT_ENOUGH_DATA, (), without_data, message)
    payloads = tuple(payload for each in fitted for payload in each.payloads)
    for name in {payload.name for payload in payloads}:
        if twice := overlaps(payload.iov for payload in payloads if payload.name == name):
            raise InvalidPayload(f"fit made {name} more than once for {twice[0]}.", hint="Make one for each run.")
    converged = all(each.outcome is FitOutcome.OK for each in fitted)
    return Fitted(FitOutcome.OK if converged else FitOutcome.ITERATE, payloads, without_data, message)
