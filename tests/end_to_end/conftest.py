"""The small demo, run once as a person runs it: what it shows, and the constants of a processing that is alone."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from b2cal.cli import furnishing
from b2cal.core.clock import SystemClock
from b2cal.model import Database
from b2cal.settings import Settings
from tests.services.ports import free_ports
from tests.small_loop import Identities, constants_of, processes_of


@dataclass(frozen=True)
class DemoRun:
    """A `b2cal demo --exit` that has ended.

    Attributes:
        answered_after_s: until the site answered; None if it never did.
        memory: largest proportional memory of all its processes and jobs, in bytes, as seen every second.
    """

    home: Path
    command: tuple[str, ...]
    environment: dict[str, str]
    exit_code: int
    said: str
    took_s: float
    answered_after_s: float | None
    memory: int
    left: list[psutil.Process]

    def identities(self) -> Identities:
        """What it published."""
        database = Database(Settings(home=self.home).url, SystemClock())
        try:
            return constants_of(database, furnishing.TAG)
        finally:
            database.dispose()


def run_demo(folder: Path, *options: str, where: Sequence[str] = ()) -> DemoRun:
    """Run the demo in a home of its own and watch it; `where` is a command that runs another."""
    home = folder / "home"
    site, airflow = free_ports(2)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("B2CAL_")},
        "B2CAL_HOME": str(home),
        "B2CAL_SITE__PORT": str(site),
        "B2CAL_AIRFLOW__PORT": str(airflow),
    }
    command = (*where, sys.executable, "-m", "b2cal", "demo", "--exit", *options)
    started = time.monotonic()
    memory, answered_after_s = 0, None
    with open(folder / "out", "wb") as output:
        running = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        while running.poll() is None:
            memory = max(memory, sum(proportional_memory(process) for process in processes_of(home)))
            if answered_after_s is None and answers(f"http://127.0.0.1:{site}/health"):
                answered_after_s = time.monotonic() - started
            time.sleep(1)
    return DemoRun(
        home,
        command,
        environment,
        running.returncode,
        (folder / "out").read_text(),
        time.monotonic() - started,
        answered_after_s,
        memory,
        processes_of(home),
    )


@pytest.fixture(scope="session")
def small_demo(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    return run_demo(tmp_path_factory.mktemp("demo"), "--small")


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:  # noqa: S310 (the address is ours)
            return bool(reply.status == 200)
    except OSError:
        return False


def proportional_memory(process: psutil.Process) -> int:
    """PSS in bytes; nothing if it is gone."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.NoSuchProcess:
        return 0
