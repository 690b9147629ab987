"""The long tests of `make proof`: `python -m tests.proof [part ...]`, all parts by default.

The part `kill` writes docs/proof.md: what each case showed, and from which commit it was made.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

from tests.groups import UNIT, Command, main, pytest
from tests.kill.test_kill import MOMENTS, PARTS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "proof.md"
MEANING = {
    "intent-to-submit": "the agent has written down that it will submit a group of jobs, and has not done so",
    "submit-to-record": "the batch system has the jobs, and the database does not know",
    "end-to-transition": "all jobs of an attempt have ended, and its calibration is still said to run",
}
PAGE_TEXT = """\
# Proof

For whoever wants to know what b2cal survives: each of its parts killed with `kill -9` at each of three moments, on the
small profile of the demo. `make proof` writes this page; the cases are in `tests/kill/test_kill.py`.

Made from commit `{commit}` on {date}, on {cores} cores, in {minutes} minutes: **{passed} of {cases} cases passed.**
Undisturbed, the loop takes {undisturbed} s.

{moments}

*Healed*: every component works, the killed one as another process, and the loop has gone on; a killed job was done
again. *Whole loop*: from the start to the publication. *Constants*: those published, compared bit for bit with those of
the undisturbed loop. *Lost* and *doubled*: decisions, messages, submissions and executions of jobs. *Left behind*:
processes that live when `b2cal up` has ended.

{kills}
"""
HEAD = ("Killed", "Moment", "Healed after", "Whole loop", "Constants", "Lost", "Doubled", "Left behind")


@dataclass(frozen=True)
class Case:
    """What one case showed: nothing that it did not come to."""

    passed: bool
    showed: dict[str, str] = field(default_factory=dict)

    def cells(self) -> Iterator[str]:
        """As they stand in the table."""
        for name in ("healed_s", "total_s"):
            yield f"{self.showed[name]} s" if name in self.showed else "–"
        yield {"True": "equal", "False": "**differ**"}.get(self.showed.get("equal", ""), "–")
        for name in ("lost", "doubled", "orphans"):
            yield self.showed.get(name, "–")


@dataclass(frozen=True)
class Report:
    """What pytest wrote about the kill cases: by their names, and of the whole."""

    cases: dict[str, Case]
    undisturbed_s: str
    took_s: float


def read(report: Path) -> Report:
    """The cases in a JUnit report of pytest."""
    suite = ET.parse(report).getroot()[0]  # noqa: S314 (pytest has just written it)
    cases = {}
    for test in suite.iter("testcase"):
        name = test.attrib["name"].partition("[")[2].removesuffix("]")
        passed = not any(test.find(bad) is not None for bad in ("failure", "error", "skipped"))
        cases[name] = Case(passed, {it.attrib["name"]: it.attrib["value"] for it in test.iter("property")})
    of_all = {it.attrib["name"]: it.attrib["value"] for it in suite.findall("properties/property")}
    return Report(cases, of_all.get("undisturbed_s", "?"), float(suite.attrib["time"]))


def page(report: Report, commit: str, at: datetime) -> str:
    """docs/proof.md."""
    return PAGE_TEXT.format(
        commit=commit,
        date=f"{at:%Y-%m-%d}",
        cores=os.cpu_count(),
        minutes=f"{report.took_s / 60:.0f}",
        passed=sum(case.passed for case in report.cases.values()),
        cases=len(PARTS) * len(MOMENTS),
        undisturbed=report.undisturbed_s,
        moments=table(("Moment", "What is so at it"), ((f"`{moment}`", MEANING[moment]) for moment in MOMENTS)),
        kills=table(HEAD, (row(report, part, moment) for part in PARTS for moment in MOMENTS)),
    )


def row(report: Report, part: str, moment: str) -> tuple[str, ...]:
    """One case; also one that was not run."""
    case = report.cases.get(f"{part} at {moment}")
    if case is None:
        return (part, f"`{moment}`", "not run", *[""] * (len(HEAD) - 3))
    return (part if case.passed else f"**FAILED** {part}", f"`{moment}`", *case.cells())


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """As Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows))


def commit() -> str:
    """What is checked out; `-dirty` when it has been changed since."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def parts(report: Path) -> dict[str, list[Command]]:
    """What each part runs."""
    return {
        "kill": pytest("kill", "tests/kill", "-o", "junit_family=xunit1", f"--junitxml={report}"),
        "others": pytest("proof", "--ignore=tests/kill"),
        "thorough": pytest(UNIT, "-n", "2", "--hypothesis-profile", "thorough", "--timeout", "1800"),
    }


if __name__ == "__main__":
    made_from = commit()
    with TemporaryDirectory() as folder:
        report = Path(folder, "kill.xml")
        exit_code = main(parts(report), sys.argv[1:])
        if report.exists():
            PAGE.write_text(page(read(report), made_from, datetime.now(UTC)))
    sys.exit(exit_code)
