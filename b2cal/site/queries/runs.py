"""Which runs a selection took, and why not the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Report:
    """The runs of a range, as attempts keep them.

    Attributes:
        taken: runs with what is there of them.
        left_out: the reasons, the most frequent first, each with its runs.
    """

    taken: Sequence[tuple[str, str]]
    left_out: Sequence[tuple[str, Sequence[str]]]

    @property
    def n_runs(self) -> int:
        return len(self.taken) + sum(len(runs) for _, runs in self.left_out)


def report(rows: Sequence[Mapping[str, Any]]) -> Report:
    """From the entries that `RunChoice.to_json` writes."""
    taken, left_out = [], dict[str, list[str]]()
    for row in rows:
        if row["taken"]:
            taken.append((row["run"], row["reason"].removeprefix("taken: ")))
        else:
            left_out.setdefault(row["reason"].removeprefix("left out: "), []).append(row["run"])
    return Report(taken, sorted(left_out.items(), key=lambda item: -len(item[1])))
