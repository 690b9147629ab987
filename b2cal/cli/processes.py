"""A component as the kernel sees it: a process, all that came from it, and how to end exactly those.

Each component is the leader of a session of its own, and its descendants inherit an open mark file. The session finds
them while their supervisor lives, even those in process groups of their own; the mark also finds what a supervisor that
was killed left behind. Both are facts kept by the kernel: nothing is written down that could be old or half written,
and a process number that was given to somebody else does not match. Batch jobs have neither: they outlive.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from b2cal.core.errors import B2calError

KILLED_WITHIN_S = 10.0
"""The kernel needs no longer to end a process that is not stuck in it."""


class CannotEnd(B2calError):
    """A process did not go away although it was killed."""


class Family:
    """A running component with all its descendants."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path, mark: Path) -> None:
        self._mark = mark.resolve()
        descriptor = os.open(self._mark, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            with open(log, "ab") as output:
                self._leader = subprocess.Popen(
                    command,
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=(descriptor,),
                )
        finally:
            os.close(descriptor)

    @property
    def pid(self) -> int:
        """Process and session number of the leader."""
        return self._leader.pid

    @property
    def has_ended(self) -> bool:
        """Whether the leader is dead. Its exit status stays: nobody else can be given its number meanwhile."""
        if self._leader.returncode is not None:
            return True
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def children(self) -> set[psutil.Process]:
        """The living processes that the leader itself started."""
        try:
            found = psutil.Process(self.pid).children()
            return {child for child in found if child.status() != psutil.STATUS_ZOMBIE}
        except psutil.NoSuchProcess:
            return set()

    def ask_to_end(self) -> None:
        """Tell the leader, which tells the others in its own order."""
        if not self.has_ended:
            os.kill(self.pid, signal.SIGTERM)

    def end(self) -> int:
        """Kill all that is left of it and return the leader's exit code, negative for a signal.

        Raises:
            CannotEnd: something is stuck in the kernel.
        """
        if not self.has_ended:
            os.kill(self.pid, signal.SIGKILL)
        _end_all(self._mark, session=self.pid)
        return self._leader.wait()


def end_leftovers(marks: Path) -> list[str]:
    """Kill what an earlier supervisor left behind; return the names of the components.

    Args:
        marks: folder with the mark files of the components.

    Raises:
        CannotEnd: something is stuck in the kernel.
    """
    return [mark.stem for mark in sorted(marks.resolve().glob("*.mark")) if _end_all(mark)]


def _end_all(mark: Path, session: int | None = None) -> bool:
    give_up_at = time.monotonic() + KILLED_WITHIN_S
    found_any = False
    # Again and again: a process may fork in the moment in which it is looked for.
    while found := _descendants(mark, session):
        found_any = True
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.kill()  # checks that the number still means this process
        if time.monotonic() > give_up_at:
            stuck = ", ".join(str(process.pid) for process in found)
            raise CannotEnd(
                f"Process {stuck} of {mark.stem} does not end although it was killed.",
                hint="It waits in the kernel, as a rule for a file system that does not answer. Look with `ps -l`.",
            )
        time.sleep(0.02)
    return found_any


def _descendants(mark: Path, session: int | None) -> list[psutil.Process]:
    everybody = {process: _session(process) for process in psutil.process_iter() if process.pid != os.getpid()}
    marked = {process for process in everybody if has_open(process, mark)}
    # Never the session of our own terminal: components have others.
    sessions = ({everybody[process] for process in marked} | {session}) - {None, os.getsid(0)}
    return [process for process, its in everybody.items() if process in marked or its in sessions]


def _session(process: psutil.Process) -> int | None:
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else os.getsid(process.pid)
    except (psutil.Error, OSError):
        return None


def has_open(process: psutil.Process, path: Path) -> bool:
    """Whether a process has this mark: then it belongs to that component."""
    # For reading and writing, as it was inherited: a backup that just reads the file is not one of ours.
    try:
        return any(file.path == str(path) and file.mode == "r+" for file in process.open_files())
    except (psutil.Error, OSError):  # gone meanwhile, or another user's: then not one of ours
        return False
