"""Who let whom in, as what, and who planned a processing, stands in the decisions."""

from pathlib import Path

import pytest

from b2cal import loop
from b2cal.loop import Act
from b2cal.model import Role
from tests.loop.world import MANAGER, World


def test_who_made_whom_a_manager_and_who_removed_whom_is_kept(tmp_path: Path) -> None:
    world = World(tmp_path)
    act = Act(MANAGER, 0)
    world.database.write(lambda db: loop.let_in(db, "ruth", "hash", act))
    world.database.write(lambda db: loop.let_in(db, "ruth", "hash", act, role=Role.MANAGER))
    world.database.write(lambda db: loop.shut_out(db, "ruth", act))
    kept = [(it.actor, it.verb, it.person, it.from_state, it.to_state) for it in world.decisions()]
    assert kept == [
        ("manager", "let_in", "ruth", "none", "expert"),
        ("manager", "let_in", "ruth", "expert", "manager"),
        ("manager", "shut_out", "ruth", "manager", "none"),
    ]


@pytest.mark.parametrize("removed", [True, False], ids=["removed", "never known"])
def test_who_has_no_password_is_let_in_only_with_one(tmp_path: Path, *, removed: bool) -> None:
    world = World(tmp_path)
    act = Act(MANAGER, 0)
    if removed:
        world.database.write(lambda db: loop.let_in(db, "ruth", "hash", act))
        world.database.write(lambda db: loop.shut_out(db, "ruth", act))
    before = len(world.decisions())
    with pytest.raises(loop.InvalidChoice, match="ruth has no password, and none was given") as refused:
        world.database.write(lambda db: loop.let_in(db, "ruth", None, act, "Ruth Roe", Role.MANAGER))
    assert refused.value.hint == "`b2cal person add ruth` asks for one."
    assert len(world.decisions()) == before
    with world.database.read() as db:
        assert "ruth" not in loop.managers(db)


def test_nobody_can_be_shut_out_who_is_not_known(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(loop.NotFound, match="Nobody is known as ruth"):
        world.database.write(lambda db: loop.shut_out(db, "ruth", Act(MANAGER, 0)))
    assert world.decisions() == []


@pytest.mark.parametrize("verb", ["reassign", "name_deputy"])
def test_the_advice_to_act_as_somebody_else_is_only_for_who_acts(world: World, verb: str) -> None:
    with pytest.raises(loop.NotFound, match="Nobody is known as ghost") as named:
        world.do(verb, "A", "ghost")
    assert "--as" not in named.value.hint
    assert "known: " in named.value.hint
    with pytest.raises(loop.NotFound, match="Nobody is known as ghost") as acting, world.database.read() as db:
        loop.manager(db, "ghost")
    assert "b2cal --as" in acting.value.hint


def test_who_is_no_manager_is_sent_to_one_whatever_it_is_about(world: World) -> None:
    world.database.write(lambda db: loop.let_in(db, "tracking", "hash", Act(MANAGER, 0)))
    with pytest.raises(loop.NotAllowed, match="is not a manager") as refused, world.database.read() as db:
        loop.manager(db, "tracking")
    assert refused.value.hint == "Ask a manager."


def test_who_planned_a_processing_is_kept(world: World) -> None:
    planned, activated = world.decisions()[:2]
    assert (planned.actor, planned.role, planned.verb, planned.to_state) == (
        "manager",
        Role.MANAGER,
        "plan",
        "planned",
    )
    assert (planned.processing_id, activated.verb) == (activated.processing_id, "activate")
