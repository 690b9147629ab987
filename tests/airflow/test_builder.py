import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from b2cal.airflow import maintenance_dags, processing_dags
from b2cal.airflow.__main__ import environment
from b2cal.airflow.builder import build
from b2cal.airflow.graph import Graph
from b2cal.settings import BatchSettings, Settings
from tests.airflow.graphs import graph, write

GROUPS = {
    "pre-tracking.channel_mask",
    "pre-tracking.time_offsets",
    "alignment.layer_alignment",
    "cdst-production.cdst",
    "post-tracking.energy_scale",
    "analysis.momentum_scale",
}


@pytest.fixture
def dag(tmp_path: Path) -> DAG:
    return build(Graph.read(write(tmp_path, graph())))


def test_each_calibration_has_a_window_and_a_run_and_one_task_closes(dag: DAG) -> None:
    assert set(dag.task_ids) == {"close"} | {f"{group}.{task}" for group in GROUPS for task in ("window", "run")}


def test_all_windows_are_open_at_once(dag: DAG) -> None:
    assert {task.task_id for task in dag.roots} == {f"{group}.window" for group in GROUPS}


def test_a_run_waits_for_its_own_window_and_the_runs_upstream(dag: DAG) -> None:
    assert dag.get_task("cdst-production.cdst.run").upstream_task_ids == {
        "cdst-production.cdst.window",
        "pre-tracking.channel_mask.run",
        "alignment.layer_alignment.run",
    }


def test_the_closing_task_comes_after_every_run(dag: DAG) -> None:
    assert dag.get_task("close").upstream_task_ids == {f"{group}.run" for group in GROUPS}
    assert [task.task_id for task in dag.leaves] == ["close"]


def test_an_active_processing_runs_for_ever_and_never_twice_at_a_time(dag: DAG) -> None:
    assert (dag.schedule, dag.max_active_runs, dag.is_paused_upon_creation) == ("@continuous", 1, False)


def test_an_ended_processing_starts_no_more_runs(tmp_path: Path) -> None:
    dag = build(Graph.read(write(tmp_path, graph(state="ended"))))
    assert dag.schedule is None


def test_a_task_survives_any_number_of_faults_and_comes_back_soon(dag: DAG) -> None:
    for task in dag.tasks:
        assert task.retries >= 1_000_000
        assert task.retry_delay.total_seconds() == 1
        assert task.max_retry_delay is not None
        assert task.max_retry_delay.total_seconds() == 60


def test_the_scheduler_can_store_and_read_the_dag(dag: DAG) -> None:
    read = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert set(read.task_dict) == set(dag.task_ids)


def test_a_worker_builds_only_the_dag_it_was_started_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home / "dags", graph("bucket1"))
    write(home / "dags", graph("proc12 chunk3"))
    everything = processing_dags()
    assert len(everything) == 2
    for identity in everything:
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", identity)
        assert set(processing_dags()) == {identity}


@pytest.mark.parametrize("content", ["", '{"processing": "bucket', '{"some": "thing"}', "[1, 2]"])
def test_a_broken_file_is_reported_and_stops_no_other_processing(
    home: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    write(home / "dags", graph("bucket1"))
    (home / "dags" / "bucket2.json").write_text(content)
    assert set(processing_dags()) == {"bucket1"}
    assert str(home / "dags" / "bucket2.json") in caplog.text


def test_a_file_that_vanishes_while_the_folder_is_read_stops_nothing(home: Path) -> None:
    write(home / "dags", graph("bucket1"))
    (home / "dags" / "bucket2.json").symlink_to(home / "gone.json")
    assert set(processing_dags()) == {"bucket1"}


def test_the_arrival_of_data_is_looked_after_in_the_time_of_the_settings(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("B2CAL_DATA__SCAN_EVERY_S", environment(Settings(), {})["B2CAL_DATA__SCAN_EVERY_S"])
    dag = maintenance_dags()["_arrival"]
    assert (dag.schedule, dag.catchup, dag.max_active_runs) == (timedelta(minutes=10), False, 1)
    assert set(DagSerialization.from_dict(DagSerialization.to_dict(dag)).task_dict) == {"look"}
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "bucket1")
    assert maintenance_dags() == {}
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", dag.dag_id)
    assert set(maintenance_dags()) == {dag.dag_id}
    assert processing_dags() == {}


def test_copies_are_made_where_a_centre_has_a_tape(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_tape = Settings(batch=BatchSettings(tape="root://tape.example.org:1094//cdst"))
    for settings, dags in ((Settings(), {"_arrival", "_clean_up"}), (with_tape, {"_arrival", "_copies", "_clean_up"})):
        for name, value in environment(settings, {}).items():
            monkeypatch.setenv(name, value)
        assert set(maintenance_dags()) == dags
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "_copies")
    assert set(maintenance_dags()["_copies"].task_ids) == {"copy"}


@pytest.mark.processes
def test_the_dag_files_import_nothing_heavy(home: Path) -> None:
    write(home / "dags", graph())
    files = Path(__file__).parents[2] / "dags"
    script = f"""
import os, runpy, sys
import airflow.sdk, airflow.triggers.base
before = set(sys.modules)
os.environ["B2CAL_DATA__SCAN_EVERY_S"] = "600"
assert "bucket1" in runpy.run_path({str(files / "processings.py")!r})
assert "_arrival" in runpy.run_path({str(files / "maintenance.py")!r})
new = set(sys.modules) - before
ours = {{name for name in new if name.split(".")[0] == "b2cal"}}
print(sorted(ours - {{name for name in ours if name.startswith(("b2cal.airflow", "b2cal.core"))}} - {{"b2cal"}}))
print(sorted({{name.split(".")[0] for name in new}} & {{"numpy", "scipy", "uproot", "awkward", "sqlalchemy", "pydantic",
    "pydantic_settings", "alembic", "flask", "matplotlib", "click", "rich", "psutil"}}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]
