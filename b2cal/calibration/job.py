"""The wrapper around every batch job: `python job.py [HOST]` in the folder of one try. One file, standard library only.

Runs the command of `wrapper.json`, {"command": [...], "env": {...}, "credentials": {variable: file}}, with its output
in the files `stdout` and `stderr`. While it runs, `heartbeat` says every 30 s what it uses; at its end
`job_report.json` says how it ended, what it used and what it might have used. The wrapper's own exit code is the
command's, or 128 + n if signal n ended that. HOST is what the batch system calls this machine.

However often it is started in one folder, the command runs once at a time, and not again after its report: the kernel's
lock on `job.lock` sees to that. The lock is free only when no process of the job is left, however this one ended.
"""

import ctypes
import fcntl
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

SHARED = "shared"
"""The folder with what the jobs of a group have in common: code, release, constants."""

ARCHIVE = "shared.tar"
"""The same as one file, where the batch system brings it along."""

FETCHED = "fetched"
"""The folder for what the command fetches from elsewhere; it does not outlive the command."""

BEAT_S = 30
"""How often a sign of life is given."""

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
ENDING = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGXCPU}
"""How batch systems ask a job to end; the last two are LSF's at the limits of run time and of processor time."""

AWAITED = {signal.SIGCHLD, signal.SIGALRM, *ENDING}
PR_SET_PDEATHSIG = 1  # prctl(2)
MB, KB = 1 << 20, 1 << 10
NO_LIMIT = 1 << 60
"""What is larger stands for none: cgroup v1 says the largest number of pages that there is."""


@dataclass
class Peak:
    """The most that a job was seen to use, in bytes; between two looks it may have been more."""

    memory: int = 0
    disk: int = 0


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

    # A batch system that brings files back misses none of them, whatever becomes of the command.
    Path("outputs").mkdir(exist_ok=True)
    Path("stdout").touch()
    Path("stderr").touch()
    started, peak = datetime.now(UTC), Peak()
    returned, error = attempt(peak)
    ended, own_disk = datetime.now(UTC), disk_bytes()
    shutil.rmtree(FETCHED, ignore_errors=True)
    exit_code = returned if returned >= 0 else 128 - returned
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    largest = used.ru_maxrss * KB
    report = {
        "exit_code": exit_code,
        "signal": -returned if returned < 0 else None,
        "started": started.isoformat(),
        "ended": ended.isoformat(),
        "host": sys.argv[1] if len(sys.argv) > 1 else socket.gethostname(),
        "pid": os.getpid(),
        "wall_s": (ended - started).total_seconds(),
        "cpu_s": used.ru_utime + used.ru_stime,
        "max_rss_bytes": largest,
        "memory_bytes": max(peak.memory, largest),
        "disk_bytes": max(peak.disk, own_disk),
        "limits": limits(),
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


def attempt(peak: Peak) -> tuple[int, str | None]:
    """Run the command; returns what it returned (-n for signal n) and what went wrong, if anything did."""
    try:
        if Path(ARCHIVE).exists() and not Path(SHARED).exists():
            unpack(Path(ARCHIVE))
    except (OSError, tarfile.TarError) as damaged:
        return os.EX_IOERR, f"{ARCHIVE} cannot be unpacked: {damaged}"
    try:
        command, env, credentials = read_wrapper(Path("wrapper.json"))
    except (OSError, KeyError, TypeError, ValueError) as unclear:
        return os.EX_IOERR, f"wrapper.json cannot be used: {unclear!r}"
    try:
        with own(credentials) as paths:
            returned = run(command, env | paths, peak)
    except FileNotFoundError as missing:
        return 127, f"Command not found: {missing.filename}"
    except (OSError, TypeError, ValueError, subprocess.SubprocessError) as refused:
        return 126, f"The command cannot be run: {refused}"
    if returned < 0:
        return returned, ended_by(-returned)
    return returned, None if returned == 0 else error_in(tail(Path("stderr")))


def read_wrapper(path: Path) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """The command, what it wants to have in its environment, and which variables name files that prove who it is."""
    wrapper = json.loads(path.read_text())
    command = wrapper["command"]
    if not isinstance(command, list) or not command:
        raise ValueError(f"the command is {command!r}, not a list of words")
    return command, dict(wrapper.get("env", {})), dict(wrapper.get("credentials", {}))


@contextmanager
def own(credentials: dict[str, str]) -> Iterator[dict[str, str]]:
    """The absolute paths of credentials; those brought into this folder are for nobody else, and not for long."""
    brought = [Path(name) for name in credentials.values() if not Path(name).is_absolute()]
    try:
        for path in brought:
            with suppress(FileNotFoundError):  # the door refuses, and says so
                path.chmod(0o600)
        yield {variable: str(Path(name).absolute()) for variable, name in credentials.items()}
    finally:
        for path in brought:
            path.unlink(missing_ok=True)


def run(command: list[str], env: dict[str, str], peak: Peak) -> int:
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
        return wait(process, group, peak)
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


def wait(process: subprocess.Popen[bytes], group: int, peak: Peak) -> int:
    """Wait for the command's end, with signs of life; if asked to end, end its group, if need be by force."""
    while (returned := process.poll()) is None:
        received = signal.sigtimedwait(AWAITED, BEAT_S)
        if received is None:
            beat(group, peak)
        elif received.si_signo in ENDING:
            os.killpg(group, signal.SIGXCPU if received.si_signo == signal.SIGXCPU else signal.SIGTERM)
            signal.alarm(GRACE_S)
        elif received.si_signo == signal.SIGALRM:
            os.killpg(group, signal.SIGKILL)
    return returned


def beat(group: int, peak: Peak) -> None:
    """Give a sign of life. What hinders it does not hinder the job."""
    cpu_s, memory = used_by(group)
    disk = disk_bytes()
    peak.memory, peak.disk = max(peak.memory, memory), max(peak.disk, disk)
    sign = {"time": datetime.now(UTC).isoformat(), "cpu_s": cpu_s, "memory_bytes": memory, "disk_bytes": disk}
    with suppress(OSError):
        Path("heartbeat.tmp").write_text(json.dumps(sign))
        Path("heartbeat.tmp").replace("heartbeat")


def used_by(group: int) -> tuple[float, int]:
    """Processor time in seconds and memory in bytes of the processes of a group; shared memory counts once: proc(5)."""
    ticks = kilobytes = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):  # it has ended meanwhile, or lets nobody look
            fields = (process / "stat").read_bytes().rpartition(b")")[2].split()
            if int(fields[2]) == group:
                ticks += sum(map(int, fields[11:15]))
                share = re.search(rb"^Pss:\s+(\d+) kB", (process / "smaps_rollup").read_bytes(), re.MULTILINE)
                kilobytes += int(share[1]) if share else 0
    return ticks / os.sysconf("SC_CLK_TCK"), kilobytes * KB


