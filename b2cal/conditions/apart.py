"""Work on files that nobody vouches for, in a process apart with limits on time, memory and written bytes.

The process is this very file, run as a script with the path of a module that defines `handle(item)`. It answers each
item by one line of JSON. Whatever one item does to the process, the others still get their answer.
"""

import ctypes
import json
import os
import resource
import runpy
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

_START_S = 120.0
_PR_SET_PDEATHSIG = 1  # prctl(2)
_PASSED_ON = ("HOME", "LD_LIBRARY_PATH", "MPLCONFIGDIR", "PATH", "TMPDIR", "XDG_CACHE_HOME")
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Allowance:
    """What one item may use: wall-clock time, address space, bytes of each file it writes."""

    seconds: int = 30
    memory_bytes: int = 4 << 30
    file_bytes: int = 64 << 20


@dataclass(frozen=True)
class Answer:
    """What became of one item: the JSON value that its handler returned, or why there is none, as half a sentence."""

    value: Any
    failure: str = ""


def work_apart(module: Path, items: Sequence[Any], allowance: Allowance) -> list[Answer]:
    """Let `handle` of a module work on each item; an item whose handling kills the process does not stop the rest.

    Args:
        module: path of a Python file that defines `handle(item)`; see `_enter_package` for its imports.
        items: values that JSON knows.
        allowance: for each item.

    Returns:
        One answer for each item, in their order.
    """
    answers: list[Answer] = []
    while len(answers) < len(items):
        rest = items[len(answers) :]
        output, ending = _one_process(module, rest, allowance)
        answers += [Answer(line.get("value"), line.get("failure", "")) for line in map(json.loads, output)]
        if len(output) < len(rest):
            answers.append(Answer(None, ending))
    return answers


def _one_process(module: Path, items: Sequence[Any], allowance: Allowance) -> tuple[list[str], str]:
    """Lines of a process that works until it is through or dies, and how it died."""
    command = [sys.executable, "-P", __file__, str(module), json.dumps(vars(allowance)), str(os.getpid())]
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment |= {"PYTHONPATH": str(_ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        process = subprocess.run(
            command,
            input=json.dumps(items).encode(),
            capture_output=True,
            env=environment,
            timeout=_START_S + allowance.seconds * len(items),
            check=False,
        )
    except subprocess.TimeoutExpired as stuck:
        return _whole_lines(stuck.stdout), "the process that worked on it did not end"
    return _whole_lines(process.stdout), _how_it_died(process.returncode, process.stderr, allowance)


def _whole_lines(output: bytes | None) -> list[str]:
    return (output or b"").decode(errors="replace").split("\n")[:-1]


def _how_it_died(code: int, stderr: bytes, allowance: Allowance) -> str:
    if code == -signal.SIGALRM:
        return f"it took longer than {allowance.seconds} s"
    if code < 0:
        return f"the process that worked on it was ended by {signal.Signals(-code).name}"
    last_words = stderr.decode(errors="replace").strip().rpartition("\n")[2]
    return f"the process that worked on it ended with code {code}: {last_words}"


def _serve(module: str, allowance: Allowance, parent: int) -> None:
    _end_with(parent)
    # Answers have a channel of their own: what libraries print goes to stderr.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    items = json.load(sys.stdin)
    _enter_package(Path(module).parent)
    handle = runpy.run_path(module, run_name="apart")["handle"]
    resource.setrlimit(resource.RLIMIT_AS, (allowance.memory_bytes, allowance.memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (allowance.file_bytes, allowance.file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit fails instead of killing
    for item in items:
        signal.alarm(allowance.seconds)
        answers.write(json.dumps(_answer(handle, item, allowance)) + "\n")
        signal.alarm(0)


def _end_with(parent: int) -> None:
    """Let the kernel end this process when its parent is gone: nobody would hear the answers."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before the kernel was asked
        sys.exit(1)


def _enter_package(folder: Path) -> None:
    """Let a module of b2cal import its neighbours without the door of their package, which would load the database."""
    if folder.is_relative_to(_ROOT):
        package = ModuleType(".".join(folder.relative_to(_ROOT).parts))
        package.__path__ = [str(folder)]
        sys.modules[package.__name__] = package


def _answer(handle: Any, item: Any, allowance: Allowance) -> dict[str, Any]:
    try:
        return {"value": handle(item)}
    except MemoryError:
        return {"failure": f"it needs more than {allowance.memory_bytes >> 20} MiB of memory"}
    except Exception as error:  # noqa: BLE001  any failure of one item is its answer
        return {"failure": f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"}


if __name__ == "__main__":
    _serve(sys.argv[1], Allowance(**json.loads(sys.argv[2])), int(sys.argv[3]))
