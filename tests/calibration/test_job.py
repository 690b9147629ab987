"""The job wrapper, with real processes: what it reports, and that nothing of a job outlives it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from b2cal.calibration import job
from b2cal.core.processes import ProcessIdentity
from tests.waiting import wait_for

pytestmark = pytest.mark.processes

WRAPPER = [sys.executable, "-W", "error", job.__file__]


class Folder:
    """The folder of one try of a job."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.started: list[subprocess.Popen[bytes]] = []

    def wrap(self, *command: str, **env: str) -> None:
        (self.path / "wrapper.json").write_text(json.dumps({"command": command, "env": env}))

    def program(self, text: str, *arguments: str, **env: str) -> None:
        (self.path / "program.py").write_text(text)
        self.wrap(sys.executable, "program.py", *arguments, **env)

    def run(self) -> int:
        return subprocess.run(WRAPPER, cwd=self.path, check=False).returncode

    def start(self) -> subprocess.Popen[bytes]:
        self.started.append(subprocess.Popen(WRAPPER, cwd=self.path))
        return self.started[-1]

    @property
    def report(self):
        return json.loads((self.path / "job_report.json").read_text())

    def text(self, name: str) -> str:
        return (self.path / name).read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    folder = Folder(tmp_path)
    yield folder
    for process in folder.started:
        process.kill()
        process.wait()


def test_a_command_that_succeeds_is_reported_with_what_it_used(folder):
    folder.program("x = bytearray(50_000_000)\nsum(range(3_000_000))\nprint('done')")
    assert folder.run() == 0
    report = folder.report
    assert (report["exit_code"], report["signal"], report["error"]) == (0, None, None)
    assert folder.text("stdout") == "done\n"
    assert 50_000_000 < report["max_rss_bytes"] < 500_000_000
    assert 0.01 < report["cpu_s"] < 60
    assert report["started"] < report["ended"]
    assert report["started"].endswith("+00:00")
    assert report["host"] == os.uname().nodename


@pytest.mark.parametrize("code", [1, 2, 74, 255])
def test_the_exit_code_of_a_command_is_never_hidden(folder, code):
    folder.program(f"import sys; print('error: planted', file=sys.stderr); sys.exit({code})")
    assert folder.run() == code
    assert folder.report["exit_code"] == code
    assert folder.report["error"] == "error: planted"


def test_a_signal_that_ends_the_command_is_reported(folder):
    folder.program("import os; os.kill(os.getpid(), 9)")
    assert folder.run() == 137
    assert (folder.report["exit_code"], folder.report["signal"]) == (137, 9)
    assert folder.report["error"] == "Ended by signal 9 (Killed)"


@pytest.mark.parametrize(
    ("wrapper", "code", "error"),
    [
        (None, os.EX_IOERR, "wrapper.json cannot be used"),
        ("{", os.EX_IOERR, "wrapper.json cannot be used"),
        ("[]", os.EX_IOERR, "wrapper.json cannot be used"),
        ('{"env": {}}', os.EX_IOERR, "wrapper.json cannot be used"),
        ('{"command": ["no-such-command"]}', 127, "Command not found: no-such-command"),
        ('{"command": ["/"]}', 126, "The command cannot be run"),
        ('{"command": []}', os.EX_IOERR, "wrapper.json cannot be used"),
        ('{"command": "ls -l"}', os.EX_IOERR, "wrapper.json cannot be used"),
        ('{"command": ["true", 1]}', 126, "The command cannot be run"),
        ('{"command": ["true"], "env": {"A": 1}}', 126, "The command cannot be run"),
    ],
)
def test_a_command_that_cannot_be_run_is_reported_as_well(folder, wrapper, code, error):
    if wrapper is not None:
        (folder.path / "wrapper.json").write_text(wrapper)
    assert folder.run() == code
    assert folder.report["exit_code"] == code
    assert folder.report["error"].startswith(error)


def test_an_archive_that_cannot_be_unpacked_is_reported_and_all_that_is_brought_back_is_there(folder):
    folder.wrap("touch", "ran")
    (folder.path / job.SHARED).mkdir()
    (folder.path / job.SHARED / "code.py").write_text("x" * 100_000)
    with tarfile.open(folder.path / job.ARCHIVE, "w") as archive:
        archive.add(folder.path / job.SHARED, arcname=job.SHARED)
    shutil.rmtree(folder.path / job.SHARED)
    os.truncate(folder.path / job.ARCHIVE, 50_000)
    assert folder.run() == folder.report["exit_code"] == os.EX_IOERR
    assert folder.report["error"] == "shared.tar cannot be unpacked: unexpected end of data"
    assert {"outputs", "stdout", "stderr"} < {path.name for path in folder.path.iterdir()}
    assert not (folder.path / "ran").exists()


