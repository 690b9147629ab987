"""Supervisors over small real processes in place of Airflow, agent and site."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event

import pytest

from b2cal.cli import supervisor
from b2cal.cli.components import Component
from b2cal.cli.supervisor import Supervisor
from tests.cli.supervisor.seen import told

PROGRAM = Path(__file__).with_name("supervised.py")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in less time."""
    monkeypatch.setattr(supervisor, "ROUND_S", 0.02)
    monkeypatch.setattr(supervisor, "LISTEN_EVERY_S", 0.05)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("run", "logs"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def start(home: Path) -> Iterator[Callable[..., Supervisor]]:
    """Start a supervisor in this process; it is stopped after the test."""
    started: list[Supervisor] = []
    hurry = Event()
    hurry.set()

    def start_one(*components: Component) -> Supervisor:
        started.append(Supervisor(components, home))
        started[-1].start()
        return started[-1]

    yield start_one
    for one in started:
        one.stop(hurry)


@pytest.fixture
def run_program(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Run the program of this folder; whatever it started is ended after the test."""
    programs: list[subprocess.Popen[str]] = []

    def run(**code: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(PROGRAM), str(tmp_path), *(f"{name}={text}" for name, text in code.items())]
        if os.geteuid() == 0:  # as anybody else, who may not write everywhere
            command = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--", *command]
        environment = os.environ | {"PYTHONPATH": str(PROGRAM.parents[3])}
        programs.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
        return programs[-1]

    yield run
    pids = (
        [component["pid"] for component in told(tmp_path)["components"]] if (tmp_path / "run/up.json").exists() else []
    )
    for program in programs:
        program.kill()
        program.communicate()
    for pid in filter(None, pids):
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
