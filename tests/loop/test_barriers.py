"""Full barriers between the steps: who waits for whom, in the loop and in the graph for Airflow."""

import json
from pathlib import Path

import pytest

from b2cal import loop
from b2cal.airflow.graph import Graph
from b2cal.loop import Choice
from b2cal.model import BarrierPolicy, Processing, Step
from tests.loop.world import Defined, World

SIDE_BY_SIDE = (
    Defined("A"),
    Defined("B", ("A",)),
    Defined("C"),
    Defined("D", ("A",), step=Step.ALIGNMENT),
    Defined("E", step=Step.ANALYSIS),
)


def world_with(folder: Path, barrier: BarrierPolicy, definitions: tuple[Defined, ...] = SIDE_BY_SIDE) -> World:
    world = World(folder, definitions)
    world.process(barrier=barrier)
    return world


def why(world: World, name: str) -> loop.Why:
    with world.database.read() as db:
        view = world.view(db)
        return loop.why(view, view.calibration(name), world.clock.now())


def waits_for(folder: Path, world: World) -> dict[str, set[str]]:
    """Whom each waits for by the graph that Airflow reads, directly or not."""
    loop.write_graph(world.workplace, world.processing().id)
    nodes = Graph.read(folder / "dags" / "bucket1.json").nodes
    direct = {node.task_id: set(node.upstream) for node in nodes}
    found: dict[str, set[str]] = {}
    while found != (found := {name: up.union(*(direct[other] for other in up)) for name, up in direct.items()}):
        direct = found
    return found


@pytest.mark.parametrize(("barrier", "expected"), [
    (BarrierPolicy.NONE, {"a": "", "b": "a", "c": "", "d": "a", "e": ""}),
    (BarrierPolicy.STEPS, {"a": "", "b": "a", "c": "", "d": "abc", "e": "abcd"}),
])  # fmt: skip
def test_the_graph_of_airflow_waits_for_what_the_loop_waits_for(
    tmp_path: Path, barrier: BarrierPolicy, expected: dict[str, str]
) -> None:
    world = world_with(tmp_path, barrier)
    assert waits_for(tmp_path, world) == {name: set(others) for name, others in expected.items()}
    for name in "ABCDE":
        world.do("submit", name)
    for name in "EDCBA":  # as if Airflow asked in the worst order
        world.advance(name)
    for name in "ABCDE":
        blamed = why(world, name).calibration
        assert (blamed is None) == (world.state(name) == "running")
        assert blamed is None or blamed.lower() in expected[name.lower()]
        assert (world.state(name) == "running") == (expected[name.lower()] == "")


def test_a_calibration_starts_when_all_steps_before_are_finished(tmp_path: Path) -> None:
    world = world_with(tmp_path, BarrierPolicy.STEPS)
    for name in "ABCDE":
        world.do("submit", name)
    for name in "AB":
        world.finish(name, 1)
    assert world.advance("D").state == "submitted"
    assert why(world, "D") == loop.Why("Waits for C which is submitted.", "C")
    key = ("bucket1", "E")
    before = loop.signals(world.workplace, [key])[key]
    world.finish("C", 1)
    assert loop.signals(world.workplace, [key])[key] > before
    assert why(world, "E").calibration == "D"
    assert world.advance("D").state == "running"


def test_barriers_wait_for_what_is_stale_but_nothing_behind_them_reads_it_or_is_in_doubt(tmp_path: Path) -> None:
    world = world_with(tmp_path, BarrierPolicy.STEPS)
    for name in "ABCDE":
        world.do("submit", name)
    for name in "ABCD":
        world.finish(name, 1)
    world.advance("E")
    with world.database.read() as db:
        assert [read.producer for read in world.view(db).attempts["E"].reads] == [None] * 5
        assert [it.name for it in world.view(db).before("D")] == ["A", "C", "B"]
        assert loop.consequences(world.view(db), "C") == []
    world.do("reject", "A")
    assert world.freshness("E") == "fresh"
    assert world.freshness("D") == "in doubt"
    world.jobs_end("E", 1)
    world.judged("E")
    assert world.advance("E").state == "signed_off"
    world.do("submit", "A", Choice({"events": 11}))
    world.finish("A", 2)
    assert world.freshness("B") == "stale"
    world.do("restart", "E")
    assert world.advance("E").state == "submitted"
    assert why(world, "E") == loop.Why("Waits for B, which is stale because of A.", "B")


def test_a_release_in_which_something_depends_on_a_later_step_cannot_have_barriers(tmp_path: Path) -> None:
    world = World(tmp_path, (Defined("A", ("B",)), Defined("B", step=Step.ALIGNMENT)))
    with pytest.raises(loop.Conflict, match=r"A \(pre-tracking\) -> B \(alignment\) -> A"):
        world.process(barrier=BarrierPolicy.STEPS)
    with world.database.read() as db:
        assert db.query(Processing).count() == 0
    world.process()
    loop.write_graph(world.workplace, world.processing().id)
    assert json.loads((tmp_path / "dags" / "bucket1.json").read_text())["state"] == "active"


def test_an_upstream_that_is_not_in_the_processing_is_an_error_and_no_endless_loop(world: World) -> None:
    with world.database.read() as db:
        view = world.view(db)
        view.calibration("A").upstream = ["Z"]
        with pytest.raises(RuntimeError, match="bucket1: nobody can be next"):
            view.downstream("A")
        db.rollback()
