"""All that is tested, group by group: `python tests/groups.py [group ...]`, all groups by default. Not the long tests.

Every group runs and shows its output, also after a failure; the closing table says how each ended. A group without any
test is a failure.
"""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

BIN = Path(sys.executable).parent
SLOW = ("loop", "pages", "processes", "contract", "service", "browser", "end_to_end", "kill", "physics", "proof")

Command = Sequence[str | Path]


def pytest(marks: str, *options: str) -> list[Command]:
    """One call of pytest for the tests that `marks` selects."""
    return [[BIN / "pytest", "-m", marks, *options]]


UNIT = " and ".join(f"not {mark}" for mark in SLOW)
GROUPS: dict[str, list[Command]] = {
    "lint": [
        [BIN / "ruff", "check"],
        [BIN / "ruff", "format", "--check"],
        [BIN / "mypy"],
        [BIN / "lint-imports", "--no-logo"],
    ],
    "unit": pytest(UNIT, "-n", "2", "--dist", "worksteal"),
    **{group: pytest(f"{group} and not proof", "-n", "2") for group in SLOW if group != "proof"},
    "loop": pytest("loop and not service and not proof", "-n", "2", "--dist", "worksteal"),
    "pages": pytest("pages and not processes and not browser and not proof", "-n", "2", "--dist", "worksteal"),
    "contract": pytest("contract and not proof", "-n", "2", "--dist", "worksteal"),
    "service": pytest("service and not proof", "-n", "2", "--dist", "worksteal"),
    "physics": pytest("physics and not proof", "-n", "2", "--dist", "loadfile"),
}


def run(command: Command) -> tuple[int, str]:
    """Exit code and closing line of a command, whose output is shown as it comes."""
    last = ""
    print(f"\n$ {' '.join(map(str, command))}", flush=True)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line.strip(" =\n") or last
    return process.returncode, last


def main(groups: Mapping[str, list[Command]], names: Sequence[str]) -> int:
    """Run the groups named, all by default, and print how each ended; 1 if one failed."""
    if unknown := set(names) - set(groups):
        sys.exit(f"No such group: {', '.join(unknown)}. There are: {', '.join(groups)}.")
    rows, failed = [], False
    for name in names or groups:
        started = time.monotonic()
        results = [run(command) for command in groups[name]]
        bad = [
            f"{Path(command[0]).name}: {closing}"
            for command, (code, closing) in zip(groups[name], results, strict=True)
            if code
        ]
        failed |= bool(bad)
        took = time.monotonic() - started
        rows.append(f"{'FAILED' if bad else 'ok':<7}{name:<12}{took:6.1f} s  {'; '.join(bad) or results[-1][1]}")
    print("\n" + "\n".join(rows))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(GROUPS, sys.argv[1:]))
