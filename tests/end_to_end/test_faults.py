"""A whole loop on an HTCondor pool with everything that goes wrong at computing centres, beside one with nothing."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest
from sqlalchemy import func, select

from b2cal.cli import furnishing
from b2cal.core.clock import SystemClock
from b2cal.model import Database, Incident, IncidentKind, Job, JobState
from b2cal.settings import Settings
from tests.services import xrootd
from tests.services.environment import interpreter
from tests.services.pool import Pool, power_off, running_pool, worker
from tests.services.ports import free_ports
from tests.small_loop import Identities, constants_of
from tests.waiting import wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.proof, pytest.mark.timeout(7200)]

CHECKOUT = Path(__file__).parents[2]
MACHINES = ("one", "two", "three", "four")
BLACK_HOLE = "hole"
AWAY_S = 60.0
AT_LEAST_S = 600.0
AT_MOST = 1.5

PYTHON = """#!/bin/bash
# The Python of jobs that take their time. With the file `trouble` beside it, one in twenty fails in the end, and on one
# machine all fail at once.
trouble={folder}/trouble
if [ -e $trouble ] && grep -q '^Machine = "{hole}.localhost"' "$_CONDOR_MACHINE_AD"; then
    echo "ImportError: libstdc++.so.6: cannot open shared object file" >&2; exit 1
fi
sleep 24
if [ -e $trouble ] && [ $((RANDOM % 20)) = 0 ]; then echo "OSError: [Errno 5] Input/output error" >&2; exit 1; fi
exec {python} "$@"
"""


@dataclass
class Centre:
    """A pool, a storage and a demo that uses them."""

    folder: Path
    pool: Pool
    door: xrootd.Door
    described: Mapping[str, object]
    done: list[str] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def run(self, meanwhile: Callable[["Centre"], None]) -> float:
        """Run the full demo at this centre; how long the loop took, in seconds."""
        site, airflow = free_ports(2)
        environment = {
            **os.environ,
            "B2CAL_HOME": str(self.home),
            "B2CAL_SITE__PORT": str(site),
            "B2CAL_AIRFLOW__PORT": str(airflow),
            "B2CAL_CENTRES": json.dumps({"pool": self.described}),
            "B2CAL_BATCH__RETRY_DELAY_S": "5",
            "B2CAL_BATCH__BYTES_PER_JOB": "1",
        }
        up = self.home / "run" / "up.json"
        command = [sys.executable, "-m", "b2cal", "demo", "--exit", "--centre", "pool"]
        with open(self.folder / "said", "wb") as said, subprocess.Popen(command, env=environment, stdout=said) as demo:
            try:
                wait_for(lambda: up.exists() and self.count(Job.id.is_not(None)), "the loop has begun", 300)
                started = time.monotonic()
                meanwhile(self)
                assert demo.wait(timeout=3600) == 0, (self.folder / "said").read_text()
            finally:
                demo.terminate()
        return time.monotonic() - started

    def count(self, condition: object) -> int:
        """So many jobs of which something is true."""
        with self.database() as database, database.read() as db:
            return db.scalar(select(func.count()).select_from(Job).where(condition)) or 0

    def wait_for_jobs(self, number: int) -> None:
        wait_for(lambda: self.count(Job.state == JobState.DONE) >= number, f"{number} jobs are done", 1800)

    def identities(self) -> Identities:
        with self.database() as database:
            return constants_of(database, furnishing.TAG)

    def database(self) -> "Opened":
        return Opened(Database(Settings(home=self.home).url, SystemClock()))


@dataclass
class Opened:
    """A database that is closed at the end."""

    database: Database

    def __enter__(self) -> Database:
        return self.database

    def __exit__(self, *_: object) -> None:
        self.database.dispose()


@pytest.fixture
def centres(tmp_path: Path) -> Iterator[Callable[[str, tuple[str, ...]], Centre]]:
    """Makes centres with machines of these names; two slots each."""
    python = interpreter("jobs_python")
    with ExitStack() as stack:

        def made(name: str, machines: tuple[str, ...]) -> Centre:
            folder = tmp_path / name
            prefix = Path(stack.enter_context(TemporaryDirectory(prefix="b2cal-jobs-", dir="/tmp")))
            flaky = prefix / "python"
            flaky.write_text(PYTHON.format(folder=prefix, hole=BLACK_HOLE, python=python))
            flaky.chmod(0o755)
            if BLACK_HOLE in machines:
                (prefix / "trouble").touch()
            (folder / "home").mkdir(parents=True)
            door = stack.enter_context(xrootd.running(folder / "storage"))
            (door.files / "cdst").mkdir()
            state = Path(stack.enter_context(TemporaryDirectory(prefix="b2cal-pool-", dir="/tmp")))
            pool = stack.enter_context(running_pool(state, CONDOR_SLOTS="0"))
            for machine in machines:
                stack.enter_context(worker(state, machine, 2, [CHECKOUT, folder]))
            described = {
                "backend": "htcondor",
                "python": str(Path(sys.executable).resolve()),
                "interpreter": str(flaky),
                "doors": [door.url()],
                "output": door.url("cdst"),
                "job_lease_s": 20,
                "release_after_s": 5,
                "look_every_s": 10,
                "memory_mb": 1000,
            }
            return Centre(folder, pool, door, described)

        yield made


def faults(centre: Centre) -> None:
    """The schedd is killed, the storage goes away and comes back, a machine loses its power for good."""
    centre.wait_for_jobs(15)
    (schedd,) = centre.pool.pids("schedd")
    psutil.Process(schedd).kill()
    centre.wait_for_jobs(45)
    centre.door.stop()
    time.sleep(AWAY_S)
    centre.door.start()
    centre.wait_for_jobs(75)
    power_off(centre.pool.folder, MACHINES[0])


def test_with_all_faults_at_once_the_loop_ends_by_itself_with_the_same_constants_and_not_much_later(
    centres: Callable[[str, tuple[str, ...]], Centre], record_property: Callable[[str, object], None]
) -> None:
    calm = centres("calm", MACHINES)
    calm_s = calm.run(lambda _: None)
    troubled = centres("troubled", (*MACHINES, BLACK_HOLE))
    troubled_s = troubled.run(faults)
    failed = troubled.count(Job.state == JobState.FAILED)
    for name, value in (("calm_s", calm_s), ("troubled_s", troubled_s), ("ratio", troubled_s / calm_s)):
        record_property(name, round(value, 2))
    record_property("failed", failed)
    assert calm_s >= AT_LEAST_S
    assert calm.count(Job.state == JobState.FAILED) == 0
    assert failed > 5
    assert troubled.count((Job.state == JobState.FAILED) & (Job.retry == "")) == 0
    with troubled.database() as database, database.read() as db:
        excluded = db.scalars(select(Incident.about).where(Incident.kind == IncidentKind.HOST)).all()
    assert f"{BLACK_HOLE}.localhost" in excluded
    assert troubled.identities() == calm.identities()
    assert troubled_s <= AT_MOST * calm_s
