"""`b2cal up` that cannot run says why and what to do, and starts nothing."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.services.ports import free_ports
from tests.small_loop import processes_of

pytestmark = [pytest.mark.processes, pytest.mark.allow_hosts(["127.0.0.1"])]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system, as large as a home needs and a bit more."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def refusal(home: Path, **environment: str) -> str:
    """What `b2cal up` says that does not start; in one line."""
    site, airflow = free_ports(2)
    ports = {"B2CAL_SITE__PORT": str(site), "B2CAL_AIRFLOW__PORT": str(airflow)}
    up = subprocess.run(
        [sys.executable, "-m", "b2cal", "up"],
        env={**os.environ, "B2CAL_HOME": str(home), **ports, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert up.returncode == 1
    assert "Traceback" not in up.stderr
    assert processes_of(home) == []
    return " ".join(up.stderr.split())


def test_on_a_full_disk(disk: Path) -> None:
    (disk / "ballast").write_bytes(bytes(10 * 1024**2))
    said = refusal(disk / "home")
    assert f"Cannot write in {disk / 'home'}: No space left on device." in said
    assert "at least 16 MiB of room" in said
    assert not (disk / "home" / "b2cal.db").exists()


def test_on_a_disk_that_can_only_be_read(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    said = refusal(disk / "home")
    assert f"Cannot write in {disk / 'home'}: Read-only file system." in said
    assert "B2CAL_HOME" in said


@pytest.mark.parametrize(("who", "setting"), [("site", "B2CAL_SITE__PORT"), ("api-server", "B2CAL_AIRFLOW__PORT")])
def test_with_a_port_in_use(tmp_path: Path, who: str, setting: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as stranger:
        port = stranger.getsockname()[1]
        said = refusal(tmp_path / "home", **{setting: str(port)})
    assert f"The {who} cannot listen on port {port} of 127.0.0.1: process {os.getpid()}" in said
    assert setting in said
    assert not (tmp_path / "home" / "b2cal.db").exists()
