"""The long tests of `make proof`: `python -m tests.proof [part ...]`, all parts by default.

The parts `kill` and `centres` write pages of the docs: what each case showed, and from which commit it was made.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.checkout import ROOT, commit
from tests.groups import UNIT, Command, main, pytest

from . import centres, kill
from .report import read

PAGES = {"kill": ("proof.md", kill.page), "centres": ("proof_at_centres.md", centres.page)}
THOROUGH = ("--hypothesis-profile", "thorough", "--timeout", "1800")


def parts(reports: Path) -> dict[str, list[Command]]:
    """What each part runs; those that make a page leave a report."""
    apart = [f"--ignore={it}" for it in ("tests/kill", *centres.TESTS)]
    written = {part: ["-o", "junit_family=xunit1", f"--junitxml={reports / part}.xml"] for part in PAGES}
    return {
        "kill": pytest("kill", "tests/kill", *written["kill"]),
        "centres": pytest("proof", *centres.TESTS, *written["centres"]),
        "others": pytest("proof", *apart),
        "thorough": pytest(f"({UNIT}) or (loop and not proof)", "-n", "2", *THOROUGH),
    }


if __name__ == "__main__":
    made_from = commit()
    with TemporaryDirectory() as folder:
        exit_code = main(parts(Path(folder)), sys.argv[1:])
        for part, (name, page) in PAGES.items():
            report = Path(folder, f"{part}.xml")
            if report.exists():
                (ROOT / "docs" / name).write_text(page(read(report), made_from, datetime.now(UTC)))
    sys.exit(exit_code)
