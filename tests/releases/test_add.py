"""A release becomes rows and a snapshot; the same contents are the same release."""

import errno
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from b2cal import loop, releases
from b2cal.core import files
from b2cal.core.clock import ManualClock
from b2cal.core.files import CannotWrite
from b2cal.model import Kind, Release, Step
from b2cal.releases.snapshot import copy_release, digest_of, store
from b2cal.settings import Settings
from tests import factories
from tests.releases.folders import script, write_release
from tests.releases.traces import nothing_is_left, row_counts

pytestmark = [pytest.mark.processes, pytest.mark.usefixtures("temporary")]

MASK, OFFSETS = script("Channel mask"), script("Time offsets", depends_on=["mask"])
PRODUCE = '[[definition]]\nscript = "cdst"\nstep = "cdst-production"\nkind = "produce"\n'
COPY = '[[definition]]\nscript = "pedestals"\nstep = "local"\nkind = "copy"\n'
TAG = {"source_tag": "calorimeter_local", "unchanged": False}


@pytest.mark.parametrize("named", ["", sys.executable])
def test_a_release_keeps_the_interpreter_that_it_names_and_none_else(database, settings, tmp_path, named):
    folder = write_release(tmp_path / "release", {"mask": MASK})
    toml = folder / "release.toml"
    if named:
        toml.write_text(f'interpreter = "{named}"\n{toml.read_text()}')
    release_id = releases.add(database, settings, folder).release_id
    with database.read() as db:
        assert db.get_one(Release, release_id).interpreter == named


def test_what_a_release_puts_into_the_environment_its_scripts_find_when_they_are_looked_through(
    database, settings, tmp_path
):
    needs = 'import os\nassert os.environ["BELLE2_TOOLS"] == "/cvmfs/tools", os.environ\n'
    scripts = {"mask": needs + MASK}
    own = '[environment]\nBELLE2_TOOLS = "/cvmfs/tools"\nHOME = "/nowhere"\n'
    assert "AssertionError" not in str(releases.inspect(write_release(tmp_path / "with", scripts, own)).problems)
    assert "KeyError: 'BELLE2_TOOLS'" in str(releases.inspect(write_release(tmp_path / "without", scripts)).problems)
    release_id = releases.add(database, settings, tmp_path / "with").release_id
    with database.read() as db:
        release = db.get_one(Release, release_id)
        assert release.environment == {"BELLE2_TOOLS": "/cvmfs/tools", "HOME": "/nowhere"}


@pytest.fixture
def good(tmp_path):
    scripts = {
        "pedestals": script("Pedestals", kind="copy", payloads=["Pedestals"], config=TAG),
        "mask": script("Channel mask", config={"min_events": 300}, filters={}),
        "offsets": OFFSETS,
        "cdst": script("cDST", kind="produce"),
        "energy": script("Energy", formats=["cdst"], more="\nprint('hello')\n"),
    }
    later = '[[definition]]\nscript = "energy"\nstep = "post-tracking"\n'
    folder = write_release(tmp_path / "good", scripts, COPY + PRODUCE + later)
    (folder / "tables").mkdir()
    (folder / "tables" / "geometry.json").write_text("{}")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "mask.pyc").write_text("old")
    (folder / ".git").mkdir()
    return folder


