"""The pages as tests read them: files to write, commands to give with what they should print, words in `code`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.glob("*.md")))

_OPTION = re.compile(r":(\w+): (.*)\n")
_FRAME = str.maketrans("", "", "┏━┳┓┃┡╇┩│├─┼┤└┴┘")


@dataclass(frozen=True)
class File:
    """A file that the page has the reader write."""

    name: str
    content: str


@dataclass(frozen=True)
class Command:
    """A command that the page has the reader give, and the lines that it should print; `...` stands for anything."""

    text: str
    prints: str

    def is_answered_by(self, printed: str) -> bool:
        """Whether the lines of the page come in this order in what was printed, without frames and line breaks."""
        wanted = ".*".join(
            re.escape(" ".join(part.translate(_FRAME).split()))
            for line in self.prints.splitlines()
            for part in line.split("...")
        )
        return re.search(wanted, " ".join(printed.translate(_FRAME).split())) is not None


def steps(page: Path) -> Iterator[File | Command]:
    """What a reader of this page does, in its order. Included files are no steps."""
    for kind, content in fences(page):
        if kind == "console":
            for command in re.split(r"^\$ ", content, flags=re.MULTILINE)[1:]:
                text, _, prints = command.partition("\n")
                yield Command(text, prints)
        elif kind.startswith("{code-block}"):
            options = dict(_OPTION.findall(content))
            yield File(options["caption"], _OPTION.sub("", content))


def fences(page: Path) -> Iterator[tuple[str, str]]:
    """All fenced blocks, with what stands behind the fence."""
    for token in MarkdownIt().parse(page.read_text()):
        if token.type == "fence":
            yield token.info.strip(), token.content


def spans(page: Path) -> Iterator[str]:
    """All `code` in the text."""
    for token in MarkdownIt().enable("table").parse(page.read_text()):
        for child in token.children or ():
            if child.type == "code_inline":
                yield child.content


def commands(page: Path) -> Iterator[str]:
    """All lines of a page that begin with `b2cal` or `make`, in blocks, or in the text."""
    yield from spans(page)
    for kind, content in fences(page):
        if kind in ("", "console"):
            yield from (line.removeprefix("$ ") for line in content.splitlines())
