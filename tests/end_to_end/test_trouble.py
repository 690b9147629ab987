"""Trouble with the machine that a whole loop meets on its way."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from b2cal.model import Lease, now
from tests.end_to_end.conftest import DemoRun
from tests.small_loop import SmallLoop
from tests.waiting import wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.proof, pytest.mark.timeout(1200)]


@pytest.fixture
def small(tmp_path: Path, furnished: Path) -> Iterator[SmallLoop]:
    """A home on a file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(disk)], check=True)
    small = SmallLoop(disk / "home", furnished)
    yield small
    small.end()
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_disk_that_is_full_for_a_while_costs_nothing_but_time(small: SmallLoop, small_demo: DemoRun) -> None:
    """Database, Airflow's metadata, logs, jobs and status: none of them can be written."""
    small.begin()
    small.up()
    wait_for(lambda: "running" in small.states().values(), "a calibration that runs", 180)
    ballast = small.home / "ballast"
    with suppress(OSError), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    wait_for(lambda: lease_has_expired(small), "an agent that cannot renew its lease", 120)
    ballast.unlink()
    small.until_published()
    assert small.identities() == small_demo.identities()
    assert small.doubled() == []
    wait_for(small.all_run, "all components", 120)
    assert small.down() == 0
    assert small.processes() == []


def lease_has_expired(small: SmallLoop) -> bool:
    with small.workplace.database.read() as db:
        lease = db.get(Lease, "agent")
        return lease is not None and lease.expires_at < now(db)
