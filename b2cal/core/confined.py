"""Running what nobody vouches for, so that it can neither hang b2cal, nor flood it, nor outlive the look.

This is the one way: time, memory, written bytes and output are limited, and the process ends with its parent. The
process begins as this very file, run as a script: it takes its limits on and becomes the command.
"""

import ctypes
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_LAST_WORDS_S = 2.0
_PAUSE_S = 0.05
_CHUNK = 1 << 16
_PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True)
class Limits:
    """What a process may use: wall-clock time, address space, bytes of each file it writes, bytes of its output."""

    seconds: float
    memory_bytes: int = 4 << 30
    file_bytes: int = 64 << 20
    output_bytes: int = 1 << 30


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        output: what it wrote to its standard output.
        errors: what it wrote to its standard error, of a long text the end.
        code: its exit code, -n for signal n.
        in_time: False if it was ended because its time was over.
        too_much: True if it was ended because it wrote more than was allowed.
    """

    output: bytes
    errors: str
    code: int
    in_time: bool
    too_much: bool


def run(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], limits: Limits, given: bytes = b""
) -> Ended:
    """Run a command in a process group of its own and end the whole group with it.

    It inherits no open file and of the environment only what is given; `given` is its standard input. When its time is
    over it first gets SIGABRT, at which Python's faulthandler writes down where it is, then SIGKILL.

    Raises:
        OSError: the command cannot be started.
    """
    with tempfile.TemporaryFile() as questions:
        questions.write(given)
        questions.seek(0)
        child = _start(command, folder, environment, limits, questions.fileno())
    watch = _Watch(child, limits.output_bytes)
    try:
        in_time = watch.until_ended(limits.seconds)
        if not in_time:
            os.killpg(child.pid, signal.SIGABRT)
            watch.until_ended(_LAST_WORDS_S)
    finally:
        # As long as the leader is not waited for, its number cannot belong to another group.
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        watch.close()
    errors = watch.errors.decode(errors="replace")
    return Ended(bytes(watch.output), errors, child.returncode, in_time, len(watch.output) > limits.output_bytes)


def _start(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], limits: Limits, stdin: int
) -> subprocess.Popen[bytes]:
    told, tell = os.pipe()
    seconds = int(limits.seconds) + 10  # of processor time: that holds for what leaves the group, too
    orders = {
        "parent": os.getpid(),
        "tell": tell,
        "limits": {
            "RLIMIT_CPU": seconds,
            "RLIMIT_AS": limits.memory_bytes,
            "RLIMIT_FSIZE": limits.file_bytes,
            "RLIMIT_CORE": 0,
        },
        "command": list(command),
        "environment": dict(environment),
    }
    try:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, json.dumps(orders)],
            cwd=folder,
            env={},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=[tell],
        )
    except OSError:
        os.close(told)
        raise
    finally:
        os.close(tell)
    with open(told, "rb") as trouble:
        number = trouble.read()  # nothing, as soon as the command has begun
    if number:
        child.communicate()
        raise OSError(int(number), os.strerror(int(number)), command[0])
    return child


class _Watch:
    """Reads what a child writes until it ends, whoever else holds its pipes."""

    def __init__(self, child: subprocess.Popen[bytes], output_limit: int) -> None:
        assert child.stdout is not None
        assert child.stderr is not None
        self.output = bytearray()
        self.errors = bytearray()
        self._pid = child.pid
        self._output_limit = output_limit
        self._pipes = (child.stdout, child.stderr)
        self._selector = selectors.DefaultSelector()
        for pipe, buffer in zip(self._pipes, (self.output, self.errors), strict=True):
            self._selector.register(pipe, selectors.EVENT_READ, buffer)

    def until_ended(self, time_limit_s: float) -> bool:
        """Read on until the child has ended or written too much; False if its time was over before."""
        deadline = time.monotonic() + time_limit_s
        while len(self.output) <= self._output_limit:
            ended = os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
            received = self._receive(0 if ended else _PAUSE_S)
            if ended and not received:
                return True
            if time.monotonic() > deadline:
                return ended
        return True

    def close(self) -> None:
        self._selector.close()
        for pipe in self._pipes:
            pipe.close()

    def _receive(self, timeout_s: float) -> int:
        """Wait for something to read; how many bytes came."""
        received = 0
        for key, _ in self._selector.select(timeout_s):
            content = os.read(key.fd, _CHUNK)
            received += len(content)
            key.data.extend(content)
            if not content:
                self._selector.unregister(key.fileobj)
        del self.errors[:-_CHUNK]
        return received


def _become(orders: str) -> None:
    """In the new process: take on the limits, let the kernel end it with its parent, and become the command."""
    wanted = json.loads(orders)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != wanted["parent"]:  # it was gone before the kernel was asked
        sys.exit(1)
    for name, most in wanted["limits"].items():
        resource.setrlimit(getattr(resource, name), (most, most))
    os.set_inheritable(wanted["tell"], False)  # noqa: FBT003 (it takes no keyword)
    try:
        os.execvpe(wanted["command"][0], wanted["command"], wanted["environment"])  # noqa: S606 (that is the purpose)
    except OSError as error:
        os.write(wanted["tell"], str(error.errno).encode())


if __name__ == "__main__":
    _become(sys.argv[1])
