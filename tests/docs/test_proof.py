"""The page of the kill cases says of each what it showed, also when it failed or was not run."""

import re
from datetime import UTC, datetime
from pathlib import Path

from tests.kill.test_kill import MOMENTS, PARTS
from tests.proof import page, read

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


def test_every_case_has_its_row(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(REPORT)
    written = page(read(tmp_path / "report.xml"), "0123456789ab", datetime(2026, 11, 27, tzinfo=UTC))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in written.splitlines() if line[:1] == "|"]
    assert ["agent", "`submit-to-record`", "1.5 s", "80.2 s", "equal", "0", "0", "0"] in rows
    assert ["**FAILED** site", "`submit-to-record`", "2.5 s", "–", "–", "–", "–", "–"] in rows
    assert sum(row[2:3] == ["not run"] for row in rows) == len(PARTS) * len(MOMENTS) - 2
    assert "**1 of 27 cases passed.**" in written
    assert "Undisturbed, the loop takes 76.1 s." in written
    assert "commit `0123456789ab` on 2026-11-27" in written


def test_the_page_shows_every_case_passed_at_a_clean_commit() -> None:
    written = (Path(__file__).parents[2] / "docs/proof.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in written.splitlines() if line[:1] == "|"]
    cases = [row for row in rows if len(row) == 8 and row[1].startswith("`")]
    assert sorted(row[:2] for row in cases) == sorted([part, f"`{moment}`"] for part in PARTS for moment in MOMENTS)
    assert {tuple(row[4:]) for row in cases} == {("equal", "0", "0", "0")}
    assert all(re.fullmatch(r"\d+\.\d s", took) for row in cases for took in row[2:4])
    assert "**27 of 27 cases passed.**" in written
    assert re.search(r"^Made from commit `[0-9a-f]{12}` on ", written, re.MULTILINE), "made from changes not committed"
