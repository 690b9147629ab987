"""The graph of a release: whose constants or files each calibration waits for."""

from collections.abc import Mapping, Sequence

from b2cal.model import DataFormat, Definition, Kind

from .errors import ReleaseRefused
from .filters import Vocabulary, streams_of

PRODUCED_FORMATS = frozenset({DataFormat.CDST, DataFormat.MDST, DataFormat.UDST})


def graph(definitions: Sequence[Definition], vocabulary: Vocabulary) -> dict[str, list[str]]:
    """For each definition the names of its direct upstream, in the order of `definitions`.

    Upstream are those in its depends_on; for a production everything in the steps before its own; for a reader of
    cdst, mdst or udst the productions of one of its streams.

    Raises:
        ReleaseRefused: depends_on names a definition that is not there, or definitions wait for each other in a circle.
    """
    problems = graph_problems(definitions, vocabulary)
    if problems:
        raise ReleaseRefused("The graph", problems, hint="Correct depends_on in these scripts.")
    return _upstream(definitions, vocabulary)


def graph_problems(definitions: Sequence[Definition], vocabulary: Vocabulary) -> list[str]:
    """What keeps the definitions from being put into an order, one sentence each; empty if nothing does."""
    scripts = {definition.name: definition.module for definition in definitions}
    dangling = [
        f"{definition.module}: {definition.name!r} depends on {name!r}, which is no definition of this release. "
        "Add its script to release.toml or take it out of depends_on."
        for definition in definitions
        for name in definition.settings["depends_on"]
        if name not in scripts
    ]
    cycle = find_cycle(_upstream(definitions, vocabulary))
    if cycle is None:
        return dangling
    path = " -> ".join(f"{name!r} ({scripts[name]})" for name in cycle)
    return [*dangling, f"These definitions wait for each other in a circle: {path}. Take out one dependency."]


def find_cycle(upstream: Mapping[str, Sequence[str]]) -> list[str] | None:
    """One circle as a path that ends where it begins, each waiting for the next; None if there is none.

    Names that are no key of `upstream` wait for nothing.
    """
    finished: set[str] = set()
    for start in upstream:
        path: list[str] = []
        pending = [iter([start])]  # a stack of our own: the depth of a graph must not meet Python's recursion limit
        while pending:
            name = next(pending[-1], None)
            if name is None:
                pending.pop()
                if path:
                    finished.add(path.pop())
            elif name in path:
                return [*path[path.index(name) :], name]
            elif name not in finished:
                path.append(name)
                pending.append(iter(upstream.get(name, ())))
    return None


def makes_for(production: Definition, reader: Definition, data_name: str, vocabulary: Vocabulary) -> bool:
    """Whether a production makes files that `reader` reads under this data name: those of a stream that both read.

    Who has no filters gets them from the manager later; until then equal data names are all that is known.
    """
    made = _streams(production, vocabulary)
    filters, its = reader.settings["input_data_filters"], production.settings
    if not made.isdisjoint(streams_of(vocabulary, data_name, filters.get(data_name, ()))):
        return True
    return not (filters and its["input_data_filters"]) and data_name in its["input_data_names"]


def _streams(definition: Definition, vocabulary: Vocabulary) -> set[str]:
    names, filters = definition.settings["input_data_names"], definition.settings["input_data_filters"]
    return {stream for name in names for stream in streams_of(vocabulary, name, filters.get(name, ()))}


def _upstream(definitions: Sequence[Definition], vocabulary: Vocabulary) -> dict[str, list[str]]:
    return {
        definition.name: [other.name for other in definitions if _waits_for(definition, other, vocabulary)]
        for definition in definitions
    }


def _waits_for(definition: Definition, other: Definition, vocabulary: Vocabulary) -> bool:
    if other.name in definition.settings["depends_on"]:
        return True
    if other is definition:
        return False
    if definition.kind is Kind.PRODUCE and other.step.order < definition.step.order:
        return True
    return (
        other.kind is Kind.PRODUCE
        and not PRODUCED_FORMATS.isdisjoint(definition.settings["input_data_formats"])
        and any(makes_for(other, definition, name, vocabulary) for name in definition.settings["input_data_names"])
    )
