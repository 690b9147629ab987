"""What stands on the pages exists, and the parts made from the code are whole."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from b2cal import batch
from b2cal.cli.furnishing import DEMO, SMALL
from b2cal.cli.main import group
from b2cal.loop import PROCESSING_RULES, RULES, Reason, Verb
from b2cal.model import ProcessingState, Role, State
from b2cal.settings import Settings
from tests.docs.pages import DOCS, PAGES, ROOT, commands, spans

SPHINX = Path(sys.executable).with_name("sphinx-build")
NO_SETTINGS = {"B2CAL_USER", "B2CAL_CRASH_AT", "site.key", "site.db"}
TOP = "b2cal|docs|tests|examples|dags|migrations|assets"
BUILDS = pytest.mark.processes
IN_EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def is_ours(text: str, program: str) -> bool:
    return re.match(rf"(\.venv/bin/|[A-Z0-9_]+=\S+ )?{program} ", text) is not None


@IN_EVERY_PAGE
def test_every_command_of_the_pages_can_be_given(page):
    for text in commands(page):
        if is_ours(text, "b2cal"):
            first = re.split(r" (?:\|\|?|&&) ", text)[0]
            words = shlex.split(first)
            understand(group, words[1:] if words[0].endswith("b2cal") else words[2:], text)


def understand(command: click.Command, words: list[str], text: str) -> None:
    """Have click parse the words as it would for a person, without doing anything."""
    context = click.Context(command)
    try:
        given, rest, _ = command.make_parser(context).parse_args(list(words))
    except click.UsageError as error:
        pytest.fail(f"{text}: {error.format_message()}")
    missing = [it.name for it in command.params if it.required and it.value_is_missing(given.get(it.name))]
    assert not (words and missing), f"{text}: {missing} must be given"
    if isinstance(command, click.Group) and rest:
        inner = command.get_command(context, rest[0])
        assert inner is not None, f"{text}: there is no {rest[0]}"
        understand(inner, rest[1:], text)


@IN_EVERY_PAGE
def test_every_make_target_of_the_pages_exists(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    asked = {word for text in commands(page) if is_ours(text, "make") for word in text.split("make ")[1].split()[:1]}
    assert asked <= targets


@IN_EVERY_PAGE
def test_a_page_can_be_read_as_a_file(page):
    """No link without a text, and at each place that only the build fills a line that says with what."""
    text = page.read_text()
    assert not re.findall(r"(?<!!)\[\]\([^)]*\)", text)
    places = re.findall(r"^<!-- generated: .* -->\n(.*)$", text, flags=re.MULTILINE)
    assert all(re.fullmatch(r"\*Made from the code .+\(`make docs`\): .+\.\*", line) for line in places), places


MADE_BY_COMMANDS = {"docs/_build/html"}


@IN_EVERY_PAGE
def test_every_file_that_is_named_exists(page):
    named = {text for text in spans(page) if re.fullmatch(rf"({TOP})/[\w./-]*", text)}
    assert not {text for text in named - MADE_BY_COMMANDS if not (ROOT / text).exists()}


@IN_EVERY_PAGE
def test_every_setting_and_variable_that_is_named_exists(page):
    keys = set(setting_keys())
    sections = "|".join({key.split(".")[0] for key in keys if "." in key})
    named = {text for text in spans(page) if re.fullmatch(rf"({sections})\.\w+", text)}
    named |= set(re.findall(r"B2CAL_\w+", page.read_text()))
    assert named <= keys | {f"B2CAL_{key.upper().replace('.', '__')}" for key in keys} | NO_SETTINGS


def setting_keys() -> list[str]:
    tree = Settings.model_construct().model_dump()
    return [
        f"{name}.{inner}" if inner else name
        for name, value in tree.items()
        for inner in (value if isinstance(value, dict) else [""])
    ]


def test_the_times_of_the_demo_are_those_that_the_quick_start_tells():
    page = " ".join((DOCS / "quick_start.md").read_text().split())
    assert f"with a window of {DEMO.window_s:g} s" in page
    assert f"after a notice of {DEMO.notice_s:g} s" in page
    assert f"its window is {SMALL.window_s:g} s and the notice {SMALL.notice_s:g} s, too short to take part" in page


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All pages, built as `make docs` does, but elsewhere."""
    folder = tmp_path_factory.mktemp("docs")
    build = subprocess.run(
        [SPHINX, "--fail-on-warning", "--keep-going", "--quiet", "-d", folder / "trees", DOCS, folder / "html"],
        capture_output=True,
        check=False,
        text=True,
    )
    assert build.returncode == 0, build.stderr
    return folder / "html"


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def rows_of(page: Path) -> list[list[str]]:
    """The cells of all rows of all tables."""
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", page.read_text(), flags=re.DOTALL)
    return [[text_of(cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, flags=re.DOTALL)] for row in rows]


