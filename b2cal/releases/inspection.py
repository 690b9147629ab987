"""Looking through a release before anything of it is kept."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from b2cal.core.errors import B2calError, sentence
from b2cal.model import Definition, DefinitionPayload, Kind

from .config import boundary_problems, carrying_problems, problems_by_schema
from .description import Described, describe
from .errors import ReleaseRefused
from .filters import Vocabulary, filter_problems
from .graph import PRODUCED_FORMATS, find_cycle, graph_problems, makes_for
from .manifest import Entry, read_manifest
from .schema import Schema, schema_from_defaults, schema_problem, with_boundaries
from .snapshot import copy_release, digest_of

TIME_LIMIT_S = 30.0

_TRAITS = {"strategy", "max_iterations", "limits", "branches", "tree", "carried_over"}
_CLASS = {
    Kind.CALIBRATE: "its class is a Calibration",
    Kind.COPY: "it has neither a Calibration nor a Production",
    Kind.PRODUCE: "its class is a Production",
}


@dataclass(frozen=True)
class Inspection:
    """What was found in a release.

    Attributes:
        name: of the release, as far as it could be read.
        digest: of its contents.
        interpreter: absolute path; empty: the one that runs b2cal.
        environment: what its scripts find set.
        vocabulary: filter category -> values.
        definitions: rows that are in no database yet.
        problems: why it would be refused, one sentence each, naming the scripts.
        flags: what a manager should know about it, likewise.
    """

    name: str = ""
    digest: str = ""
    interpreter: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    vocabulary: Vocabulary = field(default_factory=dict)
    definitions: Sequence[Definition] = ()
    problems: Sequence[str] = ()
    flags: Sequence[str] = ()


def inspect(folder: Path, time_limit_s: float = TIME_LIMIT_S) -> Inspection:
    """Look through a copy of a release's folder. Nothing is written beside it.

    Raises:
        CannotWrite: there is no room for a temporary copy.
    """
    with tempfile.TemporaryDirectory(prefix="b2cal-release-") as temporary:
        copy = Path(temporary) / "release"
        try:
            copy_release(folder, copy)
            return inspect_copy(copy, time_limit_s)
        except ReleaseRefused as error:
            return Inspection(name=folder.name, problems=error.problems)


def inspect_copy(copy: Path, time_limit_s: float) -> Inspection:
    """The same for a folder that nobody else changes.

    Raises:
        ReleaseRefused: `release.toml` cannot be used.
    """
    manifest = read_manifest(copy)
    digest = digest_of(copy)
    try:
        described = describe(copy, manifest, time_limit_s)
    except B2calError as error:
        return Inspection(manifest.name, digest, problems=[f"{error} {error.hint}"])
    broken = _import_problems(described)
    scripts = [(entry, script) for entry, script in zip(manifest.definition, described, strict=True) if script.settings]
    definitions = [_definition(entry, script) for entry, script in scripts]
    problems = [
        *broken,
        *(problem for entry, script in scripts for problem in _script_problems(entry, script, manifest.vocabulary)),
        *_duplicates(definitions),
        *([] if broken else graph_problems(definitions, manifest.vocabulary)),
    ]
    if digest_of(copy) != digest:
        problems.append("A script wrote into the release's folder when it was imported; it must only declare.")
    flags = list(_flags(definitions, manifest.vocabulary))
    return Inspection(
        name=manifest.name,
        digest=digest,
        interpreter=manifest.interpreter,
        environment=manifest.environment,
        vocabulary=manifest.vocabulary,
        definitions=definitions,
        problems=problems,
        flags=flags,
    )


def _import_problems(described: Sequence[Described]) -> list[str]:
    broken = {script.script: script for script in described if script.settings is None}
    imports = {script.script: script.imports for script in described}
    cycle = find_cycle({name: imports[name] for name in broken})
    problems = []
    if cycle is not None:
        path = " -> ".join(cycle)
        problems.append(f"These scripts import each other in a circle: {path}. Take out one dependency.")
        broken = {name: script for name, script in broken.items() if name not in cycle}
    return problems + [
        sentence(f"{name} cannot be imported: {s.error}") + f" {s.hint}".rstrip() for name, s in broken.items()
    ]


def _definition(entry: Entry, script: Described) -> Definition:
    settings = script.settings
    assert settings is not None
    return Definition(
        name=settings.name,
        module=entry.script,
        step=entry.step,
        kind=entry.kind,
        expert=settings.expert_username,
        settings=settings.model_dump(mode="json"),
        config_schema=_schema(script),
        traits=script.model_dump(mode="json", include=_TRAITS),
        payloads=[DefinitionPayload(payload_name=name) for name in script.produced_payloads],
    )


def _schema(script: Described) -> Schema:
    """The script's own schema if it gives one that can be used; if it cannot, the release is refused for that."""
    from b2cal.calibration.strategy import Strategy  # here, because it brings numpy with it

    assert script.settings is not None
    own = script.expert_config_schema
    schema = schema_from_defaults(script.settings.expert_config) if own is None or schema_problem(own) else own
    return with_boundaries(schema) if script.strategy == Strategy.BOUNDARIES else schema


