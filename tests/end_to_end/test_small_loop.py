"""A whole loop with the four real processes of Airflow, the agent and the site."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
from sqlalchemy import func, select

from b2cal.model import Decision, Job, Run, SitePresence
from tests.small_loop import SmallLoop, free_ports, wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(900)]


def test_the_small_demo_ends_with_a_table_near_the_truth_and_leaves_nothing_behind(tmp_path: Path) -> None:
    site, airflow = free_ports(2)
    environment = {
        **os.environ,
        "B2CAL_HOME": str(tmp_path / "home"),
        "B2CAL_SITE__PORT": str(site),
        "B2CAL_AIRFLOW__PORT": str(airflow),
    }
    command = [sys.executable, "-m", "b2cal", "demo", "--small", "--exit"]
    started = time.monotonic()
    with open(tmp_path / "out", "wb") as output:
        running = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    memory = 0
    answered_after = None
    while running.poll() is None:
        memory = max(memory, proportional_memory(running.pid))
        if answered_after is None and answers(f"http://127.0.0.1:{site}/health"):
            answered_after = time.monotonic() - started
        time.sleep(1)
    said = (tmp_path / "out").read_text()
    assert running.returncode == 0, said
    assert answered_after is not None
    assert answered_after < 60
    assert memory < 2.5 * 1024**3
    rows = json.loads((tmp_path / "home" / "result.json").read_text())
    assert len(rows) == 6
    assert all(row["p"] > 0.001 and row["after"] < row["before"] for row in rows)
    left = [p for p in psutil.process_iter() if environment_of(p).get("B2CAL_HOME") == str(tmp_path / "home")]
    assert left == []

    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert json.loads((tmp_path / "home" / "result.json").read_text()) == rows


def test_without_the_scheduler_only_people_change_states_and_batch_jobs_go_on(tmp_path: Path, simulated: Path) -> None:
    small = SmallLoop(tmp_path / "home", simulated)
    try:
        small.hold_at("end-to-transition")
        small.up()
        small.prepare()
        with small.held_at("end-to-transition"):
            scheduler = psutil.Process(small.component("scheduler"))
            stopped = [scheduler, *scheduler.children(recursive=True)]
            for process in stopped:
                process.suspend()
            before = count(small, Decision)
        wait_for("the end of the jobs", lambda: open_jobs(small) == 0, 60)
        time.sleep(5)  # long enough for what must not happen: a scheduler that lives would act within a second
        assert count(small, Decision) == before
        for process in stopped:
            process.resume()
        small.until_published()
        assert count(small, Run) > 0
        assert count(small, Job) <= 120
        assert count(small, SitePresence) == 1
        assert small.down() == 0
        assert small.processes() == []
    finally:
        small.end()


def test_with_airflows_metadata_deleted_in_the_middle_the_processing_goes_on(tmp_path: Path, simulated: Path) -> None:
    small = SmallLoop(tmp_path / "home", simulated)
    try:
        small.hold_at("submit-to-record")
        small.up()
        small.prepare()
        with small.held_at("submit-to-record"):
            for file in (small.home / "airflow").glob("airflow.db*"):
                file.unlink()
        small.until_published()
        assert small.doubled() == []
    finally:
        small.end()


def count(small: SmallLoop, table: type[Decision] | type[Job] | type[Run]) -> int:
    with small.workplace.database.read() as db:
        return db.scalar(select(func.count()).select_from(table)) or 0


def open_jobs(small: SmallLoop) -> int:
    with small.workplace.database.read() as db:
        return db.scalar(select(func.count()).where(Job.state.in_(["queued", "running"]))) or 0


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:  # noqa: S310 (the address is ours)
            return bool(reply.status == 200)
    except OSError:
        return False


def environment_of(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


def proportional_memory(pid: int) -> int:
    """PSS in bytes of a process and all that came from it."""
    total = 0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in family:
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total