@BUILDS
def test_the_pages_are_built_without_a_warning_and_no_part_is_left_out(built):
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.glob("*.md")}
    assert pages <= {path.relative_to(built) for path in built.glob("*.html")}
    texts = [path.read_text() for path in built.glob("*.html")]
    assert not [text for text in texts if "<!-- generated" in text or "Made from the code when" in text]


OF_DATA = (Verb.GO_ON, Verb.SELECT, Verb.CANCEL_JOBS, Verb.RETRY_JOBS)
KINDS = {Verb.REPLACE: "calibrate and copy", **dict.fromkeys(OF_DATA, "calibrate and produce")}
ROLES_OF_A_CALIBRATION = (Role.EXPERT, Role.DEPUTY, Role.MANAGER, Role.LOOP)


@BUILDS
@pytest.mark.parametrize("rule", [*RULES, *PROCESSING_RULES], ids=lambda rule: f"{rule.verb} {sorted(rule.at)}")
def test_every_rule_has_its_row_with_a_tick_for_each_who_may(built, rule):
    ticks = ["✓" if role in rule.who else "" for role in ROLES_OF_A_CALIBRATION]
    targets = rule.to if isinstance(rule.to, tuple) else [rule.to] if rule.to else []
    target = " or ".join(state.word for state in targets) or "as before"
    what = f"{rule.label} , with a reason" if rule.reason is Reason.NEEDED else rule.label
    only = KINDS.get(rule.verb)
    what = f"{what} ({only} only)" if only else what
    found = [row[1] for row in rows_of(built / "the_loop.html") if [row[0], *row[2:]] == [what, target, *ticks]]
    states = type(next(iter(rule.at)))
    assert any({state for state in states if at_is(text, state)} == rule.at for text in found), found


def at_is(text: str, state: State | ProcessingState) -> bool:
    """Whether the cell of a rule says that it holds in this state."""
    if text.startswith("anything"):
        return state.word != text.removeprefix("anything but ")
    return state.word in text.split(", ")


@BUILDS
def test_every_change_of_state_is_drawn(built):
    page = (built / "the_loop.html").read_text()
    pictures = re.findall(r'<svg[^>]*aria-label="([^"]*)".*?</svg>', page, flags=re.DOTALL)
    edges = [re.fullmatch(r"(.+): (.+) to (.+)", edge) for picture in pictures for edge in picture.split("; ")]
    drawn = {(edge[1], source, edge[3]) for edge in edges if edge for source in edge[2].split(", ")}
    for rule in (*RULES, *PROCESSING_RULES):
        targets = rule.to if isinstance(rule.to, tuple) else [rule.to] if rule.to else []
        assert {(rule.label, source.word, target.word) for source in rule.at for target in targets} <= drawn
    assert all(f">{state.word}</text>" in page for state in (*State, *ProcessingState))
    assert page.count('marker-end="url(#arrow)"') == len(edges)


@BUILDS
def test_a_drawing_is_as_wide_as_the_page_and_stays_readable(built):
    for page in ("the_loop.html", "working_on_b2cal.html"):
        for drawn in re.findall(r"<svg[^>]*aria-label=[^>]*>", (built / page).read_text()):
            assert not re.search(r' width="', drawn)
            least = re.search(r"width: 100%; min-width: ([\d.]+)px; max-width: ([\d.]+)px", drawn)
            assert least is not None
            assert float(least[1]) <= min(520, float(least[2]))


@BUILDS
def test_every_setting_retry_rule_and_command_has_its_line(built):
    operating, cli = (text_of((built / page).read_text()) for page in ("operating.html", "cli.html"))
    assert not [key for key in setting_keys() if f" {key} " not in operating]
    assert "loop.reminders [0.5, 0.8] numbers, at least 0, at most 1 fractions of a window" in operating
    assert all(rule.because in operating for rule in batch.RULES)
    assert not [name for name in command_names(group, "b2cal") if f" {name} " not in cli]


def command_names(command: click.Command, name: str) -> list[str]:
    if not isinstance(command, click.Group):
        return [name]
    context = click.Context(command)
    found = [(inner, command.get_command(context, inner)) for inner in command.list_commands(context)]
    return [each for inner, it in found if it is not None for each in command_names(it, f"{name} {inner}")]
