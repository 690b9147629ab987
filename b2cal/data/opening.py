"""Opening data files without opening them here: damaged or malicious ones can end a process."""

import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from b2cal.core.errors import B2calError

_OPENER = Path(__file__).with_name("opener.py")
_ENVIRONMENT = {"PATH": os.defpath, "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_HEADER_BYTES = 64
_BIG_FILES_FROM = 1_000_000  # ROOT's version number of a file that needs 64-bit positions is raised by this


class CannotOpenFiles(B2calError):
    """The process that opens files does not even start."""


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
        CannotOpenFiles: the process that opens files does not start.
    """
    found = {path: Opened(reason=problem) for path in paths if (problem := header_problem(path))}
    waiting = [path for path in paths if path not in found]
    while waiting:
        answers, ending = _ask(opener, waiting)
        found |= dict(zip(waiting, answers, strict=False))
        waiting = waiting[len(answers) :]
        if waiting:
            found[waiting.pop(0)] = Opened(reason=ending)
    return [found[path] for path in paths]


def _ask(opener: Path, paths: Sequence[Path]) -> tuple[list[Opened], str]:
    """One process on all paths: its answers, and how it ended if there are less than paths."""
    with tempfile.TemporaryFile("w+") as questions:
        questions.writelines(json.dumps([str(path), _size(path)]) + "\n" for path in paths)
        questions.seek(0)
        child = subprocess.run(
            [sys.executable, "-I", "-B", str(opener)],
            stdin=questions,
            capture_output=True,
            env=_ENVIRONMENT,
            check=False,
            text=True,
        )
    if child.returncode == os.EX_UNAVAILABLE:
        raise CannotOpenFiles(
            f"Data files cannot be opened, because uproot cannot be imported: {child.stderr.strip()}",
            hint="Install b2cal again with its locked dependencies.",
        )
    answers = [json.loads(line) for line in child.stdout.splitlines(keepends=True) if line.endswith("\n")]
    return [Opened(**answer) for answer in answers], _ending(child.returncode)


def _ending(code: int) -> str:
    if code == -signal.SIGALRM:
        return "opening it took too long"
    how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return f"the process that opened it {how}"


def header_problem(path: Path) -> str:
    """What the first bytes and the size of a file already tell; empty if nothing is wrong with them."""
    try:
        with open(path, "rb") as file:
            header = file.read(_HEADER_BYTES)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        return str(error.strerror)
    if not header:
        return "it is empty"
    if len(header) < _HEADER_BYTES or not header.startswith(b"root"):
        return "it is no ROOT file"
    version, begin = struct.unpack(">ii", header[4:12])
    end = struct.unpack(
        ">q" if version >= _BIG_FILES_FROM else ">i", header[12 : 20 if version >= _BIG_FILES_FROM else 16]
    )[0]
    if not 0 < begin <= end:
        return "its header is damaged"
    return f"it is truncated: {size:,} of {end:,} bytes are there" if size < end else ""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
