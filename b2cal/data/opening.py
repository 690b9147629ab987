"""Opening data files without opening them here: damaged or malicious ones can end a process."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from b2cal.core.apart import Allowance, Answer, work_apart
from b2cal.core.root_file import root_file_problem

_OPENER = Path(__file__).with_name("opener.py")
_SLOWEST_BYTES_PER_S = 5_000_000


@dataclass(frozen=True)
class Opened:
    """What was found in a file; `reason` is empty unless it cannot be used."""

    n_events: int = 0
    sha256: str = ""
    reason: str = ""


def open_files(paths: Sequence[Path], opener: Path = _OPENER) -> list[Opened]:
    """Count the events of each file and take its checksum, or say why it cannot be used; in the order of `paths`.

    A file at which `opener` dies or takes too long is the only one that is lost.

    Raises:
        CannotWorkApart: the process that opens files does not begin.
    """
    found = {path: Opened(reason=problem) for path in paths if (problem := header_problem(path))}
    waiting = [path for path in paths if path not in found]
    more_seconds = [_size(path) // _SLOWEST_BYTES_PER_S for path in waiting]
    answers = work_apart(opener, [str(path) for path in waiting], Allowance(), more_seconds)
    found |= {path: opened(answer) for path, answer in zip(waiting, answers, strict=True)}
    return [found[path] for path in paths]


def opened(answer: Answer) -> Opened:
    """What the process apart has answered about a file."""
    return Opened(reason=answer.failure) if answer.failure else Opened(**answer.value)


def header_problem(path: Path) -> str:
    """What the first bytes and the size of a file already tell; empty if nothing is wrong with them."""
    try:
        return root_file_problem(path)
    except OSError as error:
        return str(error.strerror)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
