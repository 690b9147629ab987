"""What a production has made is copied to a second place when it is signed off: whole, once, whatever happens."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select, update

from b2cal import data, loop
from b2cal.calibration.doors import check, client, server_of
from b2cal.calibration.uploads import deliver
from b2cal.core.checksums import sha256_file
from b2cal.data.behind_doors import _HASTE
from b2cal.loop import Workplace
from b2cal.model import CopyState, DataFile, FileCopy, Kind, State, Step
from b2cal.settings import BatchSettings, Settings
from tests.loop.world import Defined, World
from tests.services.xrootd import Door, running
from tests.waiting import wait_for

PARTS = (Defined("cDST", step=Step.CDST_PRODUCTION, kind=Kind.PRODUCE),)


class Tape:
    """A production that waits to be signed off, with its files on the disk, and an empty second place."""

    def __init__(self, folder: Path, place: str = "", file_bytes: int = 1000) -> None:
        self.world, self.file_bytes = World(folder, PARTS), file_bytes
        self.folder, self.made = folder / "tape", folder / "made"
        home = self.world.workplace.settings.home
        settings = Settings(home=home, batch=BatchSettings(tape=place or str(self.folder)))
        self.workplace = Workplace(settings, self.world.database)
        self.made.mkdir()
        self.world.process()
        self.world.do("submit", "cDST")
        self.produce()

    def produce(self) -> None:
        """The files of an attempt lie on the disk, and wait for their sign-off."""
        self.world.advance("cDST")
        self.world.files_made("cDST", set())
        with self.world.database.read() as db:
            attempt_id = self.world.view(db).attempts["cDST"].id
            rows = db.scalars(select(DataFile).where(DataFile.attempt_id == attempt_id)).all()
        for row in rows:
            path = self.made / f"{row.id}.root"
            path.write_bytes(bytes([row.id % 256]) * self.file_bytes)
            columns = {"path": str(path), "size_bytes": self.file_bytes, "sha256": sha256_file(path)}
            one = update(DataFile).where(DataFile.id == row.id).values(columns)
            self.world.database.write(lambda db, one=one: db.execute(one))
        self.world.judged("cDST")

    def copy(self) -> list[str]:
        """Make what is due; the errors."""
        return [made.error for made in loop.make_copies(self.workplace)]

    def rows(self) -> list[FileCopy]:
        with self.world.database.read() as db:
            return list(db.scalars(select(FileCopy).order_by(FileCopy.id)))

    def files(self) -> dict[str, bytes]:
        """All that lies in the second place, by name."""
        return {path.name: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
def tape(tmp_path: Path) -> Iterator[Tape]:
    tape = Tape(tmp_path)
    yield tape
    tape.world.database.dispose()


def test_files_are_copied_once_when_their_production_is_signed_off(tape: Tape) -> None:
    assert tape.copy() == []
    tape.world.advance("cDST")
    assert tape.world.state("cDST") == State.SIGNED_OFF
    assert tape.copy() == [""] * 5
    assert tape.files() == {path.name: path.read_bytes() for path in tape.made.iterdir()}
    assert {row.state for row in tape.rows()} == {CopyState.DONE}
    assert all(Path(row.target).is_file() for row in tape.rows())
    assert tape.copy() == []


def test_who_is_killed_at_any_point_leaves_nothing_that_the_next_would_stumble_over(tape: Tape) -> None:
    tape.world.advance("cDST")
    copying = loop.make_copies(tape.workplace)
    next(copying)
    copying.close()
    half, unmarked, *_ = tape.rows()[1:]
    for row, name in ((half, f".{Path(half.target).name}.part"), (unmarked, Path(unmarked.target).name)):
        begun = update(FileCopy).where(FileCopy.id == row.id).values(state=CopyState.COPYING, tries=1)
        tape.world.database.write(lambda db, begun=begun: db.execute(begun))
        place = Path(row.target).parent / name
        place.parent.mkdir(parents=True)
        whole = (tape.made / Path(row.target).name).read_bytes()
        place.write_bytes(whole if row is unmarked else whole[:10])
    before = Path(unmarked.target).stat().st_mtime_ns
    assert tape.copy() == [""] * 4
    assert tape.files() == {path.name: path.read_bytes() for path in tape.made.iterdir()}
    assert Path(unmarked.target).stat().st_mtime_ns == before
    assert {row.state for row in tape.rows()} == {CopyState.DONE}


def test_what_cannot_be_copied_is_told_and_tried_again_later_and_later_while_others_go_on(tape: Tape) -> None:
    damaged = min(tape.made.iterdir(), key=lambda path: int(path.stem))
    whole = damaged.read_bytes()
    damaged.write_bytes(b"x" * 1000)
    tape.world.advance("cDST")
    first, *others = tape.copy()
    assert first.startswith(f"{damaged} is not as it was registered")
    assert others == [""] * 4
    assert damaged.name not in "".join(tape.files())
    assert tape.copy() == []
    for pause in (60, 120, 240):
        tape.world.tick(pause - 1)
        assert tape.copy() == []
        tape.world.tick(1)
        assert len(tape.copy()) == 1
    assert (tape.rows()[0].state, tape.rows()[0].tries) == (CopyState.FAILED, 4)
    damaged.write_bytes(whole)
    assert tape.world.database.write(loop.copy_again) == 1
    assert tape.copy() == [""]
    assert (tape.rows()[0].state, tape.rows()[0].error) == (CopyState.DONE, "")


def test_what_a_production_made_that_is_done_again_is_wanted_no_more(tape: Tape) -> None:
    tape.world.advance("cDST")
    for made in loop.make_copies(tape.workplace):
        assert made.error == ""
        break
    tape.world.do("restart", "cDST")
    assert tape.copy() == []
    assert [row.state for row in tape.rows()] == [CopyState.DONE]
    tape.produce()
    tape.world.advance("cDST")
    assert tape.copy() == [""] * 5


def test_without_a_second_place_nothing_is_wanted(tape: Tape) -> None:
    tape.world.advance("cDST")
    assert list(loop.make_copies(tape.world.workplace)) == []
    assert tape.rows() == []


def behind(door: Door) -> dict[str, int]:
    """What lies behind a door, by its path, with its size."""
    flags = client().flags.DirListFlags
    status, found = server_of(door.url()).dirlist("/", flags.STAT | flags.RECURSIVE)
    check(door.url(), status)
    files = [it for it in found if not it.statinfo.flags & client().flags.StatInfoFlags.IS_DIR]
    return {it.name.lstrip("/"): it.statinfo.size for it in files}


def path_below(row: FileCopy, door: Door) -> str:
    return row.target.removeprefix(door.url())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on the client of this process waits for no server."""
    monkeypatch.setitem(_HASTE, "ConnectionWindow", 1)
    monkeypatch.setitem(_HASTE, "TimeoutResolution", 1)
    data.trouble_at("root://127.0.0.1:1//", BatchSettings())


