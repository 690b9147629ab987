"""Components that end are started again, one by one."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event

import psutil
import pytest

from b2cal.cli import watch
from b2cal.cli.components import Component
from b2cal.cli.supervisor import Supervisor
from b2cal.cli.watch import Phase
from tests.cli.supervisor.seen import ENDS_SOON, HAS_FAMILY, WAITS, family, jobs_of, only, pid_of
from tests.cli.supervisor.supervised import python
from tests.waiting import wait_for

pytestmark = pytest.mark.processes


def test_what_is_killed_is_started_again_at_once(start: Callable[..., Supervisor]) -> None:
    running = start(python("scheduler", WAITS))
    first = pid_of(running)
    killed_at = time.monotonic()
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: only(running).pid not in (None, first))
    assert time.monotonic() - killed_at < 2
    assert (only(running).restarts, only(running).note) == (1, "ended by signal 9")


def test_what_ends_again_and_again_is_started_less_and_less_often(
    start: Callable[..., Supervisor], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = (0.0, 0.1, 0.3, 0.6)
    monkeypatch.setattr(watch, "RESTART_AFTER_S", pauses)
    says_when = "import time; print('at', time.monotonic(), flush=True); raise SystemExit(3)"
    running = start(python("agent", says_when))
    log = home / "logs" / "agent.log"
    wait_for(lambda: log.exists() and log.read_text().count("at ") == 5)
    times = [float(line.split()[1]) for line in log.read_text().splitlines() if line.startswith("at")]
    for pause, before, after in zip(pauses, times, times[1:], strict=False):
        assert after - before >= pause
    assert only(running).note == "ended with exit code 3"


def test_after_a_steady_life_the_next_restart_is_again_immediate(
    start: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "RESTART_AFTER_S", (0.0, 600.0))
    monkeypatch.setattr(watch, "STEADY_AFTER_S", 0.02)
    running = start(python("agent", ENDS_SOON))
    wait_for(lambda: only(running).restarts >= 3)


def test_a_dead_component_is_reaped_with_all_that_came_from_it_but_batch_jobs_live_on(
    start: Callable[..., Supervisor], home: Path
) -> None:
    running = start(python("scheduler", HAS_FAMILY))
    first = pid_of(running)
    log = home / "logs" / "scheduler.log"
    job = int(wait_for(lambda: [line for line in log.read_text().splitlines() if line.startswith("job")])[0].split()[1])
    try:
        wait_for(lambda: len(family(first)) == 5)
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: only(running).restarts == 1)
        assert family(first) == set()
        assert psutil.Process(job).status() != psutil.STATUS_ZOMBIE
    finally:
        running.stop(Event())
        for pid in jobs_of(log):
            os.kill(pid, signal.SIGKILL)


def test_a_component_whose_child_was_killed_is_started_again_even_if_it_made_a_new_one(
    start: Callable[..., Supervisor],
) -> None:
    replaces_its_child = """
import os, time
while True:
    if os.fork() == 0:
        time.sleep(600)
    os.wait()
"""
    running = start(replace(python("scheduler", replaces_its_child), needs_children=True))
    first = pid_of(running)

    def restarted_after_a_kill() -> bool:
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(first).children():
                child.kill()
        return only(running).note == "lost a child process"

    wait_for(restarted_after_a_kill)
    assert family(first) == set()


def test_a_component_whose_file_was_removed_is_started_again(start: Callable[..., Supervisor], home: Path) -> None:
    database = home / "airflow.db"
    running = start(replace(python("scheduler", WAITS), rests_on=database))
    first = pid_of(running)
    database.touch()  # made by the component while it starts: no reason to doubt
    wait_for(lambda: only(running).phase is Phase.RUNNING)
    assert only(running).pid == first
    database.replace(home / "elsewhere")
    wait_for(lambda: only(running).restarts == 1)
    assert "removed or replaced" in only(running).note


def test_what_cannot_be_started_is_reported_and_the_others_run(start: Callable[..., Supervisor]) -> None:
    running = start(Component("site", ("/does/not/exist",)), python("agent", WAITS))
    site, agent = wait_for(lambda: running.status if running.status[1].pid else None)
    assert "could not be started" in site.note
    assert agent.restarts == 0
