"""Real HTCondor pools for tests."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PREFIX = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "b2cal" / "condor"


@dataclass(frozen=True)
class Pool:
    """A pool whose state lies in a folder; it can be stopped and started again, and goes on where it was."""

    folder: Path
    settings: Mapping[str, str]

    def start(self) -> None:
        done = self._pool_sh("up")
        assert done.returncode == 0, done.stderr

    def stop(self) -> None:
        done = self._pool_sh("down")
        assert done.returncode == 0, done.stderr

    def pids(self, daemon: str) -> list[int]:
        """Processes of its daemons of this name, `schedd` for instance."""
        return [int(pid) for pid in self._pool_sh("pid", daemon).stdout.split()]

    def _pool_sh(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "CONDOR_PREFIX": str(PREFIX), **self.settings}
        call = ["bash", HERE / "pool.sh", words[0], self.folder, *words[1:]]
        return subprocess.run(call, env=environment, capture_output=True, text=True, check=False)


def unpacked() -> Path:
    """The folder with HTCondor's files; the test is skipped, with one line, where they cannot be had."""
    done = subprocess.run(["bash", HERE / "condor_unpack.sh", PREFIX], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no HTCondor: {done.stderr.strip().splitlines()[-1]}")
    return PREFIX


@contextmanager
def worker(pool: Path, name: str, slots: int, covered: Sequence[Path]) -> Iterator[None]:
    """A machine of a pool that has none of its own; it does not see what lies in the folders `covered`."""
    _worker_sh("up", pool, name, WORKER_SLOTS=str(slots), WORKER_COVER=":".join(map(str, covered)))
    try:
        yield
    finally:
        power_off(pool, name)


def power_off(pool: Path, name: str) -> None:
    """A machine of a pool is gone with all that runs on it; if it is gone already, nothing happens."""
    _worker_sh("down", pool, name)


def _worker_sh(command: str, pool: Path, name: str, **settings: str) -> None:
    environment = {**os.environ, "CONDOR_PREFIX": str(PREFIX), **settings}
    call = ["bash", HERE / "worker.sh", command, pool, name]
    done = subprocess.run(call, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextmanager
def running_pool(folder: Path, **settings: str) -> Iterator[Pool]:
    """A pool; while it is up, the bindings in this process speak with it."""
    import htcondor2

    unpacked()
    pool = Pool(folder, settings)
    pool.start()
    before = dict(os.environ)
    os.environ["CONDOR_CONFIG"] = str(folder / "condor_config")
    os.environ["PATH"] = f"{PREFIX / 'usr/bin'}:{os.environ['PATH']}"
    try:
        htcondor2.reload_config()
        yield pool
    finally:
        for name in ("CONDOR_CONFIG", "PATH"):
            os.environ.pop(name)
            os.environ.update({name: before[name]} if name in before else {})
        if "CONDOR_CONFIG" in os.environ:
            htcondor2.reload_config()
        pool.stop()
