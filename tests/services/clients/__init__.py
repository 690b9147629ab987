"""Other people's clients of batch systems, in an environment of their own."""

import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "b2cal" / "clients"


def clients_python() -> Path:
    """The Python that finds them; the test is skipped, with one line, where they cannot be had."""
    done = subprocess.run(["bash", HERE / "install.sh", FOLDER], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no foreign clients: {done.stderr.strip().splitlines()[-1]}")
    return FOLDER / "venv/bin/python"
