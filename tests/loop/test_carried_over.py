"""Keys that are carried over: the defaults of a processing are those with which the last published one was made."""

from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.loop import Choice
from b2cal.model import Definition, ProcessingKind, PublishPolicy, Submission
from tests.loop.world import Defined, World

TUNED = (Defined("A", config={"events": 10, "layers": [1, 2]}, carried_over=("events",)),)


def published(world: World, changes: dict[str, object], name: str = "bucket1", first: int = 100) -> None:
    """A processing in which A was submitted with these changes, up to the end."""
    world.process(name, first=first, last=first + 1)
    world.do("submit", "A", Choice(changes), processing=name)
    world.finish("A", changes, name)
    assert loop.advance_processing(world.workplace, name).state == "published"
    world.tick(60)


def defaults(world: World, name: str) -> dict[str, object]:
    with world.database.read() as db:
        return loop.default_config(world.view(db, name).calibration("A"))


def submission(world: World, name: str) -> Submission:
    with world.database.read() as db:
        found = world.view(db, name).calibration("A").submission
        assert found is not None
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, TUNED)


def test_only_the_keys_that_are_marked_are_taken_over(world: World) -> None:
    published(world, {"events": 20, "layers": [3]})
    world.process("bucket2", first=105, last=106)
    assert defaults(world, "bucket2") == {"events": 20, "layers": [1, 2]}
    world.tick(100)
    assert world.advance("A", "bucket2").state == "running"
    made = submission(world, "bucket2")
    assert (made.automatic, made.config) == (True, {"events": 20, "layers": [1, 2]})
    (decision,) = [it for it in world.decisions() if it.verb == "submit" and it.actor == "b2cal"]
    assert decision.details["carried_over"] == {"events": "bucket1"}


def test_what_an_expert_changes_counts_and_the_rest_is_taken_over(world: World) -> None:
    published(world, {"events": 20})
    world.process("bucket2", first=105, last=106)
    world.do("submit", "A", Choice({"layers": [4]}), processing="bucket2")
    assert submission(world, "bucket2").config == {"events": 20, "layers": [4]}
    world.do("withdraw", "A", processing="bucket2")
    world.do("submit", "A", Choice({"events": 10}), processing="bucket2")
    assert submission(world, "bucket2").config == {"events": 10, "layers": [1, 2]}
    assert "carried_over" not in world.decisions()[-1].details


def test_the_first_processing_has_the_defaults_of_the_script(world: World) -> None:
    world.process()
    assert defaults(world, "bucket1") == {"events": 10, "layers": [1, 2]}


def test_the_last_published_counts_not_what_was_only_run(world: World) -> None:
    published(world, {"events": 20})
    published(world, {"events": 30}, "bucket2", first=103)
    world.process("bucket3", first=105, last=106, publish=PublishPolicy.MANUAL)
    world.do("submit", "A", Choice({"events": 40}), processing="bucket3")
    world.finish("A", 4, "bucket3")
    world.process("bucket4", first=107, last=108)
    assert defaults(world, "bucket4")["events"] == 30


def test_what_is_published_later_does_not_change_what_the_page_said(world: World) -> None:
    published(world, {"events": 20})
    world.process("bucket2", first=103, last=104)
    world.process("bucket3", first=105, last=106)
    world.do("submit", "A", Choice({"events": 30}), processing="bucket2")
    world.finish("A", 2, "bucket2")
    assert loop.advance_processing(world.workplace, "bucket2").state == "published"
    assert defaults(world, "bucket3")["events"] == 20


def test_a_reprocessing_takes_nothing_over_from_a_prompt_one(world: World) -> None:
    published(world, {"events": 20})
    world.process("proc12", first=100, last=104, kind=ProcessingKind.REPROCESSING)
    assert defaults(world, "proc12")["events"] == 10


def test_a_vetoed_calibration_leaves_nothing_so_the_one_before_counts(world: World) -> None:
    published(world, {"events": 20})
    world.process("bucket2", first=103, last=104)
    world.do("submit", "A", Choice({"events": 30}), processing="bucket2")
    world.do("veto", "A", processing="bucket2")
    assert loop.advance_processing(world.workplace, "bucket2").state == "published"
    world.process("bucket3", first=105, last=106)
    assert defaults(world, "bucket3")["events"] == 20


def test_what_does_not_fit_the_script_any_more_is_left_behind(world: World) -> None:
    published(world, {"events": 20})
    with world.database.read() as db:
        definition = world.view(db).calibration("A").definition.id
    world.database.write(lambda db: narrow(db, definition))
    world.process("bucket2", first=105, last=106)
    assert defaults(world, "bucket2")["events"] == 10


def narrow(db: Session, number: int) -> None:
    """As if a new release allowed less."""
    definition = db.get_one(Definition, number)
    definition.config_schema = {"type": "object", "properties": {"events": {"type": "integer", "maximum": 15}}}


def test_defaults_that_were_rejected_are_those_that_would_be_submitted(world: World) -> None:
    published(world, {"events": 20})
    world.process("bucket2", first=105, last=106)
    world.do("submit", "A", processing="bucket2")
    world.advance("A", "bucket2")
    world.jobs_end("A", 1, "bucket2")
    world.judged("A", processing="bucket2")
    world.do("reject", "A", processing="bucket2")
    world.tick(100)
    assert world.advance("A", "bucket2").state == "open"
