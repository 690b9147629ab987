"""Run benchmarks one after the other, and keep what each prints in docs/benchmarks.

    python -m benchmarks [name ...]

All of them by default, each with as many jobs as it takes by itself: about an hour in which nothing else may run. What
ends badly leaves what was kept before.
"""

import subprocess
import sys
from collections.abc import Sequence

from tests.checkout import ROOT

KEPT = ROOT / "docs" / "benchmarks"
NAMES = ("handing_over", "time_to_notice", "killed_in_the_middle", "processing_of_full_size")


def main(names: Sequence[str]) -> int:
    """Run them; 1 if one ended badly."""
    if unknown := set(names) - set(NAMES):
        sys.exit(f"No such benchmark: {', '.join(unknown)}. There are: {', '.join(NAMES)}.")
    return max(kept(name) for name in names or NAMES)


def kept(name: str) -> int:
    """Run one, shown as it goes on; what it printed is kept if it ended well."""
    said = ""
    command = [sys.executable, "-m", f"benchmarks.{name}"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            print(line, end="", flush=True)
            said += line
    if running.returncode == 0:
        KEPT.mkdir(exist_ok=True)
        (KEPT / f"{name}.txt").write_text(said)
    return int(running.returncode != 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
