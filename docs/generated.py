"""The parts of these pages that come from the code: diagrams, rules, settings, commands, rooms.

A page asks for a part with a line `<!-- generated: settings -->`, and says in the next one, in italics, to those who
read the file itself what stands there. The part takes the place of both; it is made anew by every build, so it cannot
differ from the code. Each function below returns Markdown.
"""

import ast
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from inspect import cleandoc
from pathlib import Path

import click
from diagram import Edge, layers, states
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from b2cal import batch
from b2cal.cli.main import group
from b2cal.cli.settings import RULES_WORD, Part, described
from b2cal.core.failures import Remedy
from b2cal.loop import (
    FINISHED,
    PROCESSING_MEANINGS,
    PROCESSING_RULES,
    RULES,
    STATE_MEANINGS,
    Reason,
    states_in_words,
)
from b2cal.loop.rules import ProcessingRule, Rule
from b2cal.model import Kind, ProcessingState, Role, State
from b2cal.settings import RetryRule

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "b2cal"
MARKER = re.compile(r"^<!-- generated: ([a-z ]+) -->\n\*.+\*$", re.MULTILINE)

AnyRule = Rule | ProcessingRule
AnyState = State | ProcessingState


def states_of_a_calibration() -> str:
    """The life of a calibration as a picture, and what its states mean."""
    picture = states(_words(STATE_MEANINGS), _edges(RULES), finished=_words(FINISHED))
    return f"{picture}\n\n{_meanings(STATE_MEANINGS)}"


def states_of_a_processing() -> str:
    """The life of a processing as a picture, and what its states mean."""
    published = _words([ProcessingState.PUBLISHED])
    picture = states(_words(PROCESSING_MEANINGS), _edges(PROCESSING_RULES), finished=published)
    return f"{picture}\n\n{_meanings(PROCESSING_MEANINGS)}"


def rights_on_a_calibration() -> str:
    """Who may do what to a calibration, in which state."""
    return _rights(RULES)


def rights_on_a_processing() -> str:
    """Who may do what to a processing."""
    return _rights(PROCESSING_RULES)


def settings() -> str:
    """Every setting with its default, by section."""
    return "\n\n".join(filter(None, map(_settings_part, described())))


def _settings_part(part: Part) -> str:
    head = f"**{part.name}**: {part.about}\n\n" if part.name else ""
    link = f"[{RULES_WORD}](#failed-jobs)"
    rows = ((f"`{it.setting}`", it.default, it.may_be.replace(RULES_WORD, link), it.meaning) for it in part.settings)
    return head + _table(("Setting", "Default", "May be", "Meaning"), rows)


REMEDIES = {
    Remedy.LATER: "tried again later",
    Remedy.MORE_MEMORY: "tried again with more memory",
    Remedy.NEVER: "not tried again",
    Remedy.ASK: "tried again if somebody says so",
    Remedy.RACE: "raced by a copy",
}


def _done_by(rule: RetryRule) -> str:
    return "nothing" if (rule.source, rule.remedy) == ("slow", Remedy.NEVER) else REMEDIES[rule.remedy]


def _in_a_cell(text: str) -> str:
    return text.replace("|", "\\|")


def retry_rules() -> str:
    """Which failures of jobs are tried again."""
    return _table(
        ("How it failed", "Code", "Message matches", "What is done", "Why", "Source of the rule"),
        (
            (
                rule.source,
                "any" if rule.code is None else str(rule.code),
                f"`{_in_a_cell(rule.pattern.pattern)}`" if rule.pattern.pattern else "anything",
                f"(passive: {REMEDIES[rule.remedy]})" if rule.passive else _done_by(rule),
                rule.because,
                rule.reference,
            )
            for rule in batch.RULES
        ),
    )


def commands() -> str:
    """Reference of the command line."""
    return "\n\n".join(_command(group, "b2cal", depth=1))


def rooms() -> str:
    """The rooms in the order of the arrows between them, and what each is for."""
    return f"{layers(_layers())}\n\n" + _table(
        ("Room", "What is in it"),
        ((f"`b2cal/{room}`", _purpose(room)) for layer in _layers() for room in layer),
    )


def crash_points() -> str:
    """The moments at which tests kill a process."""
    found = sorted(
        (name, str(path.relative_to(REPOSITORY)))
        for path in PACKAGE.rglob("*.py")
        for name in re.findall(r'crashpoint\("([\w-]+)"\)', path.read_text())
        if path.name != "crashpoints.py"
    )
    return _table(("Moment", "Where"), ((f"`{name}`", f"`{path}`") for name, path in found))


