"""Named moments at which a test may kill or hold a process, so that every gap between two steps can be hit.

    B2CAL_CRASH_AT=submit-to-record:/tmp/marker b2cal up

kills the first process that comes to `crashpoint("submit-to-record")`, if the file /tmp/marker exists; the file is
removed first, so that the process that takes its place goes on. If the file contains the word `hold`, the process waits
instead until the file is gone, so that something else can be killed meanwhile; that it waits is told by a second file,
/tmp/marker.reached. Without that variable a crash point does nothing.
"""

import os
import signal
import time
from pathlib import Path

VARIABLE = "B2CAL_CRASH_AT"
HOLD = "hold"


def crashpoint(name: str) -> None:
    """Die here by SIGKILL, or wait, if the environment says so; once."""
    wanted, _, path = os.environ.get(VARIABLE, "").partition(":")
    if wanted != name:
        return
    marker = Path(path)
    try:
        if marker.read_text().strip() == HOLD:
            _hold(marker)
            return
        marker.unlink()  # whoever removes the file is the one that dies
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _hold(marker: Path) -> None:
    marker.with_name(f"{marker.name}.reached").touch()
    while marker.exists():
        time.sleep(0.01)