@pytest.fixture
def door(tmp_path: Path, impatient: None) -> Iterator[Door]:
    with running(tmp_path / "door") as door:
        yield door


def see_that_all_comes_later(tape: Tape, door: Door, failed: int) -> None:
    """What has failed is tried again in time, and then lies there whole."""
    assert tape.copy() == []
    tape.world.tick(59)
    assert tape.copy() == []
    tape.world.tick(1)
    assert tape.copy() == [""] * failed
    assert {(row.state, row.error) for row in tape.rows()} == {(CopyState.DONE, "")}
    assert behind(door) == {path_below(row, door): tape.file_bytes for row in tape.rows()}
    assert tape.copy() == []


@pytest.mark.service
def test_while_the_server_of_the_tape_is_away_copies_fail_and_are_made_when_it_is_back(
    tmp_path: Path, door: Door
) -> None:
    tape = Tape(tmp_path, door.url("tape"))
    tape.world.advance("cDST")
    door.stop()
    said = tape.copy()
    assert all("Connection error" in error for error in said)
    assert [(row.state, row.tries) for row in tape.rows()] == [(CopyState.FAILED, 1)] * 5
    assert all(row.not_before > tape.world.clock.now() for row in tape.rows())
    door.start()
    see_that_all_comes_later(tape, door, failed=5)


@pytest.mark.service
def test_what_does_not_fit_on_the_tape_fails_leaves_nothing_and_is_made_when_there_is_room(
    tmp_path: Path, impatient: None
) -> None:
    ballast = tmp_path / "ballast"
    ballast.write_bytes(bytes(11 << 20))
    with running(tmp_path / "door", room="16m") as door:
        deliver(ballast, door.url("ballast"))
        tape = Tape(tmp_path, door.url("tape"), file_bytes=3 << 20)
        tape.world.advance("cDST")
        said = tape.copy()
        assert sum(error == "" for error in said) == 1, said
        assert {row.state for row in tape.rows()} == {CopyState.DONE, CopyState.FAILED}
        done = [row for row in tape.rows() if row.state is CopyState.DONE]
        assert behind(door).keys() == {"ballast", *(path_below(row, door) for row in done)}
        assert server_of(door.url()).rm("/ballast")[0].ok
        see_that_all_comes_later(tape, door, failed=4)


@pytest.mark.service
def test_when_the_server_of_the_tape_dies_in_the_middle_nothing_is_there_under_its_name_and_it_is_made_later(
    tmp_path: Path, door: Door
) -> None:
    tape = Tape(tmp_path, door.url("tape"), file_bytes=64 << 20)
    tape.world.advance("cDST")

    def half() -> list[Path]:
        return [path for path in (door.files / "tape").rglob(".*.part") if path.stat().st_size]

    with ThreadPoolExecutor(1) as aside:
        killed = aside.submit(lambda: (wait_for(half, "a copy has begun", every_s=0.001), door.kill()))
        said = tape.copy()
        killed.result()
    assert all(said)
    assert {row.state for row in tape.rows()} == {CopyState.FAILED}
    assert all(name.endswith(".part") for name in (path.name for path in door.files.rglob("*") if path.is_file()))
    door.start()
    see_that_all_comes_later(tape, door, failed=5)
