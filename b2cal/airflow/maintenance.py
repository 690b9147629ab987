"""The DAGs that belong to no processing. As in `builder` nothing heavy may be imported here.

How often they run stands in the environment, as `python -m b2cal.airflow` has taken it from the settings.
"""

import os
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, get_parsing_context

from .builder import RETRIES
from .operators import CleanUp, CopyToTape, LookForData, RemoveLeftovers

ARRIVAL, COPIES, CLEAN_UP = "_arrival", "_copies", "_clean_up"
"""No processing has such a name."""

LONGEST = timedelta(hours=1)
"""A task that takes longer hangs: it is ended and tried again."""


def maintenance_dags() -> dict[str, DAG]:
    """The DAGs by their id; in a worker only the one that it was started for. Without tape nothing is copied."""
    only = get_parsing_context().dag_id
    built = {}
    if only in (None, ARRIVAL):
        with _every(_setting("B2CAL_DATA__SCAN_EVERY_S"), ARRIVAL, "arrival of data") as built[ARRIVAL]:
            LookForData(task_id="look")
    if only in (None, COPIES) and "B2CAL_DATA__COPY_EVERY_S" in os.environ:
        with _every(_setting("B2CAL_DATA__COPY_EVERY_S"), COPIES, "copies to tape") as built[COPIES]:
            CopyToTape(task_id="copy")
    if only in (None, CLEAN_UP):
        with _every(timedelta(days=1), CLEAN_UP, "clean-up") as built[CLEAN_UP]:
            CleanUp(task_id="clean", dags=(ARRIVAL, COPIES, CLEAN_UP))
            RemoveLeftovers(task_id="outputs")
    return built


def _setting(variable: str) -> timedelta:
    return timedelta(seconds=float(os.environ[variable]))


def _every(interval: timedelta, identity: str, name: str) -> DAG:
    return DAG(
        identity,
        dag_display_name=name,
        schedule=interval,
        start_date=datetime(2020, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args={**RETRIES, "execution_timeout": LONGEST},
        tags=["maintenance"],
    )
