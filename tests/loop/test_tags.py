"""Global tags change by a manager's hand only, and each change leaves a decision."""

import pytest
from sqlalchemy.orm import Session

from b2cal import conditions, loop
from b2cal.conditions import TagRefused, tag_named
from b2cal.core.iov import ExpRun
from b2cal.loop import Act, Actor
from b2cal.model import Decision, Role, TagState
from tests.loop.world import MANAGER, World

EXPERT = Actor("tracking", Role.EXPERT)


def add(db: Session, act: Act, first: int = 0) -> None:
    entry = World.constants(db, "A", "new", ExpRun(26, first))
    loop.add_to_tag(db, tag_named(db, "main"), [entry], act)


ACTS = {
    "create": lambda db, act: loop.create_tag(db, "other", act),
    "add": add,
    "copy": lambda db, act: loop.copy_tag(db, tag_named(db, "main"), "other", act),
    "set_state": lambda db, act: loop.set_tag_state(db, tag_named(db, "main"), TagState.RUNNING, act),
}


def version(world: World) -> int:
    with world.database.read() as db:
        return tag_named(db, "main").version


@pytest.mark.parametrize("verb", ACTS)
def test_a_manager_does_it_and_who_what_and_why_is_kept(world: World, verb: str) -> None:
    act = Act(MANAGER, version(world), "the bench says so", request_key="form-1")
    world.database.write(lambda db: ACTS[verb](db, act))
    with world.database.read() as db:
        made = db.query(Decision).order_by(Decision.id.desc()).first()
        assert (made.actor, made.role, made.verb) == ("manager", Role.MANAGER, verb)
        assert (made.reason, made.processing_id) == ("the bench says so", None)
        assert made.tag_id == tag_named(db, "other" if verb in ("create", "copy") else "main").id
        assert (made.from_state, made.to_state) == ("open", "running" if verb == "set_state" else "open")
    with pytest.raises(loop.Repeated):
        world.database.write(lambda db: ACTS[verb](db, act))


@pytest.mark.parametrize("verb", ACTS)
def test_for_an_expert_it_is_refused_and_nothing_is_written(world: World, verb: str) -> None:
    before = len(world.decisions())
    with pytest.raises(loop.NotAllowed, match="Global tags are not for the expert"):
        world.database.write(lambda db: ACTS[verb](db, Act(EXPERT, version(world))))
    assert (len(world.decisions()), version(world)) == (before, 2)


@pytest.mark.parametrize("verb", ["add", "copy", "set_state"])
def test_who_has_not_seen_the_latest_is_told(world: World, verb: str) -> None:
    seen = version(world)
    world.database.write(lambda db: add(db, Act(MANAGER, seen), first=100))
    with pytest.raises(loop.Conflict, match="main was changed by somebody else"):
        world.database.write(lambda db: ACTS[verb](db, Act(MANAGER, seen)))


def test_a_state_that_the_rules_forbid_is_refused_with_the_rule_and_leaves_no_decision(world: World) -> None:
    before = len(world.decisions())
    with pytest.raises(TagRefused, match="main is open and cannot become published: it may become running or testing"):
        world.database.write(
            lambda db: loop.set_tag_state(db, tag_named(db, "main"), TagState.PUBLISHED, Act(MANAGER, version(world)))
        )
    assert len(world.decisions()) == before


def test_the_state_that_it_has_is_no_change(world: World) -> None:
    before = len(world.decisions())
    world.database.write(
        lambda db: loop.set_tag_state(db, tag_named(db, "main"), TagState.OPEN, Act(MANAGER, version(world)))
    )
    assert (len(world.decisions()), version(world)) == (before, 2)


def test_what_was_added_stands_in_the_decision(world: World) -> None:
    world.database.write(lambda db: add(db, Act(MANAGER, version(world)), first=100))
    with world.database.read() as db:
        entry = conditions.tag_entries(db, tag_named(db, "main").id)[1]
    assert world.decisions()[-1].details == {"payloads": [["PA", "e26r100 - open", entry.identity]]}


def test_a_copy_of_a_final_tag_is_open_and_holds_the_same(world: World) -> None:
    def unit(db: Session) -> None:
        main = tag_named(db, "main")
        loop.set_tag_state(db, main, TagState.RUNNING, Act(MANAGER, main.version))
        db.refresh(main)
        loop.copy_tag(db, main, "other", Act(MANAGER, main.version, "to correct it"))

    world.database.write(unit)
    with world.database.read() as db:
        main, other = tag_named(db, "main"), tag_named(db, "other")
        entries = conditions.tag_entries(db, main.id)
        assert entries
        assert conditions.tag_entries(db, other.id) == entries
        assert (main.state, other.state) == (TagState.RUNNING, TagState.OPEN)


def test_tags_that_may_stand_in_hold_all_payloads_for_all_runs(world: World) -> None:
    """The base does; a tag of another calibration, one without runs at the beginning and an empty one do not."""

    def unit(db: Session) -> None:
        for name, of, first in (("whole", "A", 0), ("of B", "B", 0), ("late", "A", 105)):
            tag_id = conditions.create_tag(db, name.replace(" ", "_"))
            conditions.publish(db, tag_id, [World.constants(db, of, "new", ExpRun(26, first))])
        conditions.create_tag(db, "empty")

    world.database.write(unit)
    with world.database.read() as db:
        view = world.view(db)
        a, b = view.calibration("A"), view.calibration("B")
        assert loop.fitting_tags(view, [a]) == ["main", "whole"]
        assert loop.fitting_tags(view, [a, b]) == ["main"]