PARTS: dict[str, Callable[[], str]] = {
    part.__name__.replace("_", " "): part
    for part in (
        states_of_a_calibration,
        states_of_a_processing,
        rights_on_a_calibration,
        rights_on_a_processing,
        settings,
        retry_rules,
        commands,
        rooms,
        crash_points,
    )
}


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", _fill_in)
    app.connect("env-get-outdated", _made_anew)
    return {"parallel_read_safe": True}


def _fill_in(_app: Sphinx, _page: str, source: list[str]) -> None:
    source[0] = MARKER.sub(lambda found: PARTS[found[1]](), source[0])


def _made_anew(_app: Sphinx, env: BuildEnvironment, *_changes: set[str]) -> list[str]:
    """Pages with generated parts are read in every build: their source does not tell whether they are outdated."""
    return [page for page in env.found_docs if MARKER.search(Path(env.doc2path(page)).read_text())]


def _edges(rules: tuple[AnyRule, ...]) -> list[Edge]:
    """One edge for each verb and the state that it leads to."""
    sources: dict[tuple[str, str], set[str]] = {}
    by_people: set[str] = set()
    for rule in rules:
        for target in _words(_targets(rule)):
            sources.setdefault((rule.label, target), set()).update(_words(rule.at))
        if rule.who != {Role.LOOP}:
            by_people.add(rule.label)
    return [Edge(label, frozenset(at), target, by_people=label in by_people) for (label, target), at in sources.items()]


def _targets(rule: AnyRule) -> tuple[AnyState, ...]:
    if isinstance(rule.to, tuple):
        return rule.to
    return () if rule.to is None else (rule.to,)


def _rights(rules: tuple[AnyRule, ...]) -> str:
    roles = tuple(role for role in Role if any(role in rule.who for rule in rules))
    return _table(
        ("What", "While it is", "Then it is", *("b2cal itself" if role is Role.LOOP else role for role in roles)),
        (
            (
                f"**{rule.label}**{', with a reason' if rule.reason is Reason.NEEDED else ''}{_of_kinds(rule)}",
                states_in_words(rule.at),
                " or ".join(_words(_targets(rule))) or "as before",
                *("✓" if role in rule.who else "" for role in roles),
            )
            for rule in rules
        ),
    )


def _meanings(of: Mapping[State, str] | Mapping[ProcessingState, str]) -> str:
    return _table(("State", "Meaning"), ((f"**{state.word}**", meaning) for state, meaning in of.items()))


def _of_kinds(rule: AnyRule) -> str:
    """Which kinds of definitions it is for; empty: for all."""
    if isinstance(rule, ProcessingRule) or rule.kinds == set(Kind):
        return ""
    return f" ({' and '.join(kind for kind in Kind if kind in rule.kinds)} only)"


def _words(these: Iterable[AnyState]) -> list[str]:
    """States as pages and commands call them."""
    return [state.word for state in these]


def _command(command: click.Command, name: str, depth: int) -> Iterator[str]:
    context = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    if depth > 1:
        yield f"{'#' * depth} {name}"
    yield cleandoc(command.help or "")
    yield f"```text\n{usage}\n```"
    yield _table(("Option", "What it does"), _options(command, context))
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found is not None
            yield from _command(found, f"{name} {inner}", depth + 1)


def _options(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option) and "--help" not in parameter.opts:
            yield f"`{record[0]}`", record[1]


def _layers() -> list[list[str]]:
    """Rooms by layer, as the arrows in pyproject.toml say; upper ones may import lower ones."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    contract = next(each for each in project["tool"]["importlinter"]["contracts"] if each["type"] == "layers")
    found = [re.findall(r"\w+", layer) for layer in contract["layers"]]
    return [here for layer in found if (here := [room for room in layer if _source(room) is not None])]


def _source(room: str) -> Path | None:
    return next((path for path in (PACKAGE / room / "__init__.py", PACKAGE / f"{room}.py") if path.exists()), None)


def _purpose(room: str) -> str:
    source = _source(room)
    assert source is not None
    return (ast.get_docstring(ast.parse(source.read_text())) or "").split("\n\n")[0].replace("\n", " ")


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [_row(row) for row in rows]
    return "\n".join([_row(head), _row(("---",) * len(head)), *lines]) if lines else ""


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|').replace(chr(10), ' ') for cell in cells)} |"
