"""The DAGs that belong to no processing. As in `builder` nothing heavy may be imported here."""

import os
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, get_parsing_context

from .builder import RETRIES
from .operators import LookForData

ARRIVAL = "_arrival"
"""No processing has such a name."""


def maintenance_dags() -> dict[str, DAG]:
    """The DAGs by their id; in a worker only the one that it was started for."""
    only = get_parsing_context().dag_id
    return {} if only not in (None, ARRIVAL) else {ARRIVAL: _arrival()}


def _arrival() -> DAG:
    every_s = float(os.environ["B2CAL_DATA__SCAN_EVERY_S"])
    with DAG(
        ARRIVAL,
        dag_display_name="arrival of data",
        schedule=timedelta(seconds=every_s),
        start_date=datetime(2020, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args=RETRIES,
        tags=["maintenance"],
    ) as dag:
        LookForData(task_id="look")
    return dag
