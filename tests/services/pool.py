"""A real HTCondor pool for a session of tests, started and ended with it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PREFIX = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "b2cal" / "condor"


@contextmanager
def pool(folder: Path, **settings: str) -> Iterator[None]:
    """A pool whose state lies in `folder`; while it is up, the bindings in this process speak with it."""
    unpacked = subprocess.run(["bash", HERE / "condor_unpack.sh", PREFIX], capture_output=True, text=True, check=False)
    if unpacked.returncode:
        pytest.skip(f"no HTCondor: {unpacked.stderr.strip().splitlines()[-1]}")
    environment = {**os.environ, "CONDOR_PREFIX": str(PREFIX), **settings}
    started = subprocess.run(
        ["bash", HERE / "pool.sh", "up", folder], env=environment, capture_output=True, text=True, check=False
    )
    assert started.returncode == 0, started.stderr
    ours = {
        "CONDOR_CONFIG": str(folder / "condor_config"),
        "PATH": f"{PREFIX / 'usr/bin'}:{os.environ['PATH']}",
    }
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        import htcondor2

        htcondor2.reload_config()
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        subprocess.run(["bash", HERE / "pool.sh", "down", folder], env=environment, check=True, capture_output=True)
