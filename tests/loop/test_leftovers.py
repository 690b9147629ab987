"""What tries of productions left behind a door in vain is removed, and nothing else: a real server."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from b2cal import loop
from b2cal.loop import Workplace
from b2cal.loop.leftovers import KEPT
from b2cal.model import DataFile, JobGroup, Kind, Step
from b2cal.settings import BatchSettings, Settings
from tests.loop.world import Defined, World
from tests.services.xrootd import Door, running

pytestmark = pytest.mark.service

PARTS = (Defined("cDST", step=Step.CDST_PRODUCTION, kind=Kind.PRODUCE),)


class Production:
    """A production that runs, and what lies in its output."""

    def __init__(self, folder: Path, door: Door) -> None:
        self.world, self.door = World(folder, PARTS), door
        batch = BatchSettings(doors=(door.url(),), output=door.url("cdst"))
        home = self.world.workplace.settings.home
        self.workplace = Workplace(Settings(home=home, batch=batch), self.world.database)
        self.output = door.files / "cdst"
        self.output.mkdir()
        self.world.process()
        self.world.do("submit", "cDST")
        self.world.advance("cDST")

    @property
    def place(self) -> str:
        """That of the attempt that counts."""
        with self.world.database.read() as db:
            attempt_id = self.world.view(db).attempts["cDST"].id
            group = db.scalars(select(JobGroup).where(JobGroup.attempt_id == attempt_id)).one()
            return loop.place_in_output(db, group)

    def bring(self, file: str) -> Path:
        """A file of some try, written long ago."""
        path = self.output / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file)
        return self.aged(path, 1)

    def aged(self, path: Path, beyond_s: float) -> Path:
        """A file that was written so much longer ago than leftovers are kept."""
        at = (self.world.clock.now() - KEPT).timestamp() - beyond_s
        os.utime(path, (at, at))
        return path

    def register(self, *paths: Path) -> None:
        """The attempt ends, and its files are these."""
        self.world.files_made("cDST", set())
        with self.world.database.read() as db:
            rows = db.scalars(select(DataFile.id).where(DataFile.attempt_id.is_not(None))).all()
        for row, path in zip(rows, paths, strict=False):
            url = self.door.url(str(path.relative_to(self.door.files)))
            one = update(DataFile).where(DataFile.id == row).values(path=url)
            self.world.database.write(lambda db, one=one: db.execute(one))

    def clear(self) -> list[str]:
        """What was removed."""
        return [str(it) for it in loop.remove_leftovers(self.workplace)]

    def files(self) -> set[str]:
        return {path.relative_to(self.output).as_posix() for path in self.output.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with running(tmp_path_factory.mktemp("door")) as door:
        yield door


@pytest.fixture
def production(tmp_path: Path, door: Door) -> Iterator[Production]:
    production = Production(tmp_path, door)
    yield production
    production.world.database.dispose()
    production.output.rename(tmp_path / "seen")
    door.start()


def test_what_failed_tries_have_brought_goes_when_the_files_of_the_attempt_are_registered(
    production: Production,
) -> None:
    place = production.place
    kept = production.bring(f"{place}/produce-0/0/good/bhabha.root")
    production.bring(f"{place}/produce-0/0/failed/bhabha.root")
    production.bring(f"{place}/produce-0/1/failed/.hadron.root.part")
    assert production.clear() == []  # it runs
    production.register(kept)
    assert production.clear() == [f"{production.door.url('cdst')}/{place}: 2 files removed"]
    assert production.files() == {f"{place}/produce-0/0/good/bhabha.root"}
    assert sorted(path.name for path in (production.output / place).rglob("*")) == [
        "0",
        "bhabha.root",
        "good",
        "produce-0",
    ]
    assert production.clear() == []


def test_of_an_attempt_that_counts_no_more_all_goes_that_is_not_registered(production: Production) -> None:
    before = production.place
    production.bring(f"{before}/produce-0/0/whole/bhabha.root")
    production.world.do("restart", "cDST")
    assert production.clear() == [f"{production.door.url('cdst')}/{before}: 1 files removed"]
    assert list(production.output.iterdir()) == []


def test_what_has_failed_keeps_all_because_it_may_go_on(production: Production) -> None:
    brought = production.bring(f"{production.place}/produce-0/0/whole/bhabha.root")
    production.world.jobs_fail("cDST")
    assert production.clear() == []
    assert brought.exists()


def test_what_is_new_is_left_alone_and_goes_later(production: Production) -> None:
    place = production.place
    brought = production.aged(production.bring(f"{place}/produce-0/0/whole/bhabha.root"), -60)
    production.world.do("restart", "cDST")
    assert production.clear() == []
    assert brought.exists()
    production.world.tick(120)
    assert len(production.clear()) == 1
    assert not brought.exists()


def test_what_is_registered_or_of_others_is_never_removed(production: Production) -> None:
    place = production.place
    registered = production.bring(f"{place}/produce-0/0/good/bhabha.root")
    production.bring("1-0123456789abcdef0123456789abcdef/produce-0/0/token/of_another_home.root")
    production.bring("1/produce-0/0/token/of_an_older_b2cal.root")
    production.bring("somebodys.root")
    production.register(registered)
    production.world.do("restart", "cDST")
    before = production.files()
    assert production.clear() == []
    assert production.files() == before


def test_a_server_that_is_away_is_told_and_changes_nothing(production: Production) -> None:
    brought = production.bring(f"{production.place}/produce-0/0/whole/bhabha.root")
    production.world.do("restart", "cDST")
    production.door.stop()
    (told,) = production.clear()
    assert "Connection error" in told
    production.door.start()
    assert brought.exists()
    assert len(production.clear()) == 1
