"""The frozen graph of a processing, as `loop` wrote it for the DAG builder. Standard library only."""

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Self
from zlib import crc32

from b2cal.core.errors import B2calError


class BadGraph(B2calError):
    """A file in the folder of frozen graphs is not one; the other processings do not suffer."""


class GraphState(StrEnum):
    """Whether Airflow shall go on starting runs of this processing."""

    ACTIVE = "active"
    ENDED = "ended"


@dataclass(frozen=True)
class Node:
    """One calibration: `upstream` are the task ids of the calibrations that it waits for."""

    name: str
    task_id: str
    step: str
    upstream: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """One processing: its steps in their order and its calibrations in dependency order."""

    processing: str
    state: GraphState
    steps: tuple[str, ...]
    nodes: tuple[Node, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """The graph in this file, checked.

        Raises:
            BadGraph: the file cannot be read, is no graph, or one that cannot be run.
        """
        try:
            document = json.loads(path.read_text())
            graph = cls(
                processing=_text(document["processing"]),
                state=GraphState(document["state"]),
                steps=tuple(_identifier(step) for step in document["steps"]),
                nodes=tuple(_node(entry) for entry in document["calibrations"]),
            )
            return graph._checked(path.stem)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, CycleError) as error:
            raise BadGraph(
                f"{path} is not the frozen graph of a processing: {type(error).__name__}: {error}.",
                hint="Remove the file if b2cal did not write it; b2cal writes its own again with the next change.",
            ) from error

    def _checked(self, stem: str) -> Self:
        if self.processing != stem:
            raise ValueError(f"it is about {self.processing}, not about {stem}")
        by_task = {node.task_id: node for node in self.nodes}
        if len(by_task) != len(self.nodes):
            raise ValueError("two calibrations have the same task id")
        for node in self.nodes:
            if node.step not in self.steps:
                raise ValueError(f"{node.name} is in the step {node.step}, which the processing does not have")
            if unknown := set(node.upstream) - set(by_task):
                raise ValueError(f"{node.name} waits for {', '.join(sorted(unknown))}, which is not there")
        TopologicalSorter({node.task_id: node.upstream for node in self.nodes}).prepare()
        return self


def dag_id(processing: str) -> str:
    """Airflow's name of a processing: letters, digits, `_`, `.` and `-` only; two processings never share one."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", processing)
    return plain if plain == processing else f"{plain}-{crc32(processing.encode()):08x}"


def _node(entry: dict[str, Any]) -> Node:
    return Node(
        name=_text(entry["name"]),
        task_id=_identifier(entry["task_id"]),
        step=_text(entry["step"]),
        upstream=tuple(_text(task_id) for task_id in entry["upstream"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is not a name")
    return value


def _identifier(value: object) -> str:
    # No dots: Airflow joins the names of nested task groups with them.
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,120}", _text(value)):
        raise ValueError(f"{value!r} cannot be the id of a task; letters, digits, _ and - can")
    return str(value)
