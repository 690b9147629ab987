"""docs/proof.md: each part of b2cal killed at each named moment."""

import os
from collections.abc import Iterator
from datetime import datetime

from tests.kill.test_kill import MOMENTS, PARTS

from .report import Case, Report, table

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


def page(report: Report, commit: str, at: datetime) -> str:
    """What each case showed."""
    return PAGE_TEXT.format(
        commit=commit,
        date=f"{at:%Y-%m-%d}",
        cores=os.cpu_count(),
        minutes=report.minutes,
        passed=report.passed,
        cases=len(PARTS) * len(MOMENTS),
        undisturbed=report.figures.get("undisturbed_s", "?"),
        moments=table(("Moment", "What is so at it"), ((f"`{moment}`", MEANING[moment]) for moment in MOMENTS)),
        kills=table(HEAD, (_row(report, part, moment) for part in PARTS for moment in MOMENTS)),
    )


def _row(report: Report, part: str, moment: str) -> tuple[str, ...]:
    """One case; also one that was not run."""
    case = next((it for it in report.cases if it.case == f"{part} at {moment}"), None)
    if case is None:
        return (part, f"`{moment}`", "not run", *[""] * (len(HEAD) - 3))
    return (part if case.passed else f"**FAILED** {part}", f"`{moment}`", *_cells(case))


def _cells(case: Case) -> Iterator[str]:
    """What the case showed, as it stands in the table."""
    for name in ("healed_s", "total_s"):
        yield f"{case.figures[name]} s" if name in case.figures else "–"
    yield {"True": "equal", "False": "**differ**"}.get(case.figures.get("equal", ""), "–")
    for name in ("lost", "doubled", "orphans"):
        yield case.figures.get(name, "–")
