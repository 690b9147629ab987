"""At which generation of its processing a run of the DAG began.

When something already finished is reopened, the processing's generation goes up: then every task of the present run
looks once more and ends, and the next run passes over what is finished. For this all tasks of a run must compare with
the same number: the one that the first of them found, before it looked at anything.
"""

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from b2cal.core.files import write_atomically
from b2cal.core.ids import new_token


def generation_at_start(processing: str, run_id: str, now: Callable[[], int]) -> int:
    """The generation at which this run began; `now` tells the present one and is asked only by the run's first task.

    One small file per run below AIRFLOW_HOME: it lives and dies with Airflow's metadata, needs no server, and is
    written once, so a task that is cleared or runs twice cannot move the beginning of its run.
    """
    folder = Path(os.environ["AIRFLOW_HOME"], "passes", _file_name(processing))
    path = folder / _file_name(run_id)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        mine = folder / new_token()
        write_atomically(mine, str(now()))
        try:
            os.link(mine, path)
        except FileExistsError:
            pass  # another task of this run was first
        finally:
            mine.unlink()
    return int(path.read_text())


def _file_name(identity: str) -> str:
    return sha256(identity.encode()).hexdigest()[:32]
