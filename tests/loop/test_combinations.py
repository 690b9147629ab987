"""The combination of an attempt: everything that determines the result, and nothing else. Where its draws begin."""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select, update

from b2cal.core.checksums import digest
from b2cal.core.iov import ExpRun
from b2cal.loop import Choice
from b2cal.model import DataFile, Definition, JobGroup, Release
from tests.loop.world import Defined, World


def combination(folder: Path, name: str, change: Callable[[World], None] = lambda _world: None) -> str:
    """The combination of the first attempt of a calibration in a new world: A, or B which reads the constants of A."""
    folder.mkdir()
    world = World(folder, (Defined("A"), Defined("B", ("A",))))
    world.process()
    change(world)
    if world.state(name) == "open":
        world.do("submit", name)
    assert world.advance(name).state == "running"
    with world.database.read() as db:
        return world.view(db).attempts[name].combination


def draws(folder: Path, change: Callable[[World], None] = lambda _world: None) -> str:
    """Where the random numbers of the first attempt of A begin, as its jobs are told."""
    folder.mkdir()
    world = World(folder, (Defined("A"),))
    world.process()
    change(world)
    if world.state("A") == "open":
        world.do("submit", "A")
    assert world.advance("A").state == "running"
    with world.database.read() as db:
        return str(db.scalars(select(JobGroup.spec)).one()["seed"])


def a_makes(value: object) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.do("submit", "A")
        world.finish("A", value)

    return change


def other_file_contents(world: World) -> None:
    run = ExpRun(26, 102).number
    world.database.write(
        lambda db: db.execute(update(DataFile).where(DataFile.exprun == run).values(sha256=digest("other")))
    )


def other_configuration(world: World) -> None:
    world.do("submit", "A", Choice({"events": 11}))


def other_selection(world: World) -> None:
    world.do("submit", "A", Choice(selection={"filters": {"bhabha": ["Good"]}, "exclude": ["e26r101"]}))


def other_release(world: World) -> None:
    world.database.write(lambda db: db.execute(update(Release).values(digest=digest("other"))))


def other_script(world: World) -> None:
    world.database.write(lambda db: db.execute(update(Definition).where(Definition.name == "A").values(module="a2")))


def test_each_changed_input_changes_the_combination(tmp_path: Path) -> None:
    changes = (other_file_contents, other_configuration, other_selection, other_release, other_script)
    found = {change.__name__: combination(tmp_path / change.__name__, "A", change) for change in changes}
    found["nothing changed"] = combination(tmp_path / "nothing", "A")
    assert len(set(found.values())) == len(found), found


def other_numbers_in_the_database(world: World) -> None:
    """What happened before gives every row another number."""
    world.database.write(lambda db: db.execute(update(DataFile).values(id=DataFile.id + 1000)))
    world.process("bucket2", first=105, last=109)
    for name in "AB":
        world.do("submit", name, processing="bucket2")
        world.finish(name, "something", "bucket2")
    world.do("submit", "B", Choice({"events": 12}))
    world.do("withdraw", "B")
    a_makes(1)(world)


def test_constants_upstream_change_the_combination_but_numbers_of_rows_do_not(tmp_path: Path) -> None:
    one = combination(tmp_path / "one", "B", a_makes(1))
    assert combination(tmp_path / "other constants", "B", a_makes(2)) != one
    assert combination(tmp_path / "other numbers", "B", other_numbers_in_the_database) == one


def test_random_numbers_are_the_same_wherever_the_files_lie_and_others_for_another_script(tmp_path: Path) -> None:
    changes = (other_file_contents, other_configuration, other_release, other_script)
    begin = {change.__name__: draws(tmp_path / change.__name__, change) for change in changes}
    begin["nothing changed"] = draws(tmp_path / "nothing")
    assert begin.pop("other_file_contents") == begin["nothing changed"]
    assert len(set(begin.values())) == len(begin), begin
