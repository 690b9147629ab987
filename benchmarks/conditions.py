"""Where and when something is measured."""

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

from tests.checkout import commit


def where_and_when() -> str:
    """Which commit, on which machine; two lines."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return (
        f"b2cal {commit()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, Python {platform.python_version()}\n"
        f"{os.cpu_count()} x {cpu[1] if cpu else platform.machine()}, load {os.getloadavg()[0]:.1f} at the start\n"
    )
