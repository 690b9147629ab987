"""Builds one DAG per processing from its frozen graph: per calibration `window`, then `run`; at the end `close`.

Every start of a task imports this module and builds its DAG, so nothing heavy may be imported here: the standard
library and Airflow only.
"""

import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, TaskGroup, get_parsing_context

from .graph import BadGraph, Graph, GraphState, Node, dag_id
from .operators import CloseProcessing, RunCalibration, WaitForWindow

log = logging.getLogger(__name__)

# Tasks fail only when the infrastructure does, and that may take any number of tries to come back.
RETRIES = {
    "retries": 1_000_000,
    "retry_delay": timedelta(seconds=1),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(seconds=60),
}


def processing_dags() -> dict[str, DAG]:
    """The DAGs of all processings, by their id; in a worker only the one that it was started for.

    The graphs are read from the folder that the environment variable B2CAL_DAGS names. A file that is no graph is
    reported in the log and left out, so that one broken file stops no other processing.
    """
    only = get_parsing_context().dag_id
    built = {}
    for path in sorted(Path(os.environ["B2CAL_DAGS"]).glob("*.json")):
        identity = dag_id(path.stem)
        if only is not None and identity != only:
            continue
        try:
            built[identity] = build(Graph.read(path))
        except BadGraph as problem:
            log.error("%s %s", problem, problem.hint)  # noqa: TRY400 - the message says all; a trace would hide it
    return built


def build(graph: Graph) -> DAG:
    """The DAG of one processing. An ended one keeps its history in Airflow, but no run of it starts any more."""
    with DAG(
        dag_id(graph.processing),
        dag_display_name=graph.processing,
        schedule="@continuous" if graph.state is GraphState.ACTIVE else None,
        start_date=datetime(2020, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        max_active_tasks=2 * len(graph.nodes) + 1,
        is_paused_upon_creation=False,
        default_args=RETRIES,
        tags=["processing"],
    ) as dag:
        runs: dict[str, RunCalibration] = {}
        for step in graph.steps:
            with TaskGroup(step):
                runs |= {node.task_id: _tasks(graph, node) for node in graph.nodes if node.step == step}
        for node in graph.nodes:
            for upstream in node.upstream:
                runs[upstream] >> runs[node.task_id]
        close = CloseProcessing(task_id="close", processing=graph.processing)
        for run in runs.values():
            run >> close
    return dag


def _tasks(graph: Graph, node: Node) -> RunCalibration:
    with TaskGroup(node.task_id, group_display_name=node.name):
        window = WaitForWindow(task_id="window", processing=graph.processing, calibration=node.name)
        run = RunCalibration(task_id="run", processing=graph.processing, calibration=node.name)
        window >> run
    return run
