"""What a job uses and what it may use: in its report, in its signs of life, and in the error if it ran into a limit."""

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from b2cal.batch.report import Heartbeat, JobReport
from b2cal.calibration import job
from tests.waiting import wait_for

pytestmark = pytest.mark.processes

MB = 1 << 20
BEGIN = """
import json, os, resource, sys
for which, most in json.load(sys.stdin):
    resource.setrlimit(which, most)
os.execv(sys.executable, [sys.executable, "-I", "-S", "job.py"])
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Starts the wrapper on a program in the folder of a test, with limits; it beats each 50 ms, not each 30 s."""
    started: list[subprocess.Popen[bytes]] = []

    def run(program: str, limits: dict[int, tuple[int, int]] | None = None, **env: str) -> "subprocess.Popen[bytes]":
        quick = Path(job.__file__).read_text().replace("BEAT_S = 30\n", "BEAT_S = 0.05\n")
        (tmp_path / "job.py").write_text(quick)
        (tmp_path / "wrapper.json").write_text(json.dumps({"command": [sys.executable, "-c", program]}))
        wrapper = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", BEGIN], cwd=tmp_path, env=env, stdin=subprocess.PIPE
        )
        started.append(wrapper)
        assert wrapper.stdin is not None
        wrapper.stdin.write(json.dumps(list((limits or {}).items())).encode())
        wrapper.stdin.close()
        return wrapper

    yield run
    for process in started:
        process.kill()
        process.wait()


def test_a_running_job_says_what_its_whole_family_uses_and_the_report_tells_the_most(start, tmp_path):
    """Two processes with 60 MB each and a file that is gone at the end; what is shared or fetched is told apart."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "code").write_bytes(bytes(50 * MB))
    child = "import sys; x = bytearray(b'1') * 60_000_000; sys.stdin.read()"
    wrapper = start(f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {child!r}], stdin=subprocess.PIPE)
x = bytearray(b"1") * 60_000_000
os.mkdir("fetched")
open("fetched/input", "wb").write(bytes(30_000_000))
while not os.path.exists("seen"): time.sleep(0.01)
os.remove("fetched/input")
child.communicate()
""")
    seen: list[Heartbeat] = []

    def used_by_all() -> bool:
        sign = Heartbeat.read(tmp_path)
        seen.extend([sign] if sign else [])
        return sign is not None and sign.memory_bytes > 120_000_000 and sign.disk_bytes > 30_000_000

    wait_for(used_by_all)
    (tmp_path / "seen").touch()
    assert wrapper.wait() == 0
    report = JobReport.read(tmp_path)
    assert report is not None
    assert report.memory_bytes is not None
    assert report.memory_bytes >= seen[-1].memory_bytes > 120_000_000
    assert json.loads((tmp_path / "job_report.json").read_text())["max_rss_bytes"] < 120_000_000
    assert report.disk_bytes is not None
    assert 30_000_000 < report.disk_bytes < 40_000_000
    assert report.cpu_s is not None
    assert 0 < seen[-1].cpu_s <= report.cpu_s + 0.1
    assert not (tmp_path / "fetched").exists()


def test_a_sign_of_life_that_cannot_be_given_does_no_harm(start, tmp_path):
    (tmp_path / "heartbeat.tmp").mkdir()
    assert start("import time; time.sleep(0.2)").wait() == 0
    assert Heartbeat.read(tmp_path) is None


def test_limits_are_told_as_the_kernel_and_htcondor_have_set_them_the_smallest_counts(start, tmp_path):
    (tmp_path / ".job.ad").write_text("RequestMemory = 2000\nRequestDisk = 3 * 1024\nAllowedJobDuration = 7200\n")
    (tmp_path / ".machine.ad").write_text('Machine = "node7"\nMemory = 4096\nDisk = 1000000\n')
    ads = {"_CONDOR_JOB_AD": str(tmp_path / ".job.ad"), "_CONDOR_MACHINE_AD": str(tmp_path / ".machine.ad")}
    limits = {resource.RLIMIT_CPU: (3600, 3600), resource.RLIMIT_AS: (8000 * MB, 8000 * MB)}
    assert start("pass", limits, **ads).wait() == 0
    told = JobReport.read(tmp_path).limits
    assert told == {
        "cpu_s": 3600,
        "memory_bytes": min(2000 * MB, told["memory_bytes"]),  # the machine of the test may limit it further
        "disk_bytes": 1000000 * 1024,
        "wall_s": 7200,
    }


