"""Trouble that the supervisor meets on its way: ports that are taken, disks that are full or read-only."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from b2cal.cli import watch
from b2cal.cli.components import Address
from b2cal.cli.foreground import supervising
from b2cal.cli.supervisor import Supervisor
from b2cal.cli.up import troubles
from tests.cli.supervisor.seen import (
    WAITS,
    only,
    running_pids,
)
from tests.cli.supervisor.supervised import python
from tests.waiting import wait_for

pytestmark = pytest.mark.processes


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_who_finds_its_port_taken_says_by_whom_and_comes_up_when_it_is_free(
    start: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "RESTART_AFTER_S", (0.0, 0.1))
    with closing(socket.create_server(("127.0.0.1", 0))) as stranger:
        port = stranger.getsockname()[1]
        running = start(replace(python("site", WAITS), address=Address("127.0.0.1", port, "site.port")))
        wait_for(lambda: only(running).restarts >= 2)
        assert only(running).pid is None
        assert f"cannot listen on port {port}: process {os.getpid()}" in only(running).note
        [line] = wait_for(lambda: troubles(running.status))
        assert line.startswith(f"site cannot listen on port {port}: process {os.getpid()}")
        assert line.endswith(f"it is started again, see {only(running).log}")
    wait_for(lambda: only(running).pid)
    assert troubles(running.status) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own for the home."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(tmp_path)], check=True)
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_a_disk_that_is_full_when_all_is_stopped_is_no_reason_for_a_traceback(home: Path) -> None:
    (home / "logs" / "up.log").symlink_to("/dev/full")
    with pytest.raises(KeyboardInterrupt), supervising([python("patient", WAITS)], home, lambda: None):
        raise KeyboardInterrupt


def test_on_a_disk_that_becomes_full_what_runs_goes_on_and_what_died_comes_back_when_there_is_room(
    small_disk: Path, run_program: Callable[..., subprocess.Popen[str]]
) -> None:
    program = run_program(agent=WAITS, site=WAITS)
    agent, site = wait_for(lambda: running_pids(small_disk, 2))
    ballast = small_disk / "ballast"
    with suppress(OSError), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    os.kill(agent, signal.SIGKILL)
    wait_for(lambda: not psutil.pid_exists(agent))  # reaped: the supervisor has noticed
    assert program.poll() is None
    assert psutil.pid_exists(site)
    assert running_pids(small_disk, 2) == [agent, site]  # the status could not be told anew
    ballast.unlink()
    wait_for(lambda: (running_pids(small_disk, 2) or [agent])[0] != agent)
    assert running_pids(small_disk, 2)[1] == site


def test_in_a_home_that_becomes_read_only_what_died_is_started_again_and_told_when_it_can_be_written(
    tmp_path: Path, run_program: Callable[..., subprocess.Popen[str]]
) -> None:
    """Root may write everywhere unless it gives up that right."""
    run_program(agent=WAITS)
    [first] = wait_for(lambda: running_pids(tmp_path, 1))
    (tmp_path / "run").chmod(0o500)
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: "Cannot write" in (tmp_path / "logs" / "up.log").read_text())
    assert running_pids(tmp_path, 1) == [first]
    (tmp_path / "run").chmod(0o700)
    wait_for(lambda: running_pids(tmp_path, 1) not in (None, [first]))
    told_once = (tmp_path / "logs" / "up.log").read_text().count("could not do all of its round") == 1
    assert told_once  # not in every round


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_the_same_trouble_is_not_told_each_time_the_supervisor_listens(
    start: Callable[..., Supervisor], caplog: pytest.LogCaptureFixture
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as asked:
        address = Address("127.0.0.1", asked.getsockname()[1], "site.port")
        start(replace(python("site", WAITS), address=address), replace(python("agent", WAITS), lease_in="nonsense"))
        for _ in range(5):
            asked.accept()[0].close()
    assert caplog.text.count("The supervisor could not do all of its round") == 1
