"""A server that goes away in the middle of a file: the job goes on there when it is back, and its result is right."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest

from b2cal.calibration.doors import BehindDoors
from b2cal.calibration.events import InputFile
from b2cal.core.checksums import sha256_file
from b2cal.core.iov import ExpRun
from b2cal.settings import XRD_ENVIRONMENT
from tests.calibration.node import Ended, Node, write_raw
from tests.calibration.test_doors import SUM, sums
from tests.services.xrootd import Door, adler32_of, running
from tests.waiting import wait_for

pytestmark = pytest.mark.service

RUN = ExpRun(26, 1)
N_BYTES = 256 << 20

DEFAULTS = {"CONNECTIONWINDOW": 120, "CONNECTIONRETRY": 5, "STREAMERRORWINDOW": 1800}
"""Of the client 6.2.1, XrdClConstants.hh."""

TIMES = {"REQUESTTIMEOUT": 1800, "STREAMTIMEOUT": 60, "TIMEOUTRESOLUTION": 15}
"""Its other times, which b2cal leaves as they are."""


@pytest.fixture
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with running(tmp_path_factory.mktemp("door")) as server:
        yield server


@pytest.fixture
def file(door: Door) -> InputFile:
    """A file that takes a while to fetch, as the server names it: random numbers in front, nothing behind."""
    hits = np.random.default_rng(5).integers(0, 1000, 500_000, dtype="i4")
    written = write_raw(door.files, RUN, {"hits": hits})
    os.truncate(written.path, N_BYTES)
    return replace(written, sha256=sha256_file(written.path))


def scaled(settings: Mapping[str, int], by: int) -> dict[str, str]:
    """Settings of the client with all times a factor shorter, of whole seconds; what is counted stays."""
    times = {name: number if name.endswith("RETRY") else -(-number // by) for name, number in settings.items()}
    return {f"XRD_{name.removeprefix('XRD_')}": str(number) for name, number in times.items()}


class Fetching:
    """A job that is fetching a file, with an environment of its own; its client tells what goes wrong in `log`."""

    def __init__(self, node: Node, door: Door, file: InputFile, environment: Mapping[str, str]) -> None:
        node.script(SUM)
        url = door.url(file.path.name)
        self.folder = node.job("collect", [replace(file, path=BehindDoors((url,)), sha256=adler32_of(url))])
        self.copy = self.folder / "fetched" / file.path.name
        self.errors, self.log = self.folder / "errors", self.folder / "log"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "b2cal.calibration.stage"],
                cwd=self.folder,
                env=os.environ
                | environment
                | {"PYTHONPATH": str(node.shipped), "XRD_LOGLEVEL": "Error", "XRD_LOGFILE": str(self.log)},
                stderr=errors,
            )

    def pause_in_the_middle(self) -> None:
        """Stop the job when a part of the file is there."""
        wait_for(lambda: self.copy.exists() and self.copy.stat().st_size, every_s=0.001)
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)
        assert self.copy.stat().st_size < N_BYTES

    def go_on_until_refused(self) -> None:
        """Let it go on while the server is away, until its client has noticed that."""
        self.process.send_signal(signal.SIGCONT)
        wait_for(lambda: "connection refused" in self.log.read_text())

    def ended(self, timeout_s: float) -> Ended:
        return Ended(self.process.wait(timeout_s), self.errors.read_text(), self.folder / "outputs")


def test_a_job_goes_on_in_the_middle_of_a_file_when_its_server_is_back_and_collects_the_same(node, door, file):
    job = Fetching(node, door, file, scaled(XRD_ENVIRONMENT["watchful"] | TIMES, 30))
    job.pause_in_the_middle()
    door.stop()
    job.go_on_until_refused()
    fetched = job.copy.stat().st_size
    assert 0 < fetched < N_BYTES
    door.start()
    assert sums(job.ended(60)) == sums(node.run("collect", [file]))


def test_an_outage_that_ends_jobs_with_the_defaults_of_the_client_is_survived_with_ours_at_a_thirtieth_of_all_times(
    node, door, file
):
    """Scaled down: this outage of 16 s stands for one of 8 minutes, after which a client gives up by itself."""
    theirs = Fetching(node, door, file, scaled(DEFAULTS | TIMES, 30))
    theirs.pause_in_the_middle()
    ours = Fetching(node, door, file, scaled(XRD_ENVIRONMENT["watchful"] | TIMES, 30))
    ours.pause_in_the_middle()
    door.stop()
    for job in (theirs, ours):
        job.go_on_until_refused()
    ended = theirs.ended(60)
    assert ended.exit_code == os.EX_IOERR, ended.stderr
    assert "Connection error" in ended.stderr
    assert ours.process.poll() is None
    door.start()
    assert sums(ours.ended(60)) == sums(node.run("collect", [file]))


@pytest.mark.proof
@pytest.mark.timeout(240)
def test_after_an_outage_of_a_minute_a_job_goes_on_within_35_s_of_the_return_of_its_server(node, door, file):
    job = Fetching(node, door, file, scaled(XRD_ENVIRONMENT["watchful"] | TIMES, 1))
    job.pause_in_the_middle()
    door.stop()
    job.go_on_until_refused()
    fetched = job.copy.stat().st_size
    time.sleep(60)
    assert job.copy.stat().st_size == fetched
    door.start()
    back = time.monotonic()
    wait_for(lambda: not job.copy.exists() or job.copy.stat().st_size > fetched)
    assert time.monotonic() - back < 35
    assert sums(job.ended(60)) == sums(node.run("collect", [file]))
