"""Python environments that are none of b2cal's own."""

import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def interpreter(name: str) -> Path:
    """The Python of an environment, made if need be; the test is skipped, with one line, where that is impossible."""
    done = subprocess.run(["bash", HERE / "environment.sh", name], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no environment {name}: {done.stderr.strip().splitlines()[-1]}")
    return Path(done.stdout.strip())
