import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2cal.airflow.graph import BadGraph, Graph, GraphState, dag_id
from tests.airflow.graphs import graph, node, write

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def test_what_the_loop_wrote_is_read_back(tmp_path: Path) -> None:
    read = Graph.read(write(tmp_path, graph("proc12 chunk3", state="ended")))
    assert (read.processing, read.state) == ("proc12 chunk3", GraphState.ENDED)
    assert [one.task_id for one in read.nodes if "cdst" in one.upstream] == ["energy_scale", "momentum_scale"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"state": "sleeping"}, "sleeping"),
        ({"calibrations": [node("A", "pre-tracking", "b")]}, "waits for b"),
        ({"calibrations": [node("A", "local"), node("a", "local")]}, "same task id"),
        ({"calibrations": [node("A", "local", "b"), node("B", "local", "a")]}, "CycleError"),
        ({"calibrations": [node("A", "lunch")]}, "lunch"),
        ({"calibrations": [node("A.B", "local")]}, "a.b"),
        ({"calibrations": 3}, "TypeError"),
        ({"steps": None}, "TypeError"),
    ],
)
def test_a_graph_that_cannot_run_is_refused_with_the_reason(
    tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    path = write(tmp_path, graph(**changes))
    with pytest.raises(BadGraph, match=re.escape(complaint)) as refused:
        Graph.read(path)
    assert str(path) in str(refused.value)
    assert refused.value.hint


def test_a_file_about_another_processing_is_refused(tmp_path: Path) -> None:
    write(tmp_path, graph("bucket1")).rename(tmp_path / "bucket2.json")
    with pytest.raises(BadGraph, match="about bucket1, not about bucket2"):
        Graph.read(tmp_path / "bucket2.json")


@given(whole=st.just(json.dumps(graph())), cut=st.integers(min_value=0, max_value=400))
def test_half_a_file_is_refused(tmp_path_factory: pytest.TempPathFactory, whole: str, cut: int) -> None:
    path = tmp_path_factory.mktemp("half") / "bucket1.json"
    path.write_text(whole[:cut])
    with pytest.raises(BadGraph):
        Graph.read(path)


@given(JSON)
def test_whatever_stands_in_a_foreign_file_it_is_only_refused(
    tmp_path_factory: pytest.TempPathFactory, document: Any
) -> None:
    path = tmp_path_factory.mktemp("foreign") / "bucket1.json"
    path.write_text(json.dumps(document))
    with pytest.raises(BadGraph):
        Graph.read(path)


@given(st.text(min_size=1), st.text(min_size=1))
def test_two_processings_never_share_a_dag(one: str, other: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", dag_id(one))
    assert (dag_id(one) == dag_id(other)) == (one == other)
