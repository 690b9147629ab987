"""Pages of what was proven and measured say of each case what it showed, also when it failed or was not run."""

import re
from datetime import UTC, datetime
from pathlib import Path

from tests.checkout import ROOT
from tests.kill.test_kill import MOMENTS, PARTS
from tests.proof import centres, kill
from tests.proof.report import read

REPORT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" time="301.5">
  <properties><property name="undisturbed_s" value="76.1"/></properties>
  <testcase name="test_the_loop[agent at submit-to-record]">
    <properties>
      <property name="healed_s" value="1.5"/><property name="total_s" value="80.2"/>
      <property name="equal" value="True"/><property name="lost" value="0"/>
      <property name="doubled" value="0"/><property name="orphans" value="0"/>
    </properties>
  </testcase>
  <testcase name="test_the_loop[site at submit-to-record]">
    <properties><property name="healed_s" value="2.5"/></properties>
    <failure message="the publication did not come">...</failure>
  </testcase>
</testsuite></testsuites>
"""
AT_CENTRES = """<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" time="1830">
  <testcase classname="tests.end_to_end.test_faults" name="test_with_all_faults_the_loop_ends" time="1500.4">
    <properties><property name="calm_s" value="640.2"/><property name="ratio" value="1.2"/></properties>
  </testcase>
  <testcase classname="tests.agent.test_many_jobs" name="test_each_runs_once[10000]" time="300">
    <failure message="a job ran twice">...</failure>
  </testcase>
  {contract}
</testsuite></testsuites>
"""
OF_THE_CONTRACT = '<testcase classname="tests.batch.test_contract" name="test_it[remote-{number}]" time="0.5"/>'


def test_every_kill_has_its_row(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(REPORT)
    written = kill.page(read(tmp_path / "report.xml"), "0123456789ab", datetime(2026, 11, 27, tzinfo=UTC))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in written.splitlines() if line[:1] == "|"]
    assert ["agent", "`submit-to-record`", "1.5 s", "80.2 s", "equal", "0", "0", "0"] in rows
    assert ["**FAILED** site", "`submit-to-record`", "2.5 s", "–", "–", "–", "–", "–"] in rows
    assert sum(row[2:3] == ["not run"] for row in rows) == len(PARTS) * len(MOMENTS) - 2
    assert "**1 of 27 cases passed.**" in written
    assert "Undisturbed, the loop takes 76.1 s." in written
    assert "commit `0123456789ab` on 2026-11-27" in written


def test_the_page_of_kills_shows_every_case_passed_at_a_clean_commit() -> None:
    written = (ROOT / "docs/proof.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in written.splitlines() if line[:1] == "|"]
    cases = [row for row in rows if len(row) == 8 and row[1].startswith("`")]
    assert sorted(row[:2] for row in cases) == sorted([part, f"`{moment}`"] for part in PARTS for moment in MOMENTS)
    assert {tuple(row[4:]) for row in cases} == {("equal", "0", "0", "0")}
    assert all(re.fullmatch(r"\d+\.\d s", took) for row in cases for took in row[2:4])
    assert "**27 of 27 cases passed.**" in written
    assert re.search(r"^Made from commit `[0-9a-f]{12}` on ", written, re.MULTILINE), "made from changes not committed"


def test_every_test_at_centres_has_its_row_and_a_suite_one_for_all(tmp_path: Path) -> None:
    suite = "".join(OF_THE_CONTRACT.format(number=number) for number in range(60))
    (tmp_path / "report.xml").write_text(AT_CENTRES.format(contract=suite))
    written = centres.page(read(tmp_path / "report.xml"), "0123456789ab", datetime(2026, 11, 27, tzinfo=UTC))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in written.splitlines() if line[:1] == "|"]
    faults = "With all faults the loop ends."
    assert ["`tests/end_to_end/test_faults.py`", faults, "1500 s", "calm s: 640.2, ratio: 1.2"] in rows
    assert ["`tests/agent/test_many_jobs.py`", "**FAILED** Each runs once (10000).", "300 s", ""] in rows
    assert ["`tests/batch/test_contract.py`", "60 of 60", "30 s", ""] in rows
    assert "**61 of 62 tests passed.**" in written
