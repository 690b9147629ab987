"""The demo keeps what its page promises."""

import json
import signal
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from b2cal.core.clock import SystemClock
from b2cal.model import Database, Job, JobState
from b2cal.settings import Settings
from tests.end_to_end.conftest import DemoRun, run_demo
from tests.services.ports import free_ports
from tests.waiting import wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(900)]

MIB = 1024**2


def keeps_its_promises(run: DemoRun) -> bool:
    """A table near the truth, at most 2.5 GiB and 120 jobs, the site soon there, and nothing left behind."""
    assert run.exit_code == 0, run.said
    assert run.answered_after_s is not None
    assert run.answered_after_s < 60
    assert 500 * MIB < run.memory < 2.5 * 1024 * MIB
    rows = json.loads((run.home / "result.json").read_text())
    assert len(rows) == 6
    assert all(row["p"] > 0.001 and row["after"] < row["before"] for row in rows)
    assert 7 < jobs_of(run) <= 120
    return run.left == []


def jobs_of(run: DemoRun) -> int:
    database = Database(Settings(home=run.home).url, SystemClock())
    with database.read() as db:
        number = db.scalar(select(func.count()).select_from(Job)) or 0
    database.dispose()
    return number


def test_the_small_demo_ends_with_a_table_near_the_truth_and_leaves_nothing_behind(small_demo: DemoRun) -> None:
    assert keeps_its_promises(small_demo)


def test_the_same_command_shows_the_same_table_again(small_demo: DemoRun) -> None:
    assert small_demo.exit_code == 0, small_demo.said
    rows = (small_demo.home / "result.json").read_text()
    again = subprocess.run(small_demo.command, env=small_demo.environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert (small_demo.home / "result.json").read_text() == rows


def test_after_ctrl_c_in_the_middle_the_same_command_goes_on_to_the_same_constants(
    small_demo: DemoRun, tmp_path: Path
) -> None:
    site, airflow = free_ports(2)
    ports = {"B2CAL_SITE__PORT": str(site), "B2CAL_AIRFLOW__PORT": str(airflow)}
    environment = {**small_demo.environment, **ports, "B2CAL_HOME": str(tmp_path / "home")}
    with open(tmp_path / "first", "wb") as output:
        running = subprocess.Popen(small_demo.command, env=environment, stdout=output, stderr=output)
    try:
        wait_for(lambda: jobs_done_in(tmp_path / "home") > 2, "the first jobs that are done", 240)
    finally:
        running.send_signal(signal.SIGINT)
        exit_code = running.wait(timeout=60)
    said = (tmp_path / "first").read_text()
    assert exit_code == 130, said
    assert said.rstrip().endswith("Stopped; the same command goes on from here.")
    assert not (tmp_path / "home" / "result.json").exists()

    again = run_demo(tmp_path, "--small")
    assert again.exit_code == 0, again.said
    assert again.left == []
    assert again.identities() == small_demo.identities()


def jobs_done_in(home: Path) -> int:
    if not (home / "demo.json").exists():
        return 0
    database = Database(Settings(home=home).url, SystemClock())
    try:
        with database.read() as db:
            return db.scalar(select(func.count()).where(Job.state == JobState.DONE)) or 0
    except OperationalError:  # no tables yet
        return 0
    finally:
        database.dispose()


@pytest.mark.proof
def test_the_demo_itself_ends_within_eight_minutes(tmp_path_factory: pytest.TempPathFactory) -> None:
    run = run_demo(tmp_path_factory.mktemp("demo"))
    assert keeps_its_promises(run)
    assert run.took_s < 480
