"""All end together, and nothing of them is left."""

import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import psutil
import pytest

from b2cal.cli import processes, supervisor
from b2cal.cli.processes import CannotEnd
from b2cal.cli.supervisor import Supervisor
from b2cal.cli.watch import Phase
from tests.cli.supervisor.seen import (
    HAS_FAMILY,
    IGNORES_SIGTERM,
    WAITS,
    all_run,
    family,
    running_pids,
    told,
)
from tests.cli.supervisor.supervised import python
from tests.waiting import wait_for

pytestmark = pytest.mark.processes


def test_all_are_asked_to_end_at_once_and_who_does_not_is_killed(
    start: Callable[..., Supervisor], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "END_WITHIN_S", 1.0)
    slow = """
import signal, sys, time
def end(*_):
    print("asked", time.monotonic(), flush=True)
    time.sleep(0.4)
    print("ended", time.monotonic(), flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(600)
"""
    running = start(python("one", slow), python("two", slow), python("deaf", IGNORES_SIGTERM))
    logs = [home / "logs" / f"{name}.log" for name in ("one", "two", "deaf")]
    wait_for(lambda: all(log.exists() and re.search("^(ready|deaf)$", log.read_text(), re.MULTILINE) for log in logs))
    pids = [status.pid for status in running.status]
    running.stop(Event())
    one, two = (re.findall(r"^(?:asked|ended) ([\d.]+)", log.read_text(), re.MULTILINE) for log in logs[:2])
    assert max(float(one[0]), float(two[0])) < min(float(one[1]), float(two[1]))
    assert not any(psutil.pid_exists(pid) for pid in pids if pid)
    assert {status.phase for status in running.status} == {Phase.STOPPED}


def test_of_several_all_are_ended_although_one_of_them_is_stuck(
    start: Callable[..., Supervisor], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forks = "import os, time\nif not os.fork(): print('stuck', os.getpid(), flush=True)\ntime.sleep(600)"
    running = start(python("first", WAITS), python("second", forks), python("third", WAITS))
    wait_for(lambda: all_run(running))
    log = home / "logs" / "second.log"
    stuck = int(wait_for(lambda: re.search(r"^stuck (\d+)", log.read_text(), re.MULTILINE)).group(1))
    pids = [status.pid for status in running.status]
    kill = psutil.Process.kill
    with monkeypatch.context() as kernel:
        kernel.setattr(processes, "KILLED_WITHIN_S", 0.5)
        kernel.setattr(psutil.Process, "kill", lambda process: None if process.pid == stuck else kill(process))
        with pytest.raises(CannotEnd, match=f"Process {stuck} of second"):
            running.stop(Event())
    assert not any(psutil.pid_exists(pid) for pid in (pids[0], pids[2]) if pid)
    assert [status["phase"] for status in told(home)["components"]] == ["stopped", "running", "stopped"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_ending_signal_stops_all(
    run_program: Callable[..., subprocess.Popen[str]], tmp_path: Path, number: signal.Signals
) -> None:
    program = run_program(agent=WAITS, scheduler=HAS_FAMILY.replace("subprocess.run", "(lambda *_: 0)"))
    pids = wait_for(lambda: running_pids(tmp_path, 2))
    program.send_signal(number)
    assert program.wait(timeout=60) == 130
    assert [family(pid) for pid in pids] == [set(), set()]
    assert {component["phase"] for component in told(tmp_path)["components"]} == {"stopped"}


def test_a_second_interrupt_kills_at_once(run_program: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    program = run_program(deaf=IGNORES_SIGTERM)
    wait_for(lambda: running_pids(tmp_path, 1))
    wait_for(lambda: "\ndeaf\n" in (tmp_path / "logs" / "deaf.log").read_text())
    program.send_signal(signal.SIGINT)
    wait_for(lambda: "asked" in (tmp_path / "logs" / "up.log").read_text())
    before = time.monotonic()
    program.send_signal(signal.SIGINT)
    assert program.wait(timeout=60) == 130
    assert time.monotonic() - before < supervisor.END_WITHIN_S


def test_what_never_began_can_be_stopped(home: Path) -> None:
    Supervisor([python("site", WAITS)], home).stop(Event())
    assert [component["phase"] for component in told(home)["components"]] == ["stopped"]
