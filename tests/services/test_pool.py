"""Where HTCondor cannot be had."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("ci", "ends_with"), [("false", "2 skipped"), ("true", "2 errors")])
def test_tests_that_need_a_pool_are_skipped_with_one_line_that_says_so_and_on_ci_they_fail(
    tmp_path: Path, ci: str, ends_with: str
) -> None:
    nothing_there = {"XDG_CACHE_HOME": str(tmp_path), "DEBIAN_MIRROR": f"file:{tmp_path / 'empty'}", "CI": ci}
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "tests/batch/test_condor.py",
            "-k",
            "somebody_holds or cannot_pass",
        ],
        cwd=ROOT,
        env=os.environ | nothing_there,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = ended.stdout.splitlines()
    assert ends_with in lines[-1]
    assert bool(ended.returncode) is (ci == "true")
    why = "no HTCondor: condor_unpack: the list of packages cannot be had from Debian trixie"
    loud = [line for line in lines if line.startswith("NOT TESTED") and line.endswith(why)]
    assert len(loud) == (ci == "false")
    assert any(why in line for line in lines)