def test_a_good_release_becomes_rows_and_a_snapshot(database, settings, good):
    with nothing_is_left(database, good.parent / "temporary"):
        inspection = releases.inspect(good)
    assert inspection.problems == []
    release_id = releases.add(database, settings, good).release_id
    with database.read() as db:
        release = db.get_one(Release, release_id)
        assert release.name == "toy"
        assert release.vocabulary["Run Type"] == ["beam", "physics"]
        rows = {row.name: row for row in release.definitions}
        assert {row.name: (row.module, row.step, row.kind) for row in rows.values()} == {
            "Pedestals": ("pedestals", Step.LOCAL, Kind.COPY),
            "cDST": ("cdst", Step.CDST_PRODUCTION, Kind.PRODUCE),
            "Channel mask": ("mask", Step.PRE_TRACKING, Kind.CALIBRATE),
            "Time offsets": ("offsets", Step.PRE_TRACKING, Kind.CALIBRATE),
            "Energy": ("energy", Step.POST_TRACKING, Kind.CALIBRATE),
        }
        assert rows["Channel mask"].config_schema["properties"] == {"min_events": {"type": "integer"}}
        assert rows["Time offsets"].traits["branches"] == {"bhabha": ["energy"]}
        assert rows["Time offsets"].settings["depends_on"] == ["Channel mask"]
        assert [payload.payload_name for payload in rows["Time offsets"].payloads] == ["TimeOffsets"]
        snapshot = releases.folder(settings, release)
    names = sorted(str(path.relative_to(snapshot)) for path in snapshot.rglob("*") if path.is_file())
    scripts = ["cdst.py", "energy.py", "mask.py", "offsets.py", "pedestals.py"]
    assert names == sorted([*scripts, "release.toml", "tables/geometry.json"])
    assert all((snapshot / name).read_bytes() == (good / name).read_bytes() for name in names)


def test_a_definition_without_filters_is_flagged_not_refused(good):
    flags = releases.inspect(good).flags
    assert flags == [
        "mask ('Channel mask') has no filters: it is not submitted automatically until the manager gives a selection."
    ]


def test_a_reader_of_cdst_that_nobody_produces_and_a_wait_for_a_later_step_are_flagged(tmp_path):
    scripts = {
        "energy": script("Energy", formats=["cdst"], depends_on=["momentum"]),
        "momentum": script("Momentum"),
    }
    entries = '[[definition]]\nscript = "momentum"\nstep = "analysis"\n'
    assert releases.inspect(write_release(tmp_path / "release", scripts, entries)).flags == [
        "energy ('Energy') reads bhabha after the cDST production, but no definition produces that.",
        "energy ('Energy') of step pre-tracking waits for 'Momentum' of the later step analysis.",
    ]


def test_the_same_contents_are_the_same_release_wherever_they_lie(database, settings, good, tmp_path):
    first = releases.add(database, settings, good).release_id
    again = shutil.copytree(good, tmp_path / "elsewhere")
    os.utime(again / "mask.py", ns=(1, 1))
    with nothing_is_left(database, settings.home):
        assert releases.add(database, settings, again).release_id == first


def test_one_changed_byte_is_another_release_beside_the_first(database, settings, good):
    first = releases.add(database, settings, good).release_id
    with (good / "mask.py").open("a") as file:
        file.write("\n")
    second = releases.add(database, settings, good).release_id
    assert second != first
    with database.read() as db:
        folders = [releases.folder(settings, db.get_one(Release, number)) for number in (first, second)]
    assert (folders[0] / "mask.py").read_bytes() + b"\n" == (folders[1] / "mask.py").read_bytes()


def test_a_name_means_what_was_added_last_also_when_it_was_known_and_the_clock_stands(settings, good, tmp_path):
    database = factories.database(tmp_path, ManualClock(datetime(2026, 11, 27, tzinfo=UTC)))
    folders = [shutil.copytree(good, tmp_path / f"v{number}") for number in (1, 2, 3)]
    for number, folder in enumerate(folders):
        (folder / "tables" / "geometry.json").write_text(f"[{number}]")
    ids, seen = {}, []
    for number, was_known in [(0, False), (1, False), (0, True), (0, True), (1, True), (0, True), (2, False)]:
        added = releases.add(database, settings, folders[number])
        assert added.known is was_known
        assert ids.setdefault(number, added.release_id) == added.release_id
        with database.read() as db:
            newest = loop.release_named(db, "toy")
            assert (newest.id, newest.digest) == (added.release_id, added.inspection.digest)
            seen.append(newest.added_at)
    assert seen == sorted(seen)
    database.dispose()


