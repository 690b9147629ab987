"""Work on files that nobody vouches for, item by item, in a confined process.

The process is this very file, run as a script with the path of a module that defines `handle(item)`. It answers each
item by one line of JSON. Whatever one item does to the process, the others still get their answer.
"""

import json
import os
import resource
import runpy
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from b2cal.core import confined
from b2cal.core.errors import B2calError

_START_S = 120.0
_PASSED_ON = ("HOME", "LD_LIBRARY_PATH", "MPLCONFIGDIR", "PATH", "TMPDIR", "XDG_CACHE_HOME")
_ROOT = Path(__file__).parents[2]
_READY = "ready"


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


class CannotWorkApart(B2calError):
    """The process does not even begin: what it works on is not to blame."""


def work_apart(
    module: Path,
    items: Sequence[Any],
    allowance: Allowance,
    more_seconds: Sequence[int] = (),
    environment: Mapping[str, str] = MappingProxyType({}),
) -> list[Answer]:
    """Let `handle` of a module work on each item; an item whose handling kills the process does not stop the rest.

    Args:
        module: path of a Python file that defines `handle(item)`; see `_enter_package` for its imports.
        items: values that JSON knows.
        allowance: for each item.
        more_seconds: what each item may take beyond it, for instance because it is large; none if empty.
        environment: what the process finds set, beyond the little that it always does.

    Returns:
        One answer for each item, in their order.

    Raises:
        CannotWorkApart: the module cannot be loaded.
    """
    times = [allowance.seconds + more for more in more_seconds or [0] * len(items)]
    waiting = list(zip(items, times, strict=True))
    answers: list[Answer] = []
    while waiting:
        ended = _one_process(module, waiting, allowance, environment)
        ready, *lines = ended.output.decode(errors="replace").split("\n")[:-1] or [""]
        if ready != _READY:
            raise CannotWorkApart(
                f"The process for {module.stem} does not begin: {_how_it_died(ended, 0)}.",
                hint="Install b2cal again with its locked dependencies.",
            )
        answers += [Answer(line.get("value"), line.get("failure", "")) for line in map(json.loads, lines)]
        waiting = waiting[len(lines) :]
        if waiting:
            _, seconds = waiting.pop(0)
            answers.append(Answer(None, _how_it_died(ended, seconds)))
    return answers


def _one_process(
    module: Path, items: Sequence[tuple[Any, int]], allowance: Allowance, more: Mapping[str, str]
) -> confined.Ended:
    """A process that works until it is through or dies."""
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | dict(more)
    environment |= {"PYTHONPATH": str(_ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    seconds = _START_S + sum(seconds for _, seconds in items)
    return confined.run(
        [sys.executable, "-P", __file__, str(module)],
        Path.cwd(),
        environment,
        confined.Limits(seconds, allowance.memory_bytes, allowance.file_bytes),
        json.dumps(items).encode(),
    )


def _how_it_died(ended: confined.Ended, seconds: int) -> str:
    if not ended.in_time:
        return "the process that worked on it did not end"
    if ended.code == -signal.SIGALRM:
        return f"it took longer than {seconds} s"
    if ended.code < 0:
        return f"the process that worked on it was ended by {signal.Signals(-ended.code).name}"
    last_words = ended.errors.strip().rpartition("\n")[2]
    return f"the process that worked on it ended with code {ended.code}: {last_words}"


def _serve(module: str) -> None:
    # Answers have a channel of their own: what libraries print goes to stderr.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    items = json.load(sys.stdin)
    _enter_package(Path(module).parent)
    handle = runpy.run_path(module, run_name="apart")["handle"]
    answers.write(f"{_READY}\n")
    for item, seconds in items:
        signal.alarm(seconds)
        answers.write(json.dumps(_answer(handle, item)) + "\n")
        signal.alarm(0)


def _enter_package(folder: Path) -> None:
    """Let a module of b2cal import its neighbours without the door of their package, which would load the database."""
    if folder.is_relative_to(_ROOT):
        package = ModuleType(".".join(folder.relative_to(_ROOT).parts))
        package.__path__ = [str(folder)]
        sys.modules[package.__name__] = package


def _answer(handle: Any, item: Any) -> dict[str, Any]:
    try:
        return {"value": handle(item)}
    except MemoryError:
        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        return {"failure": f"it needs more than {most >> 20} MiB of memory"}
    except Exception as error:  # noqa: BLE001  any failure of one item is its answer
        return {"failure": f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"}


if __name__ == "__main__":
    _serve(sys.argv[1])
