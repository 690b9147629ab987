"""The page that leads from an empty folder to published constants, done as it says."""

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, Command, File, steps
from tests.services.ports import free_ports
from tests.waiting import wait_for

PAGE = DOCS / "writing_a_calibration.md"
BIN = Path(sys.executable).parent
STEPS = tuple(steps(PAGE))
BEFORE_THE_LOOP = tuple(takewhile(lambda step: step != Command("b2cal init", "✓ Ready in ...\n"), STEPS))


class Reader:
    """Somebody who does in an empty folder what the page says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        login = pwd.getpwuid(os.getuid()).pw_name
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("B2CAL_")},
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "USER": login,
            "LOGNAME": login,
            "COLUMNS": "200",
        }
        self.second_terminal: list[subprocess.Popen[bytes]] = []

    def do(self, step: File | Command) -> None:
        if isinstance(step, File):
            path = self.folder / step.name
            path.parent.mkdir(exist_ok=True)
            path.write_text(step.content)
        elif step.text == "b2cal up":
            self._leave_running(step)
        else:
            self._give(step)

    def _give(self, command: Command) -> None:
        given = subprocess.run(
            ["bash", "-c", command.text],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            text=True,
        )
        assert given.returncode == 0, f"$ {command.text}\n{given.stdout}"
        assert command.is_answered_by(given.stdout), (
            f"$ {command.text}\n{given.stdout}\nThe page says:\n{command.prints}"
        )

    def _leave_running(self, command: Command) -> None:
        site, airflow = free_ports(2)
        ports = {"B2CAL_SITE__PORT": str(site), "B2CAL_AIRFLOW__PORT": str(airflow)}
        printed = self.folder / "second_terminal"
        with open(printed, "wb") as output:
            self.second_terminal.append(
                subprocess.Popen(
                    [BIN / "b2cal", "up"],
                    cwd=self.folder,
                    env=self.environment | ports,
                    stdout=output,
                    stderr=output,
                )
            )
        wait_for(lambda: command.is_answered_by(printed.read_text()), "the page's output of b2cal up", 60)

    def leave(self) -> None:
        for process in self.second_terminal:
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.leave()


@pytest.mark.processes
def test_the_scripts_of_the_page_calibrate_and_are_a_release(reader: Reader) -> None:
    assert 0 < len(BEFORE_THE_LOOP) < len(STEPS)
    for step in BEFORE_THE_LOOP:
        reader.do(step)


@pytest.mark.end_to_end
@pytest.mark.timeout(600)
def test_the_page_leads_from_an_empty_folder_to_published_constants(reader: Reader) -> None:
    for step in STEPS:
        reader.do(step)
