"""Before a processing is activated it is known whether there is room for what it will write."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.core.iov import ExpRun, IoV
from b2cal.loop import Act, InvalidChoice, NewProcessing, Room, Workplace
from b2cal.model import DataFile, Kind, ProcessingState, Step
from b2cal.settings import DataSettings, Settings
from tests.loop.world import MANAGER, Defined, World

RUNS = IoV(ExpRun(26, 100), ExpRun(26, 104))
PARTS = (Defined("A"), Defined("cDST", ("A",), step=Step.CDST_PRODUCTION, kind=Kind.PRODUCE))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, PARTS)
    yield world
    world.database.dispose()


def room(world: World, *vetoes: str, **settings: object) -> Room:
    data = DataSettings(**{"payload_bytes": 7, **settings})  # type: ignore[arg-type]
    workplace = Workplace(Settings(home=world.workplace.settings.home, data=data), world.database)
    return loop.look_for_room(workplace, "toy", RUNS, "local", vetoes)


def needed(found: Room) -> int:
    (home,) = found.shares
    return home.needed


def test_what_is_needed_follows_from_what_productions_would_read_and_from_the_payloads(world: World) -> None:
    assert needed(room(world)) == 2 * 7 + 2500
    assert needed(room(world, share=3.0)) == 2 * 7 + 15000
    assert needed(room(world, share=3.0, shares={"cDST": 0.1})) == 2 * 7 + 500
    assert needed(room(world, "cDST")) == 7

    def one_file_has_not_arrived(db: Session) -> None:
        db.delete(db.scalars(select(DataFile).where(DataFile.exprun == RUNS.first.number)).one())

    world.database.write(one_file_has_not_arrived)
    assert needed(room(world)) == 2 * 7 + 2500


def test_with_too_little_room_a_processing_is_activated_only_with_a_reason_which_is_kept(world: World) -> None:
    wanted = NewProcessing("bucket1", RUNS, "toy", "manager", "main", "main")
    planned = world.database.write(lambda db: loop.create_processing(db, wanted).id)
    short = room(world, payload_bytes=10**18)
    with pytest.raises(InvalidChoice) as refused:
        world.database.write(lambda db: loop.activate(db, planned, short, Act(MANAGER, 1)))
    home = world.workplace.settings.folder("")
    assert str(refused.value).startswith("There is too little room. About 2000 PB needed for constants and cDST, ")
    assert str(refused.value).endswith(f"that is in {home}.")
    assert "activate it with a reason" in refused.value.hint
    assert world.processing().state is ProcessingState.PLANNED
    world.database.write(lambda db: loop.activate(db, planned, short, Act(MANAGER, 1, "another disk comes today")))
    decision = next(it for it in world.decisions() if it.verb == "activate")
    assert decision.reason == "another disk comes today"
    assert decision.details["room"][0]["needed"] == short.shares[0].needed


def test_with_enough_room_no_reason_is_wanted(world: World) -> None:
    wanted = NewProcessing("bucket1", RUNS, "toy", "manager", "main", "main")
    planned = world.database.write(lambda db: loop.create_processing(db, wanted).id)
    world.database.write(lambda db: loop.activate(db, planned, room(world), Act(MANAGER, 1)))
    assert world.processing().state is ProcessingState.ACTIVE
