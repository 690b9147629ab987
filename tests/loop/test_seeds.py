"""The seed of an attempt: everything that determines the result, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from b2cal.core.checksums import digest
from b2cal.core.iov import ExpRun
from b2cal.loop import Choice
from b2cal.model import DataFile, Definition, Release
from tests.loop.world import World


def seed_of_b(folder: Path, change: Callable[[World], None] = lambda _world: None, made_by_a: object = 1) -> str:
    """The seed of B, which reads the constants of A, in a new world."""
    folder.mkdir()
    world = World(folder)
    world.process()
    change(world)
    if world.state("B") == "open":
        world.do("submit", "B")
    world.do("submit", "A")
    world.finish("A", made_by_a)
    assert world.advance("B").state == "running"
    with world.database.read() as db:
        return world.view(db).attempts["B"].seed


def other_file_contents(world: World) -> None:
    run = ExpRun(26, 102).number
    world.database.write(
        lambda db: db.execute(update(DataFile).where(DataFile.exprun == run).values(sha256=digest("other")))
    )


def other_configuration(world: World) -> None:
    world.do("submit", "B", Choice({"events": 11}))


def other_selection(world: World) -> None:
    world.do("submit", "B", Choice(selection={"filters": {"bhabha": ["Good"]}, "exclude": ["e26r101"]}))


def other_release(world: World) -> None:
    world.database.write(lambda db: db.execute(update(Release).values(digest=digest("other"))))


def other_script(world: World) -> None:
    world.database.write(lambda db: db.execute(update(Definition).where(Definition.name == "B").values(module="b2")))


@pytest.mark.parametrize(
    "change", [other_file_contents, other_configuration, other_selection, other_release, other_script]
)
def test_one_changed_input_changes_the_seed(tmp_path: Path, change: Callable[[World], None]) -> None:
    assert seed_of_b(tmp_path / "one") != seed_of_b(tmp_path / "other", change)


def test_other_constants_upstream_change_the_seed(tmp_path: Path) -> None:
    assert seed_of_b(tmp_path / "one") != seed_of_b(tmp_path / "other", made_by_a=2)


def other_numbers_in_the_database(world: World) -> None:
    """What happened before gives every row another number."""
    world.database.write(lambda db: db.execute(update(DataFile).values(id=DataFile.id + 1000)))
    world.process("bucket2", first=105, last=109)
    for name in "AB":
        world.do("submit", name, processing="bucket2")
        world.finish(name, "something", "bucket2")
    world.do("submit", "B", Choice({"events": 12}))
    world.do("withdraw", "B")


def test_equal_inputs_give_an_equal_seed_whatever_the_numbers_of_the_rows(tmp_path: Path) -> None:
    assert seed_of_b(tmp_path / "one") == seed_of_b(tmp_path / "other", other_numbers_in_the_database)