def test_the_environment_is_the_one_asked_for_with_one_thread_and_fixed_hashes(folder):
    names = [*job.REPRODUCIBLE, "MINE"]
    folder.program(f"import os\nfor name in {names}: print(name, os.environ.get(name))", MINE="x", MKL_NUM_THREADS="2")
    assert folder.run() == 0
    assert dict(line.split() for line in folder.text("stdout").splitlines()) == job.REPRODUCIBLE | {
        "MINE": "x",
        "MKL_NUM_THREADS": "2",
    }


TRACEBACK = """RuntimeWarning: error ahead
Traceback (most recent call last):
  File "a.py", line 1, in <module>
    raise KeyError
KeyError

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 3, in <module>
    raise ValueError("first line\\nsecond")
ValueError: first line
second
Hint: do this
"""


@pytest.mark.parametrize(
    ("stderr", "error"),
    [
        (TRACEBACK, "ValueError: first line"),
        ("hello\nFATAL: no such tag\nerror: late\nbye\n", "FATAL: no such tag"),
        ("only\nwords\n\n", "words"),
        ("\n", None),
        ("", None),
    ],
)
def test_the_line_that_says_what_went_wrong_is_found(stderr, error):
    assert job.error_in(stderr) == error


def test_a_long_stderr_is_searched_at_its_end(folder):
    folder.program("import sys; sys.stderr.write('x' * 99 + '\\n' * 1_000_000); 1 / 0")
    assert folder.run() == 1
    assert folder.report["error"] == "ZeroDivisionError: division by zero"


def test_of_many_starts_at_once_exactly_one_runs(folder):
    folder.program(
        "import os, time\nos.write(1, b'ran ')\nwhile not os.path.exists('go'): time.sleep(0.01)\nos._exit(3)"
    )
    wrappers = [folder.start() for _ in range(4)]
    wait_for(lambda: sum(wrapper.poll() == 0 for wrapper in wrappers) == 3)
    (folder.path / "go").touch()
    assert sorted(wrapper.wait() for wrapper in wrappers) == [0, 0, 0, 3]
    assert folder.text("stdout") == "ran "
    assert folder.report["exit_code"] == 3


def test_a_start_after_the_end_changes_nothing(folder):
    folder.program("print('ran')")
    assert folder.run() == 0
    before = {
        path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.path.iterdir() if path.is_file()
    }
    folder.program("raise SystemExit(5)")
    del before["program.py"], before["wrapper.json"]
    assert folder.run() == 0
    assert {
        name: ((folder.path / name).stat().st_mtime_ns, (folder.path / name).read_bytes()) for name in before
    } == before


FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(1000)
"""


def family(folder: Folder) -> list[ProcessIdentity]:
    """Start a command that starts another; the two."""
    folder.program(FAMILY)
    folder.start()
    wait_for(lambda: (folder.path / "stdout").exists() and folder.text("stdout").endswith("\n"))
    found = [ProcessIdentity.of(int(pid)) for pid in folder.text("stdout").split()]
    assert all(member is not None for member in found)
    return [member for member in found if member is not None]


def test_the_lock_says_who_runs_the_job(folder):
    family(folder)
    assert ProcessIdentity(**json.loads(folder.text("job.lock"))) == ProcessIdentity.of(folder.started[0].pid)


def test_sigterm_ends_the_whole_family_and_is_reported(folder):
    members = family(folder)
    folder.started[0].terminate()
    assert folder.started[0].wait() == 143
    assert (folder.report["exit_code"], folder.report["signal"], folder.report["error"]) == (
        143,
        15,
        "Ended by signal 15 (Terminated)",
    )
    wait_for(lambda: not any(member.is_alive() for member in members))


def test_sigterm_reaches_the_whole_family_so_that_each_can_clean_up(folder):
    clean_up = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(print({!r}, flush=True)))\n"
    child = clean_up.format("child cleaned up") + "print('ready', flush=True)\ntime.sleep(1000)"
    folder.program(
        clean_up.format("parent cleaned up").replace("sys.exit(", "sys.exit(child.wait() or ")
        + f"import subprocess\nchild = subprocess.Popen([sys.executable, '-c', {child!r}])\ntime.sleep(1000)"
    )
    wrapper = folder.start()
    wait_for(lambda: (folder.path / "stdout").exists() and "ready" in folder.text("stdout"))
    wrapper.terminate()
    assert wrapper.wait() == 0
    assert folder.text("stdout") == "ready\nchild cleaned up\nparent cleaned up\n"


def test_a_command_that_ends_takes_what_it_left_behind_with_it(folder):
    folder.program(FAMILY.replace("time.sleep(1000)\n", "\n"))
    assert folder.run() == 0
    _, child = folder.text("stdout").split()
    wait_for(lambda: ProcessIdentity.of(int(child)) is None)


def test_a_wrapper_that_is_killed_takes_the_family_with_it_and_leaves_no_report(folder):
    members = family(folder)
    everyone = [ProcessIdentity.of(p.pid) for p in psutil.Process(folder.started[0].pid).children(recursive=True)]
    folder.started[0].kill()
    folder.started[0].wait()
    wait_for(lambda: not any(member and member.is_alive() for member in [*members, *everyone]))
    assert not list(folder.path.glob("job_report*"))


def test_a_job_whose_wrapper_was_killed_can_be_started_again(folder):
    family(folder)
    folder.started[0].kill()
    folder.started[0].wait()
    folder.program("print('again')")
    # The lock is free as soon as nothing of the job is left.
    wait_for(lambda: folder.run() == 0 and (folder.path / "job_report.json").exists())
    assert folder.text("stdout").endswith("again\n")


def test_when_wrapper_and_guard_are_killed_in_one_stroke_the_command_ends_all_the_same(folder):
    command, child = family(folder)
    guard = next(p for p in psutil.Process(folder.started[0].pid).children() if p.pid != command.pid)
    guard.suspend()
    folder.started[0].kill()
    guard.kill()
    wait_for(lambda: not command.is_alive())
    os.kill(child.pid, signal.SIGKILL)


def test_a_command_that_does_not_listen_is_ended_by_force(folder, tmp_path):
    # The grace of 10 s is not waited for here: the same file with another number.
    impatient = tmp_path / "impatient.py"
    impatient.write_text(Path(job.__file__).read_text().replace("GRACE_S = 10\n", "GRACE_S = 1\n"))
    folder.program(
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('deaf', flush=True)\n"
        "time.sleep(1000)"
    )
    wrapper = subprocess.Popen([sys.executable, impatient], cwd=folder.path)
    folder.started.append(wrapper)
    wait_for(lambda: (folder.path / "stdout").exists() and folder.text("stdout") == "deaf\n")
    wrapper.terminate()
    assert wrapper.wait() == 137
    assert folder.report["signal"] == 9


def test_a_report_that_cannot_be_written_does_not_pass_for_success(folder):
    folder.wrap("true")
    (folder.path / "job_report.tmp").mkdir()
    assert folder.run() == os.EX_CANTCREAT
    folder.wrap("false")
    assert folder.run() == 1


def test_the_wrapper_is_one_file_of_standard_library_alone(folder):
    shutil.copy(job.__file__, folder.path / "job.py")
    folder.wrap("true")
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "job.py"], cwd=folder.path, env={"PATH": os.environ["PATH"]}, check=False
    )
    assert ended.returncode == 0
    assert folder.report["exit_code"] == 0


def test_a_credential_that_was_brought_along_is_found_by_its_variable_and_is_gone_afterwards(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder.path / "token.jwt").write_text("secret")
    (elsewhere / "proxy.pem").write_text("secret")
    folder.program(
        "import os\nos.chdir('/')\n"
        "for name in ('BEARER_TOKEN_FILE', 'X509_USER_PROXY'):\n"
        "    print(os.environ[name], oct(os.stat(os.environ[name]).st_mode & 0o777))"
    )
    wrapper = json.loads(folder.text("wrapper.json"))
    credentials = {"BEARER_TOKEN_FILE": "token.jwt", "X509_USER_PROXY": str(elsewhere / "proxy.pem")}
    (folder.path / "wrapper.json").write_text(json.dumps(wrapper | {"credentials": credentials}))
    (elsewhere / "proxy.pem").chmod(0o400)
    assert folder.run() == 0
    assert folder.text("stdout").splitlines() == [f"{folder.path}/token.jwt 0o600", f"{elsewhere}/proxy.pem 0o400"]
    assert not (folder.path / "token.jwt").exists()
    assert (elsewhere / "proxy.pem").exists()
