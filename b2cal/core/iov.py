"""Runs and intervals of validity (IoV).

All of it is done on one number line: run `r` of experiment `e` is the number `e << 32 | r`. There the last possible run
of an experiment is followed by run 0 of the next, so gaps, overlaps and coverage need no special case at an
experiment's end. Belle II's own tools look for gaps inside one experiment only.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from b2cal.core.errors import B2calError

END_OF_EXPERIMENT = 2**32 - 1
"""As the run of an IoV's end: to the end of that experiment."""

OPEN = 2**63 - 1
"""The open end of an IoV as a number: the largest that a signed BIGINT holds."""

_LAST_EXPERIMENT = 2**31 - 2  # one below what 63 bits hold, so that no run has the number OPEN
_LAST_RUN_OF_ALL = _LAST_EXPERIMENT << 32 | END_OF_EXPERIMENT
_RUN_FORMS = re.compile(r"e?(\d{1,10})[r/:](\d{1,10}|end)", re.ASCII)


class InvalidIoV(B2calError):
    """A run or an interval of validity that cannot exist, or a text that names none."""


@dataclass(frozen=True, order=True, slots=True)
class ExpRun:
    """One run of an experiment."""

    exp: int
    run: int

    def __post_init__(self) -> None:
        if not (0 <= self.exp <= _LAST_EXPERIMENT and 0 <= self.run <= END_OF_EXPERIMENT):
            raise InvalidIoV(
                f"Experiment {self.exp}, run {self.run} does not exist.",
                hint=f"Experiments go from 0 to {_LAST_EXPERIMENT}, runs from 0 to {END_OF_EXPERIMENT}.",
            )

    @property
    def number(self) -> int:
        """The run's place on the number line."""
        return self.exp << 32 | self.run

    @classmethod
    def from_number(cls, number: int) -> Self:
        return cls(number >> 32, number & END_OF_EXPERIMENT)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `e26r180`, `26/180` or `26:180`; `end` in place of the run is the end of the experiment.

        Raises:
            InvalidIoV: `text` is none of these.
        """
        match = _RUN_FORMS.fullmatch(text.strip())
        if match is None:
            raise InvalidIoV(f"{text!r} is not a run.", hint="Write it as e26r180, 26/180 or 26:180.")
        exp, run = match.groups()
        return cls(int(exp), END_OF_EXPERIMENT if run == "end" else int(run))

    def __str__(self) -> str:
        return f"e{self.exp}r{'end' if self.run == END_OF_EXPERIMENT else self.run}"


@dataclass(frozen=True, slots=True)
class IoV:
    """The runs from `first` to `last`, both included; `last=None` leaves the end open."""

    first: ExpRun
    last: ExpRun | None

    def __post_init__(self) -> None:
        if self.last is not None and self.last < self.first:
            raise InvalidIoV(
                f"An interval of validity cannot end at {self.last}, before its start at {self.first}.",
                hint="Exchange the two runs.",
            )

    @property
    def last_number(self) -> int:
        """The last run's place on the number line, `OPEN` for an open end."""
        return OPEN if self.last is None else self.last.number

    @classmethod
    def from_numbers(cls, first: int, last: int) -> Self:
        return cls(ExpRun.from_number(first), None if last == OPEN else ExpRun.from_number(last))

    def contains(self, run: ExpRun) -> bool:
        return self.first.number <= run.number <= self.last_number

    def overlap(self, other: "IoV") -> "IoV | None":
        """The runs that both have; None if there are none."""
        first = max(self.first.number, other.first.number)
        last = min(self.last_number, other.last_number)
        return IoV.from_numbers(first, last) if first <= last else None

    clip = overlap  # what is left of a payload's IoV inside a run range: the same runs, read from the other side

    def to_json(self) -> list[list[int] | None]:
        """`[[exp, run], [exp, run]]`, with null for an open end."""
        return [[self.first.exp, self.first.run], None if self.last is None else [self.last.exp, self.last.run]]

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Inverse of `to_json`.

        Raises:
            InvalidIoV: `value` has another form.
        """
        try:
            (exp, run), last = value
            return cls(ExpRun(int(exp), int(run)), None if last is None else ExpRun(int(last[0]), int(last[1])))
        except (TypeError, ValueError, IndexError) as error:
            raise InvalidIoV(
                f"{value!r} is not an interval of validity.", hint="Write [[exp, run], [exp, run]], null for open."
            ) from error

    @classmethod
    def from_belle2(cls, exp_low: int, run_low: int, exp_high: int, run_high: int) -> Self:
        """From the four numbers of Belle II, where -1 is "from the beginning" below and "open" above.

        `e, r, e2, -1` goes to the end of experiment e2.

        Raises:
            InvalidIoV: one of its runs cannot exist, or all four are -1: Belle II's empty interval.
        """
        if exp_low == run_low == exp_high == run_high == -1:
            raise InvalidIoV("The interval -1,-1,-1,-1 holds no run.", hint="For all runs write 0,0,-1,-1.")
        first = ExpRun(max(exp_low, 0), max(run_low, 0))
        if exp_high == -1:
            return cls(first, None)
        return cls(first, ExpRun(exp_high, END_OF_EXPERIMENT if run_high == -1 else run_high))

    def __str__(self) -> str:
        return f"{self.first} - {'open' if self.last is None else self.last}"


def gaps(iovs: Iterable[IoV], within: IoV) -> list[IoV]:
    """The stretches of `within` that no IoV covers, in order."""
    found: list[IoV] = []
    next_uncovered = within.first.number
    for iov in _in_order(iovs):
        before = min(iov.first.number - 1, within.last_number)
        if next_uncovered <= before:
            found.append(IoV.from_numbers(next_uncovered, before))
        next_uncovered = max(next_uncovered, iov.last_number + 1)
    if next_uncovered <= min(within.last_number, _LAST_RUN_OF_ALL):
        found.append(IoV.from_numbers(next_uncovered, within.last_number))
    return found


def overlaps(iovs: Iterable[IoV]) -> list[IoV]:
    """The stretches of runs that more than one IoV covers, in order and as few as possible."""
    found: list[IoV] = []
    covered_to = -1
    for iov in _in_order(iovs):
        first, last = iov.first.number, min(iov.last_number, covered_to)
        covered_to = max(covered_to, iov.last_number)
        if first > last:
            continue
        if found and first <= found[-1].last_number + 1:
            before = found.pop()
            first, last = before.first.number, max(before.last_number, last)
        found.append(IoV.from_numbers(first, last))
    return found


def split(iov: IoV, boundaries: Iterable[ExpRun]) -> list[IoV]:
    """Cut an IoV before each boundary; a boundary is the first run of a new piece, those outside do not matter."""
    cuts = sorted({boundary.number for boundary in boundaries if iov.contains(boundary)} - {iov.first.number})
    firsts = [iov.first.number, *cuts]
    lasts = [*(cut - 1 for cut in cuts), iov.last_number]
    return [IoV.from_numbers(first, last) for first, last in zip(firsts, lasts, strict=True)]


def experiment_starts(runs: Iterable[ExpRun]) -> list[ExpRun]:
    """Run 0 of each experiment that has one of the runs: boundaries for pieces that never span experiments."""
    return [ExpRun(exp, 0) for exp in sorted({run.exp for run in runs})]


def _in_order(iovs: Iterable[IoV]) -> list[IoV]:
    return sorted(iovs, key=lambda iov: (iov.first.number, iov.last_number))