def _script_problems(entry: Entry, script: Described, vocabulary: Vocabulary) -> Iterator[str]:
    """What is wrong with one script, whatever the others are."""
    settings = script.settings
    assert settings is not None
    problems = [
        f"its filters of {data_name}: {problem}"
        for data_name, filters in settings.input_data_filters.items()
        for problem in filter_problems(vocabulary, filters)
    ]
    if script.kind is not entry.kind:
        problems.append(f"release.toml says {entry.kind}, but {_CLASS[script.kind]}.")
    if entry.kind is Kind.PRODUCE and script.produced_payloads:
        problems.append("a production makes files, so it can have no produced_payloads.")
    if entry.kind is not Kind.PRODUCE and not script.produced_payloads:
        problems.append("it must name its produced_payloads.")
    if entry.kind is Kind.COPY and not isinstance(settings.expert_config.get("source_tag"), str):
        problems.append('a copy needs {"source_tag": "..."} in expert_config: the tag that it copies from.')
    own = script.expert_config_schema
    unusable = None if own is None else schema_problem(own)
    if unusable:
        problems.append(unusable)
    defaults = settings.expert_config
    wrong = problems_by_schema(defaults, _schema(script)) or boundary_problems({"strategy": script.strategy}, defaults)
    problems += [f"the default {problem}" for problem in wrong]
    problems += [f"carried_over: {problem}" for problem in carrying_problems(script.carried_over, defaults)]
    yield from (f"{script.script} ({settings.name!r}): {problem}" for problem in problems)


def _duplicates(definitions: Sequence[Definition]) -> Iterator[str]:
    by_name: dict[str, list[str]] = defaultdict(list)
    owners: dict[str, list[str]] = defaultdict(list)
    for definition in definitions:
        by_name[definition.name].append(definition.module)
        for payload in definition.payloads:
            owners[payload.payload_name].append(definition.module)
    for name, scripts in by_name.items():
        if len(scripts) > 1:
            yield f"The scripts {' and '.join(scripts)} have the same name {name!r}; rename one."
    for payload_name, scripts in owners.items():
        if len(scripts) > 1:
            yield f"The payload {payload_name!r} is made by {' and by '.join(scripts)}; only one may own it."


def _flags(definitions: Sequence[Definition], vocabulary: Vocabulary) -> Iterator[str]:
    by_name = {definition.name: definition for definition in definitions}
    productions = [definition for definition in definitions if definition.kind is Kind.PRODUCE]
    for definition in definitions:
        who = f"{definition.module} ({definition.name!r})"
        if definition.kind is not Kind.COPY and not definition.settings["input_data_filters"]:
            yield f"{who} has no filters: it is not submitted automatically until the manager gives a selection."
        unmade = [
            name
            for name in sorted(definition.settings["input_data_names"])
            if not any(makes_for(production, definition, name, vocabulary) for production in productions)
        ]
        if unmade and PRODUCED_FORMATS.issuperset(definition.settings["input_data_formats"]):
            yield f"{who} reads {', '.join(unmade)} after the cDST production, but no definition produces that."
        for name in definition.settings["depends_on"]:
            if name in by_name and by_name[name].step.order > definition.step.order:
                yield f"{who} of step {definition.step} waits for {name!r} of the later step {by_name[name].step}."
