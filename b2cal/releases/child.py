"""Running code that nobody has looked at, so that it can neither hang b2cal, nor flood it, nor outlive the look."""

import os
import resource
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_MEMORY_BYTES = 4 << 30
_FILE_BYTES = 64 << 20
_LAST_WORDS_S = 2.0
_PAUSE_S = 0.05
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Ended:
    """How a child ended.

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
    command: Sequence[str], folder: Path, environment: Mapping[str, str], time_limit_s: float, output_limit: int
) -> Ended:
    """Run a command in a process group of its own and end the whole group with it.

    It inherits no open file and of the environment only what is given. When its time is over it first gets SIGABRT,
    at which Python's faulthandler writes down where it is, then SIGKILL.
    """
    child = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    watch = _Watch(child, output_limit)
    try:
        _limit(child.pid, time_limit_s)
        in_time = watch.until_ended(time_limit_s)
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
    return Ended(bytes(watch.output), errors, child.returncode, in_time, len(watch.output) > output_limit)


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


def _limit(pid: int, time_limit_s: float) -> None:
    """Bounds that also hold for what a child leaves behind outside of its group."""
    seconds = int(time_limit_s) + 10
    with suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_CPU, (seconds, seconds))
        resource.prlimit(pid, resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
