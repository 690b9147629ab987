"""The graph of a release: whose constants or files each calibration waits for."""

from collections.abc import Mapping, Sequence

from b2cal.model import DataFormat, Definition, Kind

from .errors import ReleaseRefused

PRODUCED_FORMATS = frozenset({DataFormat.CDST, DataFormat.MDST, DataFormat.UDST})


def graph(definitions: Sequence[Definition]) -> dict[str, list[str]]:
    """For each definition the names of its direct upstream, in the order of `definitions`.

    Upstream are those in its depends_on; for a production everything in the steps before its own; for a reader of
    cdst, mdst or udst the productions that read one of its data names.

    Raises:
        ReleaseRefused: depends_on names a definition that is not there, or definitions wait for each other in a circle.
    """
    problems = graph_problems(definitions)
    if problems:
        raise ReleaseRefused("The graph", problems, hint="Correct depends_on in these scripts.")
    return _upstream(definitions)


def graph_problems(definitions: Sequence[Definition]) -> list[str]:
    """What keeps the definitions from being put into an order, one sentence each; empty if nothing does."""
    scripts = {definition.name: definition.module for definition in definitions}
    dangling = [
        f"{definition.module}: {definition.name!r} depends on {name!r}, which is no definition of this release. "
        "Add its script to release.toml or take it out of depends_on."
        for definition in definitions
        for name in definition.settings["depends_on"]
        if name not in scripts
    ]
    cycle = find_cycle(_upstream(definitions))
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


def _upstream(definitions: Sequence[Definition]) -> dict[str, list[str]]:
    return {
        definition.name: [other.name for other in definitions if _waits_for(definition, other)]
        for definition in definitions
    }


def _waits_for(definition: Definition, other: Definition) -> bool:
    if other.name in definition.settings["depends_on"]:
        return True
    if other is definition:
        return False
    if definition.kind is Kind.PRODUCE and other.step.order < definition.step.order:
        return True
    return (
        other.kind is Kind.PRODUCE
        and not PRODUCED_FORMATS.isdisjoint(definition.settings["input_data_formats"])
        and not set(other.settings["input_data_names"]).isdisjoint(definition.settings["input_data_names"])
    )