def test_who_goes_back_at_the_same_time_leaves_one_release_of_each_contents(settings, good, tmp_path):
    database = factories.database(tmp_path, ManualClock(datetime(2026, 11, 27, tzinfo=UTC)))
    other = shutil.copytree(good, tmp_path / "other")
    (other / "tables" / "geometry.json").write_text("[]")
    with ThreadPoolExecutor(4) as pool:
        added = list(pool.map(lambda folder: releases.add(database, settings, folder), [good, other] * 2))
    assert sum(not one.known for one in added) == len({one.release_id for one in added}) == 2
    with database.read() as db:
        rows = db.scalars(select(Release)).all()
        assert len({row.added_at for row in rows}) == len(rows) == 2
    database.dispose()


def test_a_spoilt_snapshot_is_made_whole_by_adding_the_release_again(database, settings, good):
    release_id = releases.add(database, settings, good).release_id
    with database.read() as db:
        snapshot = releases.folder(settings, db.get_one(Release, release_id))
    (snapshot / "mask.py").unlink()
    assert releases.add(database, settings, good).release_id == release_id
    assert (snapshot / "mask.py").read_bytes() == (good / "mask.py").read_bytes()
    assert not [path for path in settings.releases.iterdir() if path.name.startswith(".")]


def take_in(folder: Path, snapshots: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        copy_release(folder, Path(temporary) / "copy")
        store(Path(temporary) / "copy", snapshots)


def test_a_disk_that_is_full_at_any_moment_leaves_nothing(good, tmp_path, temporary, monkeypatch):
    """Each file but the last is written once on a disk that is full then; then the flush of all of it fails."""
    snapshots, write_bytes, room_for = tmp_path / "snapshots", Path.write_bytes, 0
    snapshots.mkdir()

    def write_while_there_is_room(path: Path, content: bytes) -> int:
        use_room()
        return write_bytes(path, content)

    def flush_while_there_is_room(_folder: Path) -> None:
        use_room()

    def use_room() -> None:
        nonlocal room_for
        room_for -= 1
        if room_for == -1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", write_while_there_is_room)
    monkeypatch.setattr(files, "flush_file_system", flush_while_there_is_room)
    room_for = sys.maxsize
    take_in(good, snapshots)
    steps = sys.maxsize - room_for
    shutil.rmtree(next(snapshots.iterdir()))
    for done in range(steps):
        room_for = done
        with pytest.raises(CannotWrite, match="No space left on device") as refused:
            take_in(good, snapshots)
        assert refused.value.hint
        assert not [*temporary.iterdir(), *snapshots.iterdir()]
    assert steps > len(list(good.rglob("*.py")))


def test_a_folder_for_snapshots_that_cannot_be_made_is_explained(database, good, tmp_path):
    (tmp_path / "home").write_text("a file where a folder should be")
    rows = row_counts(database)
    with pytest.raises(CannotWrite, match="Not a directory") as refused:
        releases.add(database, Settings(home=tmp_path / "home"), good)
    assert refused.value.hint
    assert row_counts(database) == rows


def test_two_who_add_the_same_release_at_once_leave_one_snapshot(good, tmp_path):
    snapshots = tmp_path / "snapshots"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: take_in(good, snapshots), range(8)))
    [snapshot] = snapshots.iterdir()
    assert digest_of(snapshot) == snapshot.name


def test_a_whole_snapshot_is_never_moved_away_by_who_comes_at_the_same_time(good, tmp_path):
    """Also where a spoilt one lies, as after a broken restore: only the first who comes replaces it."""
    snapshots = tmp_path / "snapshots"
    take_in(good, snapshots)
    [snapshot] = snapshots.iterdir()
    script = next(path for path in snapshot.rglob("*.py"))
    script.chmod(0o644)
    script.write_text("spoilt")
    inodes = set()

    def add(_: int) -> None:
        take_in(good, snapshots)
        inodes.add(snapshot.stat().st_ino)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(8)))
    assert len(inodes) == 1
    assert digest_of(snapshot) == snapshot.name
