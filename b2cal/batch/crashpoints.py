"""Named moments at which a test may kill a process, so that every gap between two steps can be hit.

    B2CAL_CRASH_AT=submit-to-record:/tmp/marker b2cal up

kills the first process that comes to `crashpoint("submit-to-record")`, if the file /tmp/marker exists; the file is
removed first, so that the process that takes its place goes on. Without that variable a crash point does nothing.
"""

import os
import signal

VARIABLE = "B2CAL_CRASH_AT"


def crashpoint(name: str) -> None:
    """Die here by SIGKILL, once, if the environment says so."""
    wanted, _, marker = os.environ.get(VARIABLE, "").partition(":")
    if wanted != name:
        return
    try:
        os.unlink(marker)  # noqa: PTH108 (whoever removes the file is the one that dies)
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
