"""Who may act for an expert."""

import pytest
from sqlalchemy import select

from b2cal import loop
from b2cal.loop import Actor
from b2cal.model import Outbox, Role
from tests import factories
from tests.loop.world import MANAGER, World

EXPERT = Actor("tracking", Role.EXPERT)


@pytest.fixture
def world(world: World) -> World:
    """Somebody more is known."""
    world.database.write(lambda db: factories.person(db, "second"))
    return world


def messages(world: World) -> dict[str, str]:
    """The latest message to each."""
    with world.database.read() as db:
        rows = db.scalars(select(Outbox).where(Outbox.kind == "message").order_by(Outbox.id)).all()
    return {row.body["to"]: row.body["text"] for row in rows}


def role(world: World, username: str) -> Role:
    with world.database.read() as db:
        return loop.actor(db, username, world.view(db).calibration("A")).role


def test_an_expert_names_a_deputy_who_is_told_and_may_act(world: World) -> None:
    with pytest.raises(loop.NotAllowed):
        role(world, "second")
    world.do("name_deputy", "A", "second", by=EXPERT)
    assert role(world, "second") is Role.DEPUTY
    assert messages(world) == {"second": "tracking made you the deputy of tracking: you may act as well."}
    last = world.decisions()[-1]
    assert (last.actor, last.verb, last.details["deputy"]) == ("tracking", "name_deputy", [None, "second"])
    world.do("submit", "A", by=Actor("second", Role.DEPUTY))
    assert world.state("A") == "submitted"


def test_a_manager_takes_a_deputy_away_and_everybody_concerned_is_told(world: World) -> None:
    world.do("name_deputy", "A", "second", by=EXPERT)
    world.do("name_deputy", "A", None, by=MANAGER)
    assert messages(world) == {
        "second": "You are no longer the deputy of tracking, says manager.",
        "tracking": "manager made nobody your deputy.",
    }
    with pytest.raises(loop.NotAllowed):
        role(world, "second")


@pytest.mark.parametrize(
    ("deputy", "why"),
    [
        ("tracking", "tracking is the expert of A already"),
        ("second", "second is the deputy of A already"),
        ("nobody-knows", "Nobody is known as nobody-knows"),
    ],
)
def test_who_cannot_be_the_deputy_is_refused_and_nothing_is_written(world: World, deputy: str, why: str) -> None:
    world.do("name_deputy", "A", "second")
    before = len(world.decisions()), messages(world)
    with pytest.raises((loop.InvalidChoice, loop.NotFound), match=why):
        world.do("name_deputy", "A", deputy)
    assert (len(world.decisions()), messages(world)) == before


def test_where_there_is_no_deputy_none_can_be_taken_away(world: World) -> None:
    with pytest.raises(loop.InvalidChoice, match=r"^A has no deputy\.$"):
        world.do("name_deputy", "A", None)


def test_a_deputy_names_no_deputy(world: World) -> None:
    world.do("name_deputy", "A", "second")
    with pytest.raises(loop.NotAllowed, match="The deputy may not name a deputy"):
        world.do("name_deputy", "A", "manager", by=Actor("second", Role.DEPUTY))


def test_who_becomes_the_expert_is_the_deputy_no_longer(world: World) -> None:
    world.do("name_deputy", "A", "second")
    world.do("reassign", "A", "second")
    assert role(world, "second") is Role.EXPERT
    with world.database.read() as db:
        assert world.view(db).calibration("A").deputy is None
