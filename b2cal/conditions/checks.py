"""Checks of payload files, before anything of them is stored or published."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from b2cal.core.apart import Allowance, Answer, work_apart

_INSPECTION = Path(__file__).with_name("inspection.py")


@dataclass(frozen=True)
class FileCheck:
    """What a look into a payload file has found; everything but `path` is empty if there is a `problem`."""

    path: Path
    name: str
    identity: str
    checksum: str
    size_bytes: int
    problem: str

    @property
    def problems(self) -> tuple[str, ...]:
        """The problem behind the file's name, if there is one."""
        return (f"{self.path.name}: {self.problem}",) if self.problem else ()


def check_files(
    paths: Sequence[Path], names: Collection[str] | None = None, allowance: Allowance | None = None
) -> list[FileCheck]:
    """Open payload files in a process apart: ROOT file, complete, contents finite and as their identity says.

    Args:
        paths: of the files.
        names: of the payloads that they may hold; None = any.
        allowance: of time and memory for each file.

    Returns:
        One check for each file, in their order; a `problem` has no full stop.
    """
    answers = work_apart(_INSPECTION, [str(path) for path in paths], allowance or Allowance())
    return [_check(path, answer, names) for path, answer in zip(paths, answers, strict=True)]


def _check(path: Path, answer: Answer, names: Collection[str] | None) -> FileCheck:
    found = answer.value or {}
    problem = answer.failure or found.get("problem", "")
    if not problem and names is not None and found["name"] not in names:
        problem = f"it holds {found['name']}, where {' or '.join(sorted(names))} was expected"
    if problem:
        return FileCheck(path, "", "", "", 0, problem)
    return FileCheck(path, found["name"], found["identity"], found["checksum"], found["size_bytes"], "")
