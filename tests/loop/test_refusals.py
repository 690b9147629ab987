"""What is refused leaves nothing behind: no row in any table, no file."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path

import pytest

from b2cal import conditions, loop
from b2cal.core.errors import B2calError
from b2cal.core.iov import ExpRun, IoV
from b2cal.loop import Act, Choice, NewProcessing
from b2cal.model import Person, ProcessingKind, TagState
from tests import factories
from tests.loop.world import MANAGER, Defined, World


@contextmanager
def nothing_changes(world: World) -> Iterator[None]:
    home = world.workplace.settings.folder("")

    def seen() -> tuple[object, list[Path]]:
        files = [path for path in home.rglob("*") if not path.name.startswith("b2cal.db")]
        return factories.contents(world.database), sorted(files)

    before = seen()
    yield
    assert seen() == before


@pytest.mark.parametrize(
    ("choice", "error", "said"),
    [
        (Choice({"events": "many"}), loop.InvalidConfig, "events"),
        (Choice({"evnets": 1}), loop.InvalidConfig, "evnets"),
        (Choice(selection={"filters": {"bhabha": ["Perfect"]}}), loop.InvalidChoice, "Perfect"),
        (Choice(selection={"filters": {"muons": ["Good"]}}), loop.InvalidChoice, "muons"),
        (Choice(selection={"filters": {"bhabha": ["Good"]}, "exclude": ["run 101"]}), loop.InvalidChoice, "run 101"),
        (Choice(selection=5), loop.InvalidChoice, "A selection is an object"),  # type: ignore[arg-type]
        (Choice(selection=[]), loop.InvalidChoice, "A selection is an object"),  # type: ignore[arg-type]
    ],
    ids=["value", "key", "filter", "data name", "run", "number", "list"],
)
def test_a_submission_that_cannot_be_carried_out(
    world: World, choice: Choice, error: type[B2calError], said: str
) -> None:
    with nothing_changes(world), pytest.raises(error, match=said):
        world.do("submit", "A", choice)


GOOD = NewProcessing(
    name="bucket2",
    runs=IoV(ExpRun(26, 105), ExpRun(26, 109)),
    release="toy",
    manager="manager",
    base_tag="main",
    target_tag="main",
)
REFUSED = (
    ({"name": ""}, loop.InvalidChoice, "cannot be the name"),
    ({"name": "../bucket2"}, loop.InvalidChoice, "cannot be the name"),
    ({"name": "bucket 2"}, loop.InvalidChoice, "cannot be the name"),
    ({"name": "b" * 65}, loop.InvalidChoice, "cannot be the name"),
    ({"name": "bucket1"}, loop.Conflict, "There is a processing bucket1 already"),
    ({"window_s": 1e12}, loop.InvalidChoice, r"cannot wait for 1e\+12 s"),
    ({"reject_window_s": float("inf")}, loop.InvalidChoice, "cannot wait for inf s"),
    ({"inputs_patience_s": float("nan")}, loop.InvalidChoice, "cannot wait for nan s"),
    ({"window_s": 0.0}, loop.InvalidChoice, "cannot wait for 0 s"),
    ({"blocked": (date.max,)}, loop.InvalidChoice, "9999-12-31 cannot be blocked"),
    ({"runs": IoV(ExpRun(26, 105), None)}, loop.InvalidChoice, "needs a last run"),
    ({"runs": IoV(ExpRun(27, 1), ExpRun(27, 9))}, loop.InvalidChoice, "has no run in e27r1"),
    ({"runs": IoV(ExpRun(26, 104), ExpRun(26, 109))}, loop.Conflict, "bucket1 of the same tag main"),
    ({"manager": "tracking"}, loop.NotAllowed, "is not a manager"),
    ({"manager": "nobody"}, loop.NotFound, "nobody"),
    ({"release": "toy-2"}, loop.NotFound, "toy-2"),
    ({"base_tag": "mian"}, conditions.UnknownTag, "mian"),
    ({"target_tag": "mian"}, conditions.UnknownTag, "mian"),
    ({"target_tag": "closed", "kind": ProcessingKind.REPROCESSING}, loop.Conflict, "The tag closed is testing"),
)


def test_a_processing_that_cannot_be(world: World) -> None:
    world.database.write(lambda db: conditions.create_tag(db, "closed", TagState.TESTING))
    world.database.write(lambda db: setattr(db.get_one(Person, "tracking"), "password_hash", "of a password"))
    for changes, error, said in REFUSED:
        with nothing_changes(world), pytest.raises(error, match=said):
            world.database.write(partial(loop.create_processing, wanted=replace(GOOD, **changes)))
    world.database.write(lambda db: loop.create_processing(db, GOOD))


@pytest.mark.parametrize("names", [("Time offsets", "time-offsets"), ("Alignment", "§§")])
def test_a_processing_whose_tasks_would_have_one_name_or_none_in_airflow(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    world = World(tmp_path, tuple(Defined(name) for name in names))
    planned = world.database.write(lambda db: loop.create_processing(db, GOOD).id)
    with nothing_changes(world), pytest.raises(loop.Conflict, match=names[1]):
        world.database.write(lambda db: loop.activate(db, planned, loop.Room(), Act(MANAGER, 1)))
