"""`python -m tests.services.centre NAME COMMAND...`: run a command where there is a centre of that name.

Where the settings describe none, one is started, and stopped at the end: an HTCondor pool or the stand-in for LSF with
an XRootD server before its storage. All of it lies in the home folder, so the same command goes on where it was. Its
jobs see neither the checkout nor the data nor the storage, and with HTCondor nothing of the home folder: what they need
is brought to them, or read and written through the door. Their Python is an environment of its own.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from b2cal.settings import Settings
from tests.services import xrootd
from tests.services.lsf.cluster import running_lsf
from tests.services.pool import PREFIX, running_pool, worker

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
SLOTS = max(2, os.cpu_count() or 0)

Described = Mapping[str, Any]


def ready(call: Sequence[str | Path]) -> str:
    """What a script that makes something ready has printed."""
    done = subprocess.run(["bash", *call], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"There is no centre to be had here: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout.strip()


def storage(home: Path, stack: ExitStack) -> Described:
    """A storage behind a door, and what a centre says of it."""
    door = stack.enter_context(xrootd.running(home / "storage"))
    (door.files / "cdst").mkdir(exist_ok=True)
    return {
        "interpreter": ready([HERE / "environment.sh", "jobs_python"]),
        "doors": [door.url()],
        "output": door.url("cdst"),
    }


@contextmanager
def condor(home: Path) -> Iterator[Described]:
    """An HTCondor pool of two machines with which nothing is shared but the network."""
    ready([HERE / "condor_unpack.sh", PREFIX])
    with ExitStack() as stack:
        described = storage(home, stack)
        stack.enter_context(running_pool(home / "pool", CONDOR_SLOTS="0"))
        for name in ("one", "two"):
            stack.enter_context(worker(home / "pool", name, SLOTS // 2, [CHECKOUT, home]))
        yield {
            "backend": "htcondor",
            "python": str(Path(sys.executable).resolve()),
            "job_lease_s": 20,
            "look_every_s": 10,
            **described,
        }


@contextmanager
def lsf(home: Path) -> Iterator[Described]:
    """The stand-in for LSF, whose machines see the home folder, as LSF's do, but not what lies behind the door."""
    with ExitStack() as stack:
        described = storage(home, stack)
        (home / "data").mkdir(exist_ok=True)
        (home / "lsf").mkdir(exist_ok=True)
        covered = f"{CHECKOUT}:{home / 'data'}:{home / 'storage'}"
        apart = ["bash", HERE / "apart.sh", covered, f"{home}:{HERE / 'lsf'}"]
        cluster = stack.enter_context(running_lsf(home / "lsf", SLOTS, apart))
        yield {
            "backend": "lsf",
            "python": str(Path(sys.executable).resolve()),
            "path": str(cluster.commands),
            "poll_every_s": 2,
            **described,
        }


CENTRES: Mapping[str, Callable[[Path], Any]] = {"condor": condor, "lsf": lsf}


def main(name: str, command: Sequence[str]) -> int:
    """Run the command; its exit code."""
    settings = Settings()
    if name in settings.centres:
        return subprocess.call(command)
    if name not in CENTRES:
        sys.exit(f"There is no centre {name}: describe it in b2cal.toml, or take one of {', '.join(CENTRES)}.")
    home = settings.folder("")
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with CENTRES[name](home) as described:
        described_too = json.loads(os.environ.get("B2CAL_CENTRES", "{}"))
        os.environ["B2CAL_CENTRES"] = json.dumps({**described_too, name: described})
        running = subprocess.Popen(command)
        # Ctrl-C reaches the command by itself; the centre stays until that has ended.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: running.terminate())
        return running.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
