"""Checks that every calibration gets: its payloads open, are finite, cover what was asked and have not jumped."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from b2cal.conditions import Entry, coverage_problems
from b2cal.core.apart import Allowance, Answer, work_apart
from b2cal.core.iov import ExpRun, IoV
from b2cal.model import Grade

from .check import Check, Limits, Origin, Quantity
from .comparison import FLAGS_AT_LEAST, LIMIT, MOST_OF_FLAGS, SHARE_OF_FLAGS, Manner

_CHANGE = Path(__file__).with_name("change.py")
_YES = Limits(None, None, Origin.GENERIC)
TOLD = 5
"""How many problems of one kind a note tells; the number of all is in the check."""


class ConstantsFile(Protocol):
    """A payload file and the runs that it is valid for, as numbers, both included."""

    @property
    def name(self) -> str: ...
    @property
    def first(self) -> int: ...
    @property
    def last(self) -> int: ...
    @property
    def path(self) -> str | Path: ...
    @property
    def identity(self) -> str: ...


@dataclass(frozen=True)
class Pair:
    """New constants with those that were valid before at their first run."""

    new: ConstantsFile
    previous: ConstantsFile | None

    @property
    def label(self) -> str:
        """The payload and the runs of the new constants."""
        return f"{self.new.name} {IoV.from_numbers(self.new.first, self.new.last)}"


def generic_checks(
    new: Sequence[ConstantsFile],
    previous: Sequence[ConstantsFile],
    requested: IoV,
    without_data: Sequence[IoV] = (),
    allowance: Allowance | None = None,
) -> list[Check]:
    """Look into the new payloads, in a process apart, and compare them with those that were valid before.

    Args:
        new: what an attempt made.
        previous: what was valid before; for each new payload the one valid at its first run counts.
        requested: the runs that constants were asked for.
        without_data: those among them that had too few data.
        allowance: time and memory for each payload.

    Returns:
        Whether payloads open, are finite and cover the request; and how they have changed: see `comparison`.
    """
    pairs = paired(new, previous)
    answers = work_apart(_CHANGE, [_item(pair) for pair in pairs], allowance or Allowance())
    found = list(zip(pairs, answers, strict=True))
    return [
        _yes("payload files open", [(pair.label, _unreadable(answer)) for pair, answer in found]),
        _yes("contents are finite", [(pair.label, _not_finite(answer)) for pair, answer in found]),
        _covers(new, requested, without_data),
        *_changes(found),
    ]


def not_converged() -> Check:
    """What to say when a fit was still changing at its last iteration."""
    quantity = Quantity("converged", np.array([False]), [""])
    return Check.of(quantity, Limits(None, None, Origin.GENERIC, Grade.WARN), "The last iteration still changed.")


def not_measured() -> Check:
    """What to say of payloads made by hand where nothing is there any more that the script could measure them with."""
    quantity = Quantity("measured by the script", np.array([False]), [""])
    note = "The collected sums are gone or belong to other inputs."
    return Check.of(quantity, Limits(None, None, Origin.GENERIC, Grade.WARN), note)


def paired(new: Sequence[ConstantsFile], previous: Sequence[ConstantsFile]) -> list[Pair]:
    """Each of the new constants, sorted by name and run, with what was valid before at its first run."""
    return [
        Pair(it, next((old for old in previous if old.name == it.name and old.first <= it.first <= old.last), None))
        for it in sorted(new, key=lambda it: (it.name, it.first))
    ]


def _item(pair: Pair) -> dict[str, Any]:
    previous = pair.previous
    return {
        "new": str(pair.new.path),
        "identity": pair.new.identity,
        "previous": None if previous is None else str(previous.path),
        "previous_identity": None if previous is None else previous.identity,
    }


def _get(answer: Answer, key: str) -> str:
    return str((answer.value or {}).get(key, ""))


def _unreadable(answer: Answer) -> str:
    return answer.failure or _get(answer, "unreadable")


def _not_finite(answer: Answer) -> str:
    return "it does not open" if _unreadable(answer) else _get(answer, "not_finite")


def _yes(name: str, problems: Sequence[tuple[str, str]]) -> Check:
    """A yes/no per payload, yes where there is no problem; the note tells the problems."""
    good = np.array([not problem for _, problem in problems], dtype=bool)
    quantity = Quantity(name, good, [label for label, _ in problems])
    bad = [f"{label}: {problem}" if label else problem for label, problem in problems if problem]
    more = [f"and {len(bad) - TOLD} more"] if len(bad) > TOLD else []
    return Check.of(quantity, _YES, "; ".join([*bad[:TOLD], *more]))


def _covers(new: Sequence[ConstantsFile], requested: IoV, without_data: Sequence[IoV]) -> Check:
    entries = [Entry(it.name, it.first, it.last, 0, it.identity) for it in new]
    problems = [("", problem) for problem in coverage_problems(entries, requested, without_data=without_data)]
    check = _yes("IoVs cover the runs asked for", problems or [("", "")])
    if not without_data:
        return check
    poor = f"Too few data for {', '.join(map(str, without_data))}: the constants before stay valid there."
    return replace(check, note=f"{check.note} {poor}".strip())


def _changes(found: Sequence[tuple[Pair, Answer]]) -> Iterator[Check]:
    """Checks of each payload name, over all of its IoVs."""
    readable = [(pair, answer.value) for pair, answer in found if answer.value and "keys" in answer.value]
    for name in sorted({pair.new.name for pair, _ in readable}):
        of_name = [(pair, value) for pair, value in readable if pair.new.name == name]
        compared = [(pair, value) for pair, value in of_name if pair.previous is not None]
        if not compared:
            yield _nothing_to_say(f"change of {name}", "There were no constants of this name before.")
            continue
        yield _yes(f"layout of {name} as before", [(pair.label, value["other_layout"]) for pair, value in compared])
        for key in sorted({key for _, value in compared for key in value["keys"]}):
            yield from _changes_of_key(name, key, [(p, v["keys"][key]) for p, v in compared if key in v["keys"]])


def _changes_of_key(name: str, key: str, found: Sequence[tuple[Pair, dict[str, Any]]]) -> Iterator[Check]:
    several = len(found) > 1
    own: dict[str, list[float]] = {manner: [] for manner in Manner}
    labels: dict[str, list[str]] = {manner: [] for manner in Manner}
    common: list[tuple[str, float]] = []
    for pair, change in found:
        suffix = f" from {ExpRun.from_number(pair.new.first)}" if several else ""
        own[change["manner"]] += change["own"]
        labels[change["manner"]] += [f"{_channel(key, i)}{suffix}" for i in np.ndindex(*change["shape"])]
        if change["common"] is not None:
            common.append((f"{key}{suffix}", change["common"]))
    title = f"{name}/{key}"
    if own[Manner.NUMBERS]:
        yield _within(f"change of {title}", own[Manner.NUMBERS], labels[Manner.NUMBERS])
    if common:
        yield _within(f"common change of {title}", [value for _, value in common], [label for label, _ in common])
    if own[Manner.FLAGS]:
        yield _flags(title, own[Manner.FLAGS])
    if not own[Manner.NUMBERS] and not own[Manner.FLAGS]:
        counts = all(change["manner"] == Manner.COUNTS for _, change in found)
        why = "Counts are not compared." if counts else "The previous constants are nominal."
        yield _nothing_to_say(f"change of {title}", why)


def _channel(key: str, index: tuple[int, ...]) -> str:
    return f"{key}[{', '.join(map(str, index))}]" if index else key


def _within(name: str, values: Sequence[float], labels: Sequence[str]) -> Check:
    return Check.of(Quantity(name, np.array(values), labels, "σ"), Limits(-LIMIT, LIMIT, Origin.GENERIC))


def _flags(title: str, changed: Sequence[float]) -> Check:
    high = max(SHARE_OF_FLAGS, min(FLAGS_AT_LEAST / len(changed), MOST_OF_FLAGS))
    quantity = Quantity(f"share of changed {title}", np.array([np.mean(changed)]), [""])
    return Check.of(quantity, Limits(None, high, Origin.GENERIC), f"{sum(changed):.0f} of {len(changed)} changed.")


def _nothing_to_say(name: str, note: str) -> Check:
    return Check(name, "", None, "", None, None, Origin.NONE, Grade.PASS, 0, 0, note)