@pytest.mark.parametrize(
    ("cgroup", "file", "most"),
    [
        ("0::/batch/job7", "batch/job7/memory.max", "600000000"),
        ("0::/batch/job7", "batch/memory.max", "600000000"),
        ("4:cpu,memory:/batch/job7\n1:cpu:/", "memory/batch/job7/memory.limit_in_bytes", "600000000"),
        ("4:memory:/docker/7", "memory/memory.limit_in_bytes", "600000000"),
    ],
)
def test_memory_is_limited_by_the_cgroup_of_the_job_or_one_above_it(tmp_path, cgroup, file, most):
    (tmp_path / "told").write_text(cgroup)
    for name, text in ((file, most), ("batch/job7/other/memory.max", "5"), ("memory.max", "max")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert list(job.of_cgroup(tmp_path / "told", tmp_path)) == [("memory_bytes", 600000000)]


def test_where_nobody_limits_or_tells_anything_there_is_no_limit(tmp_path):
    assert list(job.of_cgroup(tmp_path / "none", tmp_path)) == []
    (tmp_path / "told").write_text("damaged")
    assert list(job.of_cgroup(tmp_path / "told", tmp_path)) == []
    (tmp_path / "told").write_text("4:memory:/x")
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text(str(2**63 - 4096))
    assert list(job.of_cgroup(tmp_path / "told", tmp_path)) == []


BURN = "while True: pass"
FILL = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL); open('x', 'wb').write(bytes(2_000_000))"


@pytest.mark.parametrize(
    ("program", "limits", "number", "error"),
    [
        (BURN, {resource.RLIMIT_CPU: (1, 9)}, 24, "s of the 1 s of processor time that one process may use"),
        (BURN, {resource.RLIMIT_CPU: (1, 1)}, 9, "s of the 1 s of processor time that one process may use"),
        (FILL, {resource.RLIMIT_FSIZE: (MB, MB)}, 25, "no file that it writes may be larger than 1,048,576 bytes"),
    ],
)
def test_a_job_that_ran_into_a_limit_of_its_own_says_which(start, tmp_path, program, limits, number, error):
    assert start(program, limits).wait() == 128 + number
    report = JobReport.read(tmp_path)
    assert report.error.startswith(f"Ended by signal {number} (")
    assert report.error.endswith(error)


def test_a_job_that_ends_by_a_signal_without_a_name_is_reported_as_any_other(start, tmp_path):
    assert start("import os; os.kill(os.getpid(), 40)").wait() == 128 + 40
    assert JobReport.read(tmp_path).error.startswith("Ended by signal 40")


def test_when_the_batch_system_says_that_processor_time_is_up_the_command_and_the_report_hear_of_it(start, tmp_path):
    wrapper = start("import time; print('ready', flush=True); time.sleep(1000)")
    wait_for(lambda: (tmp_path / "stdout").exists() and (tmp_path / "stdout").read_text())
    wrapper.send_signal(24)
    assert wrapper.wait() == 128 + 24
    assert JobReport.read(tmp_path).error == "Ended by signal 24 (CPU time limit exceeded)"


def test_a_report_of_a_wrapper_that_was_shipped_before_is_understood(tmp_path):
    known = {"exit_code": 0, "error": None, "host": "n", "cpu_s": 1.5, "max_rss_bytes": 7}
    times = dict.fromkeys(("started", "ended"), "2026-11-27T20:00:00+00:00")
    (tmp_path / "job_report.json").write_text(json.dumps(known | times))
    report = JobReport.read(tmp_path)
    assert (report.memory_bytes, report.disk_bytes, report.limits) == (7, None, {})
