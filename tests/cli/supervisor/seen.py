"""What tests let components do, and what they see of a supervisor."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from b2cal.cli.supervisor import Supervisor
from b2cal.cli.watch import ComponentStatus, Phase
from tests.waiting import wait_for

WAITS = "import time; time.sleep(600)"

ENDS_SOON = "import time; time.sleep(0.05); raise SystemExit(3)"

IGNORES_SIGTERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
while True: time.sleep(600)
"""

# As the scheduler: workers in its group, a task in a group of its own. And as the agent: a batch job that outlives.
HAS_FAMILY = """
import os, subprocess, sys, time
def fork(act):
    if os.fork() == 0:
        act()
        time.sleep(600)
fork(lambda: None)
fork(lambda: os.setpgid(0, 0))
fork(lambda: fork(lambda: os.setpgid(0, 0)))
subprocess.run(["setsid", "--fork", sys.executable, "-S", "-E", "-c",
    "import os, time; print('job', os.getpid(), flush=True); time.sleep(600)"])
time.sleep(600)
"""


def told(home: Path) -> Any:
    """The status as the supervisor wrote it."""
    return json.loads((home / "run" / "up.json").read_text())


def jobs_of(log: Path) -> list[int]:
    """The batch jobs that HAS_FAMILY started."""
    return [int(line.split()[1]) for line in log.read_text().splitlines() if line.startswith("job ")]


def only(supervisor: Supervisor) -> ComponentStatus:
    [status] = supervisor.status
    return status


def pid_of(supervisor: Supervisor) -> int:
    return int(wait_for(lambda: only(supervisor).pid))


def all_run(supervisor: Supervisor) -> bool:
    """Whether every component has shown that it works."""
    return {status.phase for status in supervisor.status} == {Phase.RUNNING}


def family(pid: int) -> set[int]:
    """All living processes of a session."""
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == pid and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
    return found


def running_pids(home: Path, number: int) -> list[int] | None:
    """The processes of that many components, once all are there."""
    with suppress(FileNotFoundError):
        pids = [component["pid"] for component in told(home)["components"]]
        return pids if len(pids) == number and all(pids) else None
    return None
