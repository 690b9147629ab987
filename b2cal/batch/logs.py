"""Reading logs of any size: a window of lines, the tail first, and where the first error is."""

import mmap
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

WINDOW = 400
"""Lines of one page."""

_LONGEST_LINE = 2000
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
_ERROR = re.compile(rb"\b(?:error|fatal|exception|traceback|segmentation violation|killed)\b|Error:", re.IGNORECASE)
_FRAGMENTS = tuple(
    written
    for word in (b"rror", b"atal", b"xception", b"raceback", b"egmentation violation", b"illed")
    for written in (word, word.upper())
)
"""The words of _ERROR without their first letters, as they are written: found at once in a file of any size."""

_SEARCHED = 20_000_000


@dataclass(frozen=True)
class Line:
    """A line with its number, from 1."""

    number: int
    text: str
    is_error: bool


@dataclass(frozen=True)
class Excerpt:
    """Some lines of a log.

    Attributes:
        lines: those shown.
        total: how many there are.
        first_error: number of the line with the first error; None if none was found.
        size_bytes: of the whole file.
    """

    lines: tuple[Line, ...]
    total: int
    first_error: int | None
    size_bytes: int

    @property
    def first(self) -> int:
        return self.lines[0].number if self.lines else 1

    @property
    def last(self) -> int:
        return self.lines[-1].number if self.lines else 0


NOTHING = Excerpt((), 0, None, 0)


def read_log(path: Path, start: int | None = None, error: str = "", n_lines: int = WINDOW) -> Excerpt:
    """Lines of a log from number `start` on; without one its end.

    Args:
        path: of the log; a missing or empty one has no lines.
        start: number of the first line wanted.
        error: the first error as the job reported it, to be found in the text.
        n_lines: how many lines at most.
    """
    with _bytes_of(path) as content:
        if content is None:
            return NOTHING
        total = _newlines(content) + (content[-1:] != b"\n")
        place = _find_error(content, error)
        first_error = None if place is None else 1 + _newlines(content, place)
        begin = max(1, total - n_lines + 1) if start is None else min(max(1, start), total)
        return Excerpt(tuple(_lines(content, begin, n_lines, first_error)), total, first_error, len(content))


def around_error(path: Path, error: str, before: int = 1, after: int = 1) -> Excerpt:
    """The first error of a log with its neighbours."""
    found = read_log(path, 1, error, 1).first_error
    if found is None:
        return NOTHING
    return read_log(path, max(1, found - before), error, min(found, before + 1) + after)


@contextmanager
def _bytes_of(path: Path) -> Iterator[mmap.mmap | None]:
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a file of no bytes cannot be mapped
        yield None


def _newlines(content: mmap.mmap, end: int | None = None) -> int:
    end = len(content) if end is None else end
    step = 1 << 22
    return sum(content[place : min(place + step, end)].count(b"\n") for place in range(0, end, step))


def _find_error(content: mmap.mmap, error: str) -> int | None:
    if error and (place := content.find(error.encode())) >= 0:
        return place
    first, end = None, min(len(content), _SEARCHED)
    for fragment in _FRAGMENTS:
        place = content.find(fragment, 0, end)
        while place >= 0 and not (place and _ERROR.match(content, place - 1)):
            place = content.find(fragment, place + 1, end)
        if place >= 0:
            first, end = place - 1, place
    return first


def _lines(content: mmap.mmap, begin: int, n_lines: int, first_error: int | None) -> Iterator[Line]:
    place = _start_of_line(content, begin)
    for number in range(begin, begin + n_lines):
        if place >= len(content):
            return
        end = content.find(b"\n", place)
        end = len(content) if end < 0 else end
        yield Line(number, _text(content, place, end), number == first_error)
        place = end + 1


def _start_of_line(content: mmap.mmap, number: int) -> int:
    place, step, seen = 0, 1 << 22, 1
    while place < len(content):
        count = content[place : place + step].count(b"\n")
        if seen + count >= number:
            break
        seen, place = seen + count, place + step
    for _ in range(number - seen):
        place = content.find(b"\n", place) + 1
    return place


def _text(content: mmap.mmap, begin: int, end: int) -> str:
    cut = content[begin : min(end, begin + _LONGEST_LINE)].decode(errors="replace")
    left = end - begin - _LONGEST_LINE
    return _ESCAPES.sub("", cut) + (f" … {left:,} more bytes" if left > 0 else "")
