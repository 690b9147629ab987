"""The loop of the demo at other centres: nothing of this machine is seen there, and the constants are the same."""

import re
import sys
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal.core.clock import SystemClock
from b2cal.model import Database, DataFile, Job
from b2cal.settings import Settings
from tests.end_to_end.conftest import DemoRun, run_demo
from tests.services import xrootd
from tests.services.environment import interpreter
from tests.services.pool import unpacked

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(900)]

HOSTS = {"condor": {"one.localhost", "two.localhost"}, "lsf": {"h1", "h2"}}
"""What the machines are called that `make demo CENTRE=...` starts."""


@pytest.mark.parametrize("centre", ["condor", "lsf"])
def test_at_a_centre_behind_a_door_the_demo_gives_the_same_constants(
    small_demo: DemoRun, centre: str, tmp_path: Path
) -> None:
    unpacked()
    xrootd.installed()
    interpreter("jobs_python")
    where = (sys.executable, "-m", "tests.services.centre", centre)
    run = run_demo(tmp_path, "--small", "--centre", centre, where=where)
    assert run.exit_code == 0, run.said
    assert run.left == []
    assert run.identities() == small_demo.identities()
    database = Database(Settings(home=run.home).url, SystemClock())
    with database.read() as db:
        hosts = hosts_of(db)
        raw, produced = paths_of(db)
    database.dispose()
    assert hosts
    assert hosts <= HOSTS[centre]
    (door,) = {re.match(r"root://127\.0\.0\.1:\d+//", path)[0] for path in raw}
    assert raw
    assert all(path.startswith(f"{door}raw/") for path in raw)
    assert produced
    assert all(path.startswith(f"{door}cdst/") for path in produced)


def hosts_of(db: Session) -> set[str]:
    return set(db.scalars(select(Job.host).where(Job.host != "")))


def paths_of(db: Session) -> tuple[list[str], list[str]]:
    """Of the files that were taken, and of those that a production made."""
    files = db.scalars(select(DataFile)).all()
    return (
        [file.path for file in files if file.attempt_id is None],
        [file.path for file in files if file.attempt_id is not None],
    )
