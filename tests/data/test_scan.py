"""The catalogue over a folder of ROOT files."""

import json
import os
import shutil
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from b2cal import data
from b2cal.core.checksums import sha256_file
from b2cal.core.iov import ExpRun
from b2cal.data import shelf
from b2cal.data.catalogue import ScanReport
from b2cal.data.opening import open_files
from b2cal.model import Base, DataFile, Run, UnreadableFile, now
from tests import factories
from tests.data.catalogues import file, registry_entry, root_file, run, write_registry

pytestmark = pytest.mark.processes


@pytest.fixture
def database(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    database = factories.database(home)
    yield database
    database.dispose()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Two runs with three files, written once."""
    folder = tmp_path_factory.mktemp("written")
    root_file(folder, "bhabha_e0026_r00001.root", 100)
    root_file(folder, "cosmic_e0026_r00001_f01.root", 30)
    root_file(folder, "bhabha_e0026_r00002.root", 0)
    write_registry(folder, [registry_entry(1), registry_entry(2)])
    return folder


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / "raw")


def contents(database):
    """All rows of all tables."""
    with database.read() as db:
        return {table.name: sorted(map(str, db.execute(select(table)).all())) for table in Base.metadata.sorted_tables}


def unreadable(database):
    with database.read() as db:
        return {row.path.rpartition("/")[2]: row.reason for row in db.scalars(select(UnreadableFile))}


@contextmanager
def nothing_changes(database, *folders):
    """Neither a row nor a file comes or goes."""
    before = contents(database), [sorted(folder.rglob("*")) for folder in folders]
    yield
    assert (contents(database), [sorted(folder.rglob("*")) for folder in folders]) == before


def test_runs_and_files_are_registered_with_counts_and_checksums(database, folder):
    report = data.scan(database, folder)
    assert (report.runs_added, report.files_added, report.unreadable) == (2, 3, {})
    with database.read() as db:
        rows = {row.path: row for row in db.scalars(select(DataFile))}
        run = db.get_one(Run, ExpRun(26, 1).number)
        assert (run.duration_s, run.expected, run.attributes["Magnet"]) == (3600.0, {"bhabha": 100}, ["On"])
        assert run.started_at.isoformat() == "2026-11-02T06:00:00+00:00"
        cosmic = rows[str(folder / "cosmic_e0026_r00001_f01.root")]
        assert (cosmic.data_name, cosmic.n_events, cosmic.exprun) == ("cosmic", 30, ExpRun(26, 1).number)
        for path, row in rows.items():
            assert row.sha256 == sha256_file(path)
            assert row.size_bytes == Path(path).stat().st_size


def test_a_second_scan_changes_nothing_and_opens_nothing(database, folder, monkeypatch):
    data.scan(database, folder)
    with nothing_changes(database, folder):
        monkeypatch.setattr("sys.executable", "/no/such/python")  # it would be needed to open a file
        report = data.scan(database, folder)
    assert report == ScanReport(files_unchanged=3, unreadable={})


def test_the_same_folder_by_another_name_is_the_same(database, folder, tmp_path):
    data.scan(database, folder)
    (tmp_path / "link").symlink_to(folder)
    assert data.scan(database, tmp_path / "link").files_unchanged == 3


def test_a_changed_file_keeps_its_row_and_gets_the_new_checksum_and_time(database, folder):
    data.scan(database, folder)
    with database.read() as db:
        before = {row.path: (row.id, row.sha256, row.registered_at) for row in db.scalars(select(DataFile))}
    path = root_file(folder, "bhabha_e0026_r00001.root", 55)
    report = data.scan(database, folder)
    assert (report.files_changed, report.files_unchanged) == (1, 2)
    with database.read() as db:
        row = db.scalars(select(DataFile).where(DataFile.path == str(path))).one()
        assert row.id == before[row.path][0]
        assert row.sha256 != before[row.path][1]
        assert row.registered_at > before[row.path][2]
        assert row.n_events == 55


def test_a_changed_file_is_kept_as_long_as_a_new_one(database, folder):
    path = str(folder / "bhabha_e0026_r00001.root")
    data.scan(database, folder, keep=timedelta(days=1))
    root_file(folder, "bhabha_e0026_r00001.root", 55)
    data.scan(database, folder, keep=timedelta(days=30))
    with database.read() as db:
        kept = {row.path: row.expires_at - row.registered_at for row in db.scalars(select(DataFile))}
    days = {file: round(time / timedelta(days=1)) for file, time in kept.items()}
    assert days == {**dict.fromkeys(kept, 1), path: 30}


def test_a_file_that_was_only_touched_is_no_change(database, folder):
    data.scan(database, folder)
    os.utime(folder / "bhabha_e0026_r00001.root", ns=(1, 1))
    report = data.scan(database, folder)
    assert (report.files_changed, report.files_unchanged) == (0, 3)


def test_a_quality_tag_that_is_given_later_updates_the_run(database, folder):
    data.scan(database, folder)
    better = registry_entry(1, attributes={"Data Quality Tag": ["Good"]})
    write_registry(folder, [better, registry_entry(2)])
    report = data.scan(database, folder)
    assert report.runs_changed == 1


def test_unusable_files_are_listed_with_the_reason_and_never_registered(database, folder):
    whole = (folder / "bhabha_e0026_r00001.root").read_bytes()
    (folder / "bhabha_e0026_r00001.root").write_bytes(whole[: len(whole) // 2])
    (folder / "cosmic_e0026_r00001_f01.root").write_bytes(b"")
    (folder / "bhabha_e0026_r00002.root").write_bytes(b"not ROOT at all" * 100)
    shutil.copy(folder / "bhabha_e0026_r00001.root", folder / "bhabha.root")
    shutil.copy(folder / "bhabha_e0026_r00001.root", folder / "bhabha_e0026_r00077.root")
    os.mkfifo(folder / "hadron_e0026_r00001.root")
    (folder / "hadron_e0026_r00002.root").symlink_to(folder / "nowhere")
    (folder / ".bhabha_e0026_r00002.root").write_bytes(b"still being written")
    report = data.scan(database, folder)
    assert unreadable(database) == {
        "bhabha_e0026_r00001.root": f"it is truncated: {len(whole) // 2:,} of {len(whole):,} bytes are there",
        "cosmic_e0026_r00001_f01.root": "it is empty",
        "bhabha_e0026_r00002.root": "it is not a ROOT file",
        "bhabha.root": "its name is not of the form bhabha_e0026_r00180.root",
        "bhabha_e0026_r00077.root": "its run e26r77 is not in runs.json",
        "hadron_e0026_r00001.root": "it is no ordinary file",
        "hadron_e0026_r00002.root": "No such file or directory",
    }
    assert {path.rpartition("/")[2] for path in report.unreadable} == unreadable(database).keys()
    assert "it is truncated" in str(report)
    with database.read() as db:
        assert db.scalars(select(DataFile)).all() == []


def test_a_file_that_goes_away_is_not_usable_until_it_comes_back(database, folder, tmp_path):
    data.scan(database, folder)
    away = tmp_path / "away.root"
    (folder / "bhabha_e0026_r00001.root").rename(away)
    assert data.scan(database, folder).files_restored == 0
    assert unreadable(database) == {"bhabha_e0026_r00001.root": "it is not there any more"}
    away.rename(folder / "bhabha_e0026_r00001.root")
    assert data.scan(database, folder).files_restored == 1
    assert unreadable(database) == {}


def test_files_of_folders_with_nearly_the_same_name_are_left_alone(database, tmp_path):
    folders = [tmp_path / name for name in ("Raw", "raw-2", "raw.old", "raw0", "rawer", "r_w")]

    def unit(db):
        run(db, 1)
        for folder in folders:
            file(db, 1, path=str(folder / "bhabha_e0026_r00001.root"))
            db.add(UnreadableFile(path=str(folder / "bhabha.root"), reason="its name", seen_at=now(db)))

    database.write(unit)
    (tmp_path / "raw").mkdir()
    write_registry(tmp_path / "raw", [registry_entry(1)])
    report = data.scan(database, tmp_path / "raw")
    assert (report.unreadable, report.files_restored) == ({}, 0)
    with database.read() as db:
        assert set(db.scalars(select(UnreadableFile.path))) == {str(folder / "bhabha.root") for folder in folders}


def test_of_a_folder_of_which_one_stream_is_wanted_all_other_files_are_left_alone(database, folder):
    (folder / "bhabha_extra_e0026_r00001.root").write_bytes(b"")
    one = shelf.OneStream(shelf.Folder(folder), "bhabha")
    report = data.scan(database, one)
    assert (report.files_added, report.unreadable) == (2, {})
    report = data.scan(database, folder)
    assert (report.files_added, report.files_unchanged, len(report.unreadable)) == (1, 2, 1)
    (folder / "cosmic_e0026_r00001_f01.root").unlink()
    assert data.scan(database, one).unreadable == {}
    assert len(data.scan(database, folder).unreadable) == 2


def test_a_damaged_file_keeps_its_row_and_comes_back_when_it_is_whole_again(database, folder):
    data.scan(database, folder)
    path = folder / "bhabha_e0026_r00001.root"
    whole = path.read_bytes()
    path.write_bytes(whole[:200])
    data.scan(database, folder)
    assert list(unreadable(database)) == [path.name]
    path.write_bytes(whole)
    report = data.scan(database, folder)
    assert (report.files_restored, report.files_changed) == (1, 0)
    assert unreadable(database) == {}


def test_a_file_that_is_still_being_written_waits_for_the_next_scan(database, folder, monkeypatch):
    path = folder / "bhabha_e0026_r00001.root"

    def open_while_somebody_writes(paths):
        found = open_files(paths)
        with path.open("ab") as file:
            file.write(b"more")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(shelf, "open_files", open_while_somebody_writes)
        assert data.scan(database, folder).files_added == 2
    assert unreadable(database) == {path.name: "it changed while it was read"}
    assert data.scan(database, folder).files_added == 1
    assert unreadable(database) == {}


def test_files_of_a_production_are_not_taken_for_raw_ones(database, folder):
    def unit(db):
        attempt = factories.attempt(db)
        run(db, 1)
        file(db, 1, path=str(folder / "bhabha_e0026_r00001.root"), attempt_id=attempt.id)

    database.write(unit)
    assert data.scan(database, folder).files_added == 2


# --- folders that are moved, copied and deleted ----------------------------------------------------------------------


def registered(database):
    """The files that may be selected: id and checksum by path."""
    with database.read() as db:
        usable = select(DataFile).where(DataFile.path.not_in(select(UnreadableFile.path)))
        return {row.path: (row.id, row.sha256, row.registered_at) for row in db.scalars(usable)}


def elsewhere(files, place):
    return {str(place / Path(path).name): row for path, row in files.items()}


@pytest.mark.parametrize("missed", [False, True], ids=["at once", "after it was missed"])
def test_files_that_were_moved_are_the_same_files_at_their_new_place(database, folder, tmp_path, missed):
    data.scan(database, folder)
    before = registered(database)
    moved = folder.rename(tmp_path / "moved")
    if missed:
        assert len(data.scan(database, folder).unreadable) == 3
        assert registered(database) == {}
    report = data.scan(database, moved)
    assert (report.files_added, report.files_moved, report.unreadable) == (0, 3, {})
    assert "3 moved" in str(report)
    assert registered(database) == elsewhere(before, moved)
    assert unreadable(database) == {}
    assert data.scan(database, moved) == ScanReport(files_unchanged=3, unreadable={})


def test_a_file_that_was_moved_within_its_folder_is_the_same(database, folder):
    data.scan(database, folder)
    before = registered(database)
    below = folder / "2026"
    below.mkdir()
    for path in folder.glob("*.root"):
        path.rename(below / path.name)
    report = data.scan(database, folder)
    assert (report.files_moved, report.unreadable) == (3, {})
    assert registered(database) == elsewhere(before, below)


def test_a_copy_is_not_registered_and_takes_over_when_the_first_is_gone(database, folder, tmp_path):
    data.scan(database, folder)
    before = registered(database)
    copy = shutil.copytree(folder, tmp_path / "copy")
    report = data.scan(database, copy)
    assert (report.files_added, report.files_moved) == (0, 0)
    assert report.unreadable == {
        str(path): f"it is the same as {folder / path.name}" for path in sorted(copy.glob("*.root"))
    }
    assert registered(database) == before
    shutil.rmtree(folder)
    assert data.scan(database, copy).files_moved == 3
    assert registered(database) == elsewhere(before, copy)
    assert unreadable(database) == {}


def test_two_new_files_with_the_same_content_count_once(database, folder):
    (folder / "again").mkdir()
    shutil.copy(folder / "bhabha_e0026_r00001.root", folder / "again")
    assert data.scan(database, folder).files_added == 3
    assert unreadable(database) == {
        "bhabha_e0026_r00001.root": f"it is the same as {folder / 'again' / 'bhabha_e0026_r00001.root'}"
    }


def test_the_same_content_of_another_run_is_another_file(database, folder):
    shutil.copy(folder / "bhabha_e0026_r00001.root", folder / "bhabha_e0026_r00002_f01.root")
    assert data.scan(database, folder).files_added == 4


@pytest.mark.parametrize("other", [{"size_bytes": 1}, {"n_events": 1}])
def test_two_files_of_one_checksum_that_differ_in_bytes_or_events_are_two(database, folder, tmp_path, other):
    data.scan(database, folder)
    path = str(folder / "bhabha_e0026_r00001.root")
    database.write(lambda db: db.execute(update(DataFile).where(DataFile.path == path).values(**other)))
    report = data.scan(database, folder.rename(tmp_path / "moved"))
    assert (report.files_added, report.files_moved) == (1, 2)


def test_a_file_that_was_overwritten_after_it_was_moved_away_is_a_new_one(database, folder, tmp_path):
    data.scan(database, folder)
    before = registered(database)
    moved = folder.rename(tmp_path / "moved")
    folder.mkdir()
    write_registry(folder, [registry_entry(1), registry_entry(2)])
    root_file(folder, "bhabha_e0026_r00001.root", 70)
    assert data.scan(database, moved).files_moved == 3
    assert data.scan(database, folder).files_added == 1
    assert registered(database).items() >= elsewhere(before, moved).items()


def test_files_of_a_folder_that_is_gone_are_not_usable(database, folder):
    data.scan(database, folder)
    shutil.rmtree(folder)
    report = data.scan(database, folder)
    assert set(report.unreadable.values()) == {"it is not there any more"}
    assert registered(database) == {}
    assert "Files that are gone are in no input any more: 3." in str(report)
    assert "0 not usable" in str(report)
    assert "corrected" not in str(report)


def test_what_could_not_be_used_is_forgotten_with_its_folder(database, folder):
    for path in folder.glob("*.root"):
        path.write_bytes(b"not ROOT at all" * 100)
    data.scan(database, folder)
    assert len(unreadable(database)) == 3
    shutil.rmtree(folder)
    assert data.scan(database, folder).unreadable == {}
    assert unreadable(database) == {}


def test_runs_of_which_there_are_more_events_than_expected_are_told(database, folder, tmp_path):
    assert data.scan(database, folder).surplus == []
    other = tmp_path / "other"
    other.mkdir()
    root_file(other, "bhabha_e0026_r00001.root", 99)
    write_registry(other, [registry_entry(1), registry_entry(2)])
    report = data.scan(database, other)
    assert report.surplus == ["e26r1"]
    assert "Runs with more events than the registry expects: 1, e26r1 the first." in str(report)
    shutil.rmtree(other)
    data.scan(database, other)
    report = data.scan(database, folder)
    assert report.surplus == []
    assert "more events" not in str(report)


# --- run registries that cannot be right -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (
            [registry_entry(1), {**registry_entry(2), "duration_s": None}],
            ["entry 2 (e26r2), duration_s must be a number, not null."],
        ),
        ([{k: v for k, v in registry_entry(1).items() if k != "started"}], ["entry 1 (e26r1), started is missing."]),
        (
            [registry_entry(1, started="2026-11-02T06:00:00")],
            ["entry 1 (e26r1), started must be a point in time with its zone"],
        ),
        ([registry_entry(1, n_events=-5)], ["entry 1 (e26r1), n_events must be at least 0, not -5."]),
        (
            [registry_entry(1, duration_s=float("nan"))],
            ["runs.json: entry 1 (e26r1), duration_s must be a finite number"],
        ),
        ([registry_entry("one")], ["entry 1, run must be a whole number, not 'one'."]),
        (
            [registry_entry(1, attributes={"Magnet": "On"})],
            ["entry 1 (e26r1), attributes.Magnet must be a list, not 'On'."],
        ),
        ([registry_entry(1), registry_entry(2), registry_entry(1)], ["e26r1 stands there 2 times"]),
        (["run", 7], ["entry 1 must be a table, not 'run'; 1 more of the registry cannot be used."]),
        ([registry_entry(1, expected={"bhabha": 2000})], ["e26r1 expects 2,000 events of bhabha", "only 1,000"]),
    ],
)
def test_an_incomplete_or_contradictory_entry_is_named_and_nothing_is_kept(database, folder, entries, words):
    write_registry(folder, entries)
    with nothing_changes(database, folder), pytest.raises(data.RegistryRefused) as refused:
        data.scan(database, folder)
    assert all(word in str(refused.value) for word in words), str(refused.value)
    assert refused.value.hint


@pytest.mark.parametrize("text", ["", "[", "{}", "\x00\xff", "[" * 100_000, json.dumps([[1]])])
def test_a_registry_that_is_no_list_of_runs_is_refused(database, folder, text):
    (folder / "runs.json").write_text(text)
    with nothing_changes(database, folder), pytest.raises(data.RegistryRefused):
        data.scan(database, folder)


def test_a_folder_without_registry_is_refused(database, folder, tmp_path):
    (folder / "runs.json").unlink()
    for place in (folder, tmp_path / "nowhere"):
        with nothing_changes(database, folder), pytest.raises(data.RegistryRefused, match="no run registry"):
            data.scan(database, place)


def test_a_database_that_takes_the_runs_but_not_the_files_keeps_nothing(database, folder):
    full = "CREATE TRIGGER full BEFORE INSERT ON data_file BEGIN SELECT RAISE(ABORT, 'it is full'); END"
    database.write(lambda db: db.connection().exec_driver_sql(full))
    with nothing_changes(database, folder), pytest.raises(IntegrityError, match="it is full"):
        data.scan(database, folder)
