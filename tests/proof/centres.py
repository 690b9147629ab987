"""docs/proof_at_centres.md: what goes wrong at computing centres, on a real HTCondor pool and a real XRootD server."""

import os
from datetime import datetime
from itertools import groupby

from .report import Case, Report, table

TESTS = (
    "tests/end_to_end/test_faults.py",
    "tests/agent/test_many_jobs.py",
    "tests/calibration/test_server_trouble.py",
    "tests/batch",
)
PAGE_TEXT = """\
# Proof at computing centres

For whoever wants to know what b2cal survives where its jobs run on a batch system and their files lie behind a door: on
a real HTCondor pool and a real XRootD server, which the tests start. `make proof ARGS=centres` writes this page. A
computing centre that lost nothing and doubled nothing here may still have faults of its own; the tests that run on
every day have smaller numbers of the same kind.

Made from commit `{commit}` on {date}, on {cores} cores, in {minutes} minutes: **{passed} of {cases} tests passed.**

{tests}

Where tests of one module share a line, they are cases of one suite: here the contract of batch systems at a schedd of
another machine, and thousands of jobs in a group.
"""
MOST_LINES = 5
"""Of one module; more tests than that are cases of one suite."""


def page(report: Report, commit: str, at: datetime) -> str:
    """What each test showed."""
    rows = [row for _, its in groupby(report.cases, lambda case: case.module) for row in _rows(list(its))]
    return PAGE_TEXT.format(
        commit=commit,
        date=f"{at:%Y-%m-%d}",
        cores=os.cpu_count(),
        minutes=report.minutes,
        passed=report.passed,
        cases=len(report.cases),
        tests=table(("Test", "Shown", "Took", "Figures"), iter(rows)),
    )


def _rows(cases: list[Case]) -> list[tuple[str, ...]]:
    """The lines of a module."""
    path = f"`{cases[0].module.replace('.', '/')}.py`"
    took_s = sum(case.took_s for case in cases)
    if len(cases) > MOST_LINES:
        passed = sum(case.passed for case in cases)
        return [
            (path, f"{'' if passed == len(cases) else '**FAILED** '}{passed} of {len(cases)}", f"{took_s:.0f} s", "")
        ]
    return [(path, _sentence(case), f"{case.took_s:.0f} s", _figures(case)) for case in cases]


def _sentence(case: Case) -> str:
    """What the name of a test says."""
    said = case.test.removeprefix("test_").replace("_", " ")
    bad = "" if case.passed else "**FAILED** "
    return f"{bad}{said[:1].upper()}{said[1:]}{f' ({case.case})' if case.case else ''}."


def _figures(case: Case) -> str:
    return ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in case.figures.items())
