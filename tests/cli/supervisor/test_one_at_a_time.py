"""A home has one supervisor at a time, and it begins only where it can work."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from b2cal.cli.components import Address
from b2cal.cli.foreground import CannotUseHome, supervising
from b2cal.cli.ports import PortInUse, check_ports
from tests.cli.supervisor.seen import HAS_FAMILY, WAITS, family, running_pids
from tests.cli.supervisor.supervised import python
from tests.waiting import wait_for

pytestmark = pytest.mark.processes


def test_a_second_one_in_the_same_home_is_refused_and_disturbs_nothing(
    run_program: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    first = run_program(agent=WAITS)
    pids = wait_for(lambda: running_pids(tmp_path, 1))
    second = run_program(agent=WAITS)
    _, said = second.communicate(timeout=60)
    assert second.returncode == 1
    assert f"b2cal is already running in {tmp_path}, as process {first.pid}." in said
    assert running_pids(tmp_path, 1) == pids


def test_after_its_own_kill_the_next_one_ends_what_was_left_and_nothing_else(
    run_program: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    first = run_program(agent=WAITS, scheduler=HAS_FAMILY)
    left = wait_for(lambda: running_pids(tmp_path, 2))
    log = tmp_path / "logs" / "scheduler.log"
    job = int(wait_for(lambda: [line for line in log.read_text().splitlines() if line.startswith("job")])[0].split()[1])
    wait_for(lambda: len(family(left[1])) == 5)
    reads = f"mark = open({str(tmp_path / 'run' / 'agent.mark')!r}); {WAITS}"  # as a backup does
    stranger = subprocess.Popen([sys.executable, "-S", "-E", "-c", reads])
    try:
        first.kill()
        first.wait()
        os.kill(left[1], signal.SIGKILL)  # the leader too: its workers and tasks are orphans now
        (tmp_path / "run" / "up.json").write_text("not what it was")
        run_program(agent=WAITS, scheduler=WAITS)
        wait_for(lambda: "Ended what" in (tmp_path / "logs" / "up.log").read_text())
        wait_for(lambda: (tmp_path / "run" / "up.json").read_text().startswith("{") and running_pids(tmp_path, 2))
        assert [family(pid) for pid in left] == [set(), set()]
        assert psutil.Process(job).status() != psutil.STATUS_ZOMBIE
        assert stranger.poll() is None
    finally:
        os.kill(job, signal.SIGKILL)
        stranger.kill()
        stranger.wait()


def test_a_home_that_cannot_be_written_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotUseHome) as refused, supervising([], tmp_path / "file" / "home", lambda: None):
        pass
    assert str(tmp_path / "file" / "home") in str(refused.value)
    assert "B2CAL_HOME" in refused.value.hint


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_port_in_use_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        site = replace(python("site", WAITS), address=Address("127.0.0.1", port, "site.port"))
        prepared: list[bool] = []
        with pytest.raises(PortInUse) as refused, supervising([site], tmp_path, lambda: prepared.append(True)):
            pass
    assert f"port {port}" in str(refused.value)
    assert f"process {os.getpid()}" in str(refused.value)
    assert "B2CAL_SITE__PORT" in refused.value.hint
    assert not prepared
    assert not (tmp_path / "run" / "up.json").exists()


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_port_that_was_left_a_moment_ago_is_free() -> None:
    """Connections in TIME_WAIT must not delay a restart."""
    with closing(socket.socket()) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with closing(socket.create_connection(("127.0.0.1", port))):
            listener.accept()[0].close()  # closed by the server first: its side waits
    check_ports([replace(python("site", WAITS), address=Address("127.0.0.1", port, "site.port"))])