def disk_bytes() -> int:
    """What the files in the job's folder take, without what its group shares."""
    taken = 0
    for parent, folders, names in os.walk("."):
        own = set(names)
        if parent == ".":
            folders[:] = set(folders) - {SHARED}
            own -= {ARCHIVE}
        for name in own:
            with suppress(OSError):
                taken += os.lstat(f"{parent}/{name}").st_size
    return taken


def limits() -> dict[str, float]:
    """What this job may use at most, as kernel and batch system say it; what nobody limits is left out."""
    said = [*of_process(), *of_cgroup(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")), *of_condor()]
    return {name: min(most for other, most in said if other == name) for name, _ in said}


def of_process() -> Iterator[tuple[str, float]]:
    """Limits of each single process: getrlimit(2). LSF sets that of resident memory, and looks after it itself."""
    names = {resource.RLIMIT_CPU: "cpu_s", resource.RLIMIT_AS: "memory_bytes", resource.RLIMIT_RSS: "memory_bytes"}
    for which, name in names.items():
        soft, _ = resource.getrlimit(which)
        if soft != resource.RLIM_INFINITY:
            yield name, soft


def of_cgroup(told: Path, root: Path) -> Iterator[tuple[str, float]]:
    """Limits of all processes together, of the job's cgroup and those above it: cgroups(7), version 2 and 1."""
    with suppress(OSError, ValueError):
        for _, controllers, place in (line.split(":", 2) for line in told.read_text().splitlines()):
            if controllers == "":
                mounted, file = root, "memory.max"
            elif "memory" in controllers.split(","):
                mounted, file = root / "memory", "memory.limit_in_bytes"
            else:
                continue
            for group in (place.strip("/"), *map(str, Path(place.strip("/")).parents)):
                with suppress(OSError, ValueError):  # "max" is no limit
                    most = int((mounted / group / file).read_text())
                    if most < NO_LIMIT:
                        yield "memory_bytes", most


CONDOR = {
    "RequestMemory": ("memory_bytes", MB),
    "Memory": ("memory_bytes", MB),
    "RequestDisk": ("disk_bytes", KB),
    "Disk": ("disk_bytes", KB),
    "AllowedJobDuration": ("wall_s", 1),
    "AllowedExecuteDuration": ("wall_s", 1),
}
"""Attributes of HTCondor's job and machine that limit a job, with their units; HTCondor manual, ClassAd attributes."""


def of_condor() -> Iterator[tuple[str, float]]:
    """Limits that HTCondor has given to the job and its slot."""
    for variable in ("_CONDOR_JOB_AD", "_CONDOR_MACHINE_AD"):
        with suppress(OSError, KeyError):
            ad = Path(os.environ[variable]).read_text(errors="replace")
            for attribute, most in re.findall(r"^(\w+) = (\d+)$", ad, re.MULTILINE):
                if attribute in CONDOR:
                    name, unit = CONDOR[attribute]
                    yield name, int(most) * unit


def ended_by(number: int) -> str:
    """What is told of a command that a signal has ended; if that was for a limit, which."""
    told = f"Ended by signal {number} ({signal.strsignal(number)})"
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = used.ru_utime + used.ru_stime
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    kept_by: dict[int, int] = {signal.SIGXCPU: soft, signal.SIGKILL: hard}
    most = kept_by.get(number, resource.RLIM_INFINITY)
    if most != resource.RLIM_INFINITY and cpu_s > most - 1:
        return f"{told}: it used {cpu_s:.0f} s of the {most} s of processor time that one process may use"
    largest, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if number == signal.SIGXFSZ and largest != resource.RLIM_INFINITY:
        return f"{told}: no file that it writes may be larger than {largest:,} bytes"
    return told


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
