"""The HTCondor pool of the tests, and where there is none."""

import os
import subprocess
import sys
from pathlib import Path

import htcondor2
import psutil
import pytest

from tests.waiting import wait_for

from .pool import running_pool, worker

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]


def test_a_machine_of_its_own_sees_nothing_of_what_is_covered_and_its_jobs_are_gone_with_it(tmp_path: Path) -> None:
    secret, slow = tmp_path / "secret", tmp_path / "slow"
    secret.mkdir()
    (secret / "data").touch()
    slow.mkdir()
    with running_pool(tmp_path / "pool", CONDOR_SLOTS="0"):
        with worker(tmp_path / "pool", "one", 2, [ROOT, secret]):
            assert printed(tmp_path, f"ls -A {ROOT}; ls -A {secret}; echo end") == ["end"]
            left_running = submitted(slow, "exec sleep 86413")
            wait_for(lambda: sleepers() == 1, "it runs")
        assert sleepers() == 0
        htcondor2.Schedd().act(htcondor2.JobAction.Remove, f"ClusterId == {left_running}")


def sleepers() -> int:
    return sum(process.info["cmdline"] == ["sleep", "86413"] for process in psutil.process_iter(["cmdline"]))


def submitted(folder: Path, script: str) -> int:
    """A job of the shell; its cluster."""
    description = {
        "executable": "/bin/sh",
        "transfer_executable": "false",
        "arguments": f"\"-c '{script}'\"",
        "should_transfer_files": "YES",
        "initialdir": str(folder),
        "output": "out",
        "error": "out",
        "request_memory": "100",
        "request_disk": "1 MB",
    }
    return int(htcondor2.Schedd().submit(htcondor2.Submit(description)).cluster())


def printed(folder: Path, script: str) -> list[str]:
    """What a job of the shell has printed."""
    cluster = submitted(folder, script)
    wait_for(lambda: not htcondor2.Schedd().query(f"ClusterId == {cluster}"), "it has ended")
    return (folder / "out").read_text().splitlines()


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
