"""What the maintenance DAGs leave behind in Airflow: thousands of runs a week, of which nobody looks at old ones."""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from b2cal.core.errors import B2calError
from b2cal.settings import Settings

from .config import airflow_home

KEPT = timedelta(days=7)

_FAILED = re.compile(r"Encountered error when attempting to clean table '(dag_run|log)'")


class CannotClean(B2calError):
    """Airflow could not remove old runs."""


def forget_old_runs(settings: Settings, environment: Mapping[str, str], dags: Sequence[str], at: datetime) -> None:
    """Remove the runs of some DAGs that began more than a week ago, their logs too; the last of each stays.

    Args:
        settings: of this home.
        environment: of a process of Airflow that may write its metadata.
        dags: ids.
        at: now.

    Raises:
        CannotClean: with the last lines of what Airflow said.
    """
    before = at - KEPT
    # Not --error-on-cleanup-failure: version 3.3 always fails at its table of deadlines, which has no ids of DAGs. So
    # what it says is looked at.
    command = [sys.executable, "-m", "airflow", "db", "clean", "--yes", "--skip-archive"]
    command += ["--tables", "dag_run,log", "--dag-ids", ",".join(dags), "--clean-before-timestamp", before.isoformat()]
    done = subprocess.run(
        command, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0 or _FAILED.search(done.stdout):
        last = " / ".join(done.stdout.strip().splitlines()[-3:])
        raise CannotClean(
            f"Airflow could not remove old runs: {last}", hint="Nothing depends on it; it is tried again by itself."
        )
    for dag in dags:
        for logs in (airflow_home(settings) / "logs" / f"dag_id={dag}").glob("run_id=*"):
            if logs.stat().st_mtime < before.timestamp():
                shutil.rmtree(logs, ignore_errors=True)
