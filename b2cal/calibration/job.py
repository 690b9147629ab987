"""The wrapper around every batch job: `python job.py [HOST]` in the folder of one try. One file, standard library only.

Runs the command of `wrapper.json`, {"command": [...], "env": {...}}, with its output in the files `stdout` and
`stderr`, and says in `job_report.json` how it ended. Its own exit code is the command's, or 128 + n if signal n ended
that. HOST is what the batch system calls this machine.

However often it is started in one folder, the command runs once at a time, and not again after its report: the kernel's
lock on `job.lock` sees to that. The lock is free only when no process of the job is left, however this one ended.
"""

import ctypes
import fcntl
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tarfile
from datetime import UTC, datetime
from pathlib import Path

SHARED = "shared"
"""The folder with what the jobs of a group have in common: code, release, constants."""

ARCHIVE = "shared.tar"
"""The same as one file, where the batch system brings it along."""

GRACE_S = 10
"""How long the command may take to end after SIGTERM."""

TAIL_BYTES = 256 * 1024
"""How much of the end of stderr is searched for the error."""

# With several threads the order of floating-point sums, and with random hashes that of sets, differs from run to run.
REPRODUCIBLE = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}
ENDING = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2}
"""How batch systems ask a job to end; the last is LSF's at the run limit."""

AWAITED = {signal.SIGCHLD, signal.SIGALRM, *ENDING}
PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> int:
    """Run the job, unless it is running or has ended; returns the exit code."""
    lock = os.open("job.lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    if Path("job_report.json").exists():
        return 0
    signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps(identity()).encode(), 0)

    if Path(ARCHIVE).exists() and not Path(SHARED).exists():
        unpack(Path(ARCHIVE))
    # A batch system that brings files back misses none of them, whatever becomes of the command.
    Path("outputs").mkdir(exist_ok=True)
    Path("stdout").touch()
    Path("stderr").touch()
    started = datetime.now(UTC)
    returned, error = attempt()
    exit_code = returned if returned >= 0 else 128 - returned
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = {
        "exit_code": exit_code,
        "signal": -returned if returned < 0 else None,
        "started": started.isoformat(),
        "ended": datetime.now(UTC).isoformat(),
        "host": sys.argv[1] if len(sys.argv) > 1 else socket.gethostname(),
        "pid": os.getpid(),
        "cpu_s": used.ru_utime + used.ru_stime,
        "max_rss_bytes": used.ru_maxrss * 1024,
        "error": error,
    }
    try:
        write_whole(Path("job_report.json"), json.dumps(report, indent=1))
    except OSError as full:
        sys.stderr.write(f"Cannot write job_report.json: {full}\n")
        return exit_code or os.EX_CANTCREAT
    return exit_code


def unpack(archive: Path) -> None:
    """Unpack what was brought along, whole or not at all."""
    with tarfile.open(archive) as tar:
        tar.extractall("unpacking", filter="data")
    Path("unpacking", SHARED).rename(SHARED)


def identity() -> dict[str, int | str]:
    """This process, as the kernel tells processes apart: `start_time` is field 22 of proc(5) stat."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return {"pid": os.getpid(), "start_time": int(fields[19]), "boot_id": boot_id}


def attempt() -> tuple[int, str | None]:
    """Run the command; returns what it returned (-n for signal n) and what went wrong, if anything did."""
    try:
        command, env = read_wrapper(Path("wrapper.json"))
    except (OSError, KeyError, TypeError, ValueError) as unclear:
        return os.EX_IOERR, f"wrapper.json cannot be used: {unclear!r}"
    try:
        returned = run(command, env)
    except FileNotFoundError as missing:
        return 127, f"Command not found: {missing.filename}"
    except (OSError, TypeError, ValueError, subprocess.SubprocessError) as refused:
        return 126, f"The command cannot be run: {refused}"
    if returned < 0:
        return returned, f"Ended by signal {-returned} ({signal.strsignal(-returned)})"
    return returned, None if returned == 0 else error_in(tail(Path("stderr")))


def read_wrapper(path: Path) -> tuple[list[str], dict[str, str]]:
    """The command and what it wants to have in its environment."""
    wrapper = json.loads(path.read_text())
    command = wrapper["command"]
    if not isinstance(command, list) or not command:
        raise ValueError(f"the command is {command!r}, not a list of words")
    return command, dict(wrapper.get("env", {}))


def run(command: list[str], env: dict[str, str]) -> int:
    """Run the command in a process group of its own; nothing of the group is left when this returns."""
    group = start_guard()
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        # Should guard and wrapper be killed in one stroke, the command itself still ends.
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, AWAITED)

    try:
        with open("stdout", "ab") as stdout, open("stderr", "ab") as stderr:
            process = subprocess.Popen(
                command,
                env=os.environ | REPRODUCIBLE | env,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                process_group=group,
                preexec_fn=prepare,  # noqa: PLW1509 (this process has one thread)
            )
        return wait(process, group)
    finally:
        os.killpg(group, signal.SIGKILL)
        os.waitpid(group, 0)


def start_guard() -> int:
    """Start a process that kills its group when this one is gone, even by SIGKILL; returns the group's number.

    It lives as long as the group is used, so the number cannot pass to strangers; and it holds the lock as well.
    """
    reading, writing = os.pipe()  # `writing` stays open, in this process only, until it is gone
    guard = os.fork()
    if guard:
        os.close(reading)
        os.setpgid(guard, guard)
        return guard
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        os.close(writing)
        os.setpgid(0, 0)
        os.read(reading, 1)
        os.killpg(0, signal.SIGKILL)
    finally:
        os._exit(0)


def wait(process: subprocess.Popen[bytes], group: int) -> int:
    """Wait for the command's end; if asked to end, end its group, if need be by force."""
    while (returned := process.poll()) is None:
        received = signal.sigwait(AWAITED)
        if received in ENDING:
            os.killpg(group, signal.SIGTERM)
            signal.alarm(GRACE_S)
        elif received == signal.SIGALRM:
            os.killpg(group, signal.SIGKILL)
    return returned


def tail(path: Path) -> str:
    """The end of a file as text."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        return file.read().decode(errors="replace")


def error_in(stderr: str) -> str | None:
    """The exception line of the last Python traceback, else the first line that speaks of an error, else the last."""
    _, traceback, after = stderr.rpartition("Traceback (most recent call last):\n")
    lines = [line for line in after.splitlines() if line.strip()]
    if traceback:
        lines = [line for line in lines if not line[0].isspace()]
    else:
        lines = [line for line in lines if re.search("error|fatal", line, re.IGNORECASE)] or lines[-1:]
    return lines[0][:1000] if lines else None


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all: who finds no report knows that the job was killed."""
    temporary = path.with_suffix(".tmp")
    with open(temporary, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
