"""The XRootD server of the tests, and where there is none."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .xrootd import Door, running

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
HASTY = {
    "XRD_CONNECTIONWINDOW": "1",
    "XRD_CONNECTIONRETRY": "1",
    "XRD_REQUESTTIMEOUT": "2",
    "XRD_TIMEOUTRESOLUTION": "1",
}


def told(door: Door) -> str:
    """What somebody is told who asks for a folder without patience."""
    asked = subprocess.run(
        ["xrdfs", f"127.0.0.1:{door.port}", "ls", "/raw"],
        env=os.environ | HASTY,
        capture_output=True,
        text=True,
        check=False,
    )
    return (asked.stdout or asked.stderr).strip()


def test_a_server_is_up_down_and_up_again_at_the_same_address_with_its_files(tmp_path: Path) -> None:
    with running(tmp_path) as door:
        address = door.url()
        (door.files / "raw").mkdir()
        (door.files / "raw" / "cosmics.root").write_bytes(b"events")
        assert told(door) == "/raw/cosmics.root"

        door.stop()
        assert "Connection error" in told(door)

        door.start()
        assert door.url() == address
        assert told(door) == "/raw/cosmics.root"

        with door.hanging():
            assert re.search("expired|Socket timeout", told(door))
        assert told(door) == "/raw/cosmics.root"
    assert "Connection error" in told(door)


@pytest.mark.parametrize(("ci", "ends_with"), [("false", "1 skipped"), ("true", "1 failed")])
def test_tests_that_need_a_server_are_skipped_with_one_line_that_says_so_and_on_ci_they_fail(
    tmp_path: Path, ci: str, ends_with: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "up_again"],
        cwd=ROOT,
        env=os.environ | {"PATH": str(tmp_path), "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = ended.stdout.splitlines()
    assert ends_with in lines[-1]
    why = "no xrootd on this machine: apt-get install xrootd-server xrootd-client"
    assert sum(line.startswith("NOT TESTED") and line.endswith(why) for line in lines) == (ci == "false")
    assert any(why in line for line in lines)
