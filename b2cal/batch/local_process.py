"""One job of the local backend as a process: started, looked at, ended.

All that is known about a job lies in its folder. The wrapper (`b2cal.calibration.job`) holds the kernel's lock on
`job.lock` while any process of the job is left, has written into that file which process it is, and leaves a report:

    report                                   -> ended
    no report, no process in the lock file   -> not started, or will be in a moment. Starting it again is harmless:
                                                only one wrapper gets the lock
    no report, process alive                 -> runs
    no report, process gone                  -> lost: killed, or the machine was restarted

A job that is given up gets its report from here, written under the job's own lock: no wrapper can start there any more.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from pathlib import Path

from b2cal.core.files import CannotWrite, write_atomically
from b2cal.core.processes import ProcessIdentity

from .report import NAME, JobReport

LOST = "It ended without a report: its wrapper was killed, or the machine was restarted."
NEVER_UP = "It was started again and again, but never came up: look into wrapper.log and at job.py in its folder."

_INHERITED = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")


class Standing(Enum):
    """How a job stands."""

    NOT_STARTED = auto()
    RUNNING = auto()
    DONE = auto()
    FAILED = auto()


def start(folder: Path) -> None:
    """Start the wrapper as a process that belongs to nobody, in a session of its own.

    Raises:
        OSError: the machine cannot start processes now.
        subprocess.CalledProcessError: likewise.
    """
    # A job sees what a batch system would give it, not the settings and secrets of the process that started it.
    env = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    with open(folder / "wrapper.log", "ab") as output:
        subprocess.run(
            ["setsid", "--fork", sys.executable, "-I", "-S", "job.py"],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=True,
        )


def look(folder: Path) -> Standing:
    """How the job in this folder stands; one that is lost is given up.

    Raises:
        OSError: its folder cannot be read now; that says nothing about the job.
    """
    report = JobReport.read(folder)
    if report is not None:
        return _ended_as(report)
    if not folder.is_dir():
        return Standing.FAILED
    wrapper = _wrapper(folder)
    if wrapper is None:
        return Standing.NOT_STARTED
    return Standing.RUNNING if wrapper.is_alive() else _given_up(folder, LOST)


def stop_starting(folder: Path) -> Standing:
    """Give up a job that does not come up; how it stands then.

    Raises:
        OSError: its folder cannot be read now; nothing was given up.
    """
    return _given_up(folder, NEVER_UP)


def kill(folder: Path) -> None:
    """Kill the wrapper, if it runs; its guard ends the rest of the job."""
    wrapper = _wrapper(folder)
    if wrapper is None:
        return
    try:
        process = os.pidfd_open(wrapper.pid)
    except ProcessLookupError:
        return
    try:
        # Through the descriptor the signal cannot reach another process that was given the same number since.
        if wrapper.is_alive():
            signal.pidfd_send_signal(process, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(process)


def give_up(folder: Path, error: str) -> bool:
    """See to it that nothing starts in this folder any more; False while a process of the job is left.

    A report that is there already stays.

    Raises:
        OSError: its folder cannot be read now; nothing was given up.
    """
    try:
        with _lock(folder) as is_ours:
            if is_ours and JobReport.read(folder) is None:
                # On a full disk it remains unwritten: better than a job that cannot be given up.
                with suppress(CannotWrite):
                    write_atomically(folder / NAME, json.dumps({"exit_code": None, "error": error}))
            return is_ours
    except FileNotFoundError:
        return True


def _given_up(folder: Path, error: str) -> Standing:
    return _ended_as(JobReport.read(folder)) if give_up(folder, error) else Standing.RUNNING


def _ended_as(report: JobReport | None) -> Standing:
    return Standing.DONE if report is not None and report.exit_code == 0 else Standing.FAILED


@contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    """Try to take the lock that the wrapper takes; tells whether that succeeded."""
    descriptor = os.open(folder / "job.lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _wrapper(folder: Path) -> ProcessIdentity | None:
    """The process that says in the lock file that it is the job's wrapper."""
    try:
        content = json.loads((folder / "job.lock").read_bytes())
        return ProcessIdentity(int(content["pid"]), int(content["start_time"]), str(content["boot_id"]))
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        return None  # nobody has started, or a wrapper was killed while it wrote: then the command did not start either
