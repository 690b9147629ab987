"""The catalogue over a folder behind XRootD doors: a real server."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from b2cal import data
from b2cal.calibration.doors import DoorTrouble, size_at
from b2cal.calibration.uploads import deliver
from b2cal.core.files import CannotWrite
from b2cal.core.ids import new_token
from b2cal.core.iov import ExpRun
from b2cal.data import FolderBehindDoors, NewFile, NoDoor, RegistryRefused, UnusableFile
from b2cal.data.behind_doors import _HASTE, look_behind_doors
from b2cal.model import Database, DataFile
from b2cal.runtime import ProducedFile
from b2cal.settings import BatchSettings, LsfSettings, Settings
from tests import factories
from tests.data.catalogues import registry_entry, root_file, write_registry
from tests.services.credentials import Authority, private
from tests.services.xrootd import Door, adler32_of, running, two_running, wants_proxies

pytestmark = pytest.mark.service


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = factories.database(tmp_path)
    yield opened
    opened.dispose()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Door, Door]]:
    """Two servers of one storage."""
    with two_running(tmp_path_factory.mktemp("doors")) as both:
        yield both


@pytest.fixture
def doors(servers: tuple[Door, Door], monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Door, Door]]:
    """The same, with files in a folder of theirs."""
    monkeypatch.setitem(_HASTE, "ConnectionWindow", 2)
    assert data.trouble_at(servers[0].url(), BatchSettings()) == ""  # from here on this process has little patience
    folder = servers[0].files / "store" / "raw"
    folder.mkdir(parents=True)
    root_file(folder, "bhabha_e0026_r00001.root", 100)
    (folder / "more").mkdir()
    root_file(folder / "more", "cosmic_e0026_r00001_f01.root", 30)
    write_registry(folder, [registry_entry(1)])
    yield servers
    shutil.rmtree(servers[0].files / "store")
    for server in servers:
        server.start()


@pytest.fixture
def settings(tmp_path: Path, doors: tuple[Door, Door]) -> Settings:
    return Settings(home=tmp_path, batch=BatchSettings(doors=tuple(door.url("store") for door in doors)))


def rows(database: Database) -> dict[str, DataFile]:
    with database.read() as db:
        return {row.path: row for row in db.scalars(select(DataFile))}


def test_files_behind_a_door_are_registered_with_counts_sizes_and_the_checksums_of_their_server(
    database, settings, doors
):
    raw = doors[0].url("store/raw")
    report = data.scan(database, FolderBehindDoors.find(f"{raw}/", settings))
    assert (report.files_added, report.unreadable) == (2, {})
    found = rows(database)
    assert {path: row.n_events for path, row in found.items()} == {
        f"{raw}/bhabha_e0026_r00001.root": 100,
        f"{raw}/more/cosmic_e0026_r00001_f01.root": 30,
    }
    for path, row in found.items():
        on_disk = (doors[0].files / path.removeprefix(doors[0].url())).stat()
        assert row.sha256 == adler32_of(path)
        assert (row.size_bytes, row.mtime_ns // 10**9) == (on_disk.st_size, on_disk.st_mtime_ns // 10**9)


@pytest.mark.parametrize("trouble", ["none", "down", "hanging"])
def test_a_folder_is_the_same_through_every_door_and_is_named_after_the_first(database, settings, doors, trouble):
    first, second = doors
    data.scan(database, FolderBehindDoors.find(first.url("store/raw"), settings))
    if trouble == "hanging":
        with first.hanging():
            report = data.scan(database, FolderBehindDoors.find(first.url("store/raw"), settings))
    else:
        if trouble == "down":
            first.stop()
        report = data.scan(database, FolderBehindDoors.find(second.url("store/raw"), settings))
    assert (report.files_unchanged, report.files_added) == (2, 0)
    assert all(path.startswith(first.url()) for path in rows(database))


def test_what_changed_moved_and_went_behind_a_door_is_seen(database, settings, doors):
    folder, raw = doors[0].files / "store" / "raw", doors[0].url("store/raw")
    data.scan(database, FolderBehindDoors.find(raw, settings))
    root_file(folder, "bhabha_e0026_r00001.root", 120)
    os.utime(folder / "bhabha_e0026_r00001.root", (1, 1))  # servers tell times in whole seconds
    (folder / "more").rename(folder / "other")
    report = data.scan(database, FolderBehindDoors.find(raw, settings))
    assert (report.files_changed, report.files_moved, report.files_added) == (1, 1, 0)
    shutil.rmtree(folder / "other")
    report = data.scan(database, FolderBehindDoors.find(raw, settings))
    assert report.unreadable == {f"{raw}/other/cosmic_e0026_r00001_f01.root": data.GONE}
    shutil.rmtree(folder)
    assert len(data.scan(database, FolderBehindDoors.find(raw, settings)).unreadable) == 2


def test_files_that_cannot_be_used_are_named_with_the_reason(database, settings, doors):
    folder, raw = doors[0].files / "store" / "raw", doors[0].url("store/raw")
    whole = (folder / "bhabha_e0026_r00001.root").read_bytes()
    (folder / "bhabha_e0026_r00001.root").write_bytes(whole[: len(whole) // 2])
    (folder / "hadron_e0026_r00001.root").write_bytes(b"")
    (folder / "hadron_e0026_r00009.root").write_bytes(b"")
    (folder / "notes.root").mkdir()
    (folder / ".cosmic_e0026_r00001_f02.root").write_bytes(b"")
    report = data.scan(database, FolderBehindDoors.find(raw, settings))
    assert report.files_added == 1
    assert report.unreadable == {
        f"{raw}/bhabha_e0026_r00001.root": f"it is truncated: {len(whole) // 2:,} of {len(whole):,} bytes are there",
        f"{raw}/hadron_e0026_r00001.root": "it is empty",
        f"{raw}/hadron_e0026_r00009.root": "its run e26r9 is not in runs.json",
        f"{raw}/notes.root": "it is no ordinary file",
    }


def test_a_door_that_nobody_described_is_refused_with_those_that_are_known(settings, doors):
    with pytest.raises(NoDoor) as refused:
        FolderBehindDoors.find("root://nowhere.example.org//raw", settings)
    known = ", ".join(settings.batch.doors)
    assert str(refused.value) == f"No door leads to root://nowhere.example.org//raw; known are {known}."
    assert 'doors = ["root://host:1094//store"]' in refused.value.hint


def test_doors_of_any_centre_lead_there(tmp_path, doors):
    lsf = LsfSettings(backend="lsf", doors=(doors[1].url(), doors[0].url()))
    folder = FolderBehindDoors.find(doors[0].url("store/raw"), Settings(home=tmp_path, centres={"kekcc": lsf}))
    assert folder == FolderBehindDoors(doors[1].url("store/raw"), doors[1].url("store/raw"), lsf, is_there=True)


def test_the_room_behind_a_door_is_what_its_server_tells(settings, doors):
    free = data.free_behind_doors(doors[1].url("store/raw"), settings, "local")
    on_disk = shutil.disk_usage(doors[0].files).free
    assert free == pytest.approx(on_disk, rel=0.05)
    assert data.free_behind_doors(doors[1].url("store/nothing"), settings, "local") is None


def test_when_no_door_answers_the_scan_is_refused_and_nothing_is_taken_for_gone(database, settings, doors):
    raw = doors[0].url("store/raw")
    data.scan(database, FolderBehindDoors.find(raw, settings))
    before = {path: row.registered_at for path, row in rows(database).items()}
    for door in doors:
        door.stop()
    with pytest.raises(DoorTrouble) as refused:
        FolderBehindDoors.find(raw, settings)
    for door in doors:
        assert f"{door.url('store/raw')}: Connection error" in str(refused.value)
    assert "Look whether the servers run" in refused.value.hint
    assert {path: row.registered_at for path, row in rows(database).items()} == before


def test_a_door_that_shuts_while_files_are_opened_spoils_no_file(database, settings, doors):
    folder = FolderBehindDoors.find(doors[0].url("store/raw"), settings)
    files = folder.files()
    doors[0].stop()
    with pytest.raises(DoorTrouble, match="Connection error"):
        folder.open(files)


def test_a_wrong_path_behind_a_door_is_refused(database, settings, doors):
    with pytest.raises(RegistryRefused) as refused:
        data.scan(database, FolderBehindDoors.find(doors[0].url("store/rawe"), settings))
    assert str(refused.value) == f"There is no run registry {doors[0].url('store/rawe')}/runs.json."
    assert "Give the folder that holds runs.json" in refused.value.hint


def test_what_was_brought_is_left_alone_and_never_replaced_or_removed(settings, doors, tmp_path):
    folder, place = tmp_path / "brought", doors[0].files / "store" / "brought"
    folder.mkdir()
    root_file(folder, "bhabha_e0026_r00001.root", 100)
    write_registry(folder, [registry_entry(1)])
    (doors[0].files / "store").chmod(0o777)
    assert data.bring(folder, doors[0].url("store"), settings, "local").is_there
    before = {file: file.read_bytes() for file in place.iterdir()}
    assert {file.name for file in before} == {"bhabha_e0026_r00001.root", "runs.json"}
    place.chmod(0o555)
    assert data.bring(folder, doors[0].url("store"), settings, "local").is_there
    with pytest.raises(DoorTrouble):
        deliver(folder / "runs.json", doors[0].url("store/brought/runs.json"))
    place.chmod(0o777)
    write_registry(folder, [registry_entry(2)])
    with pytest.raises(CannotWrite, match=r"brought/runs.json is there already, with other contents than"):
        data.bring(folder, doors[0].url("store"), settings, "local")
    assert {file: file.read_bytes() for file in place.iterdir()} == before


@pytest.fixture
def produced(doors: tuple[Door, Door]) -> ProducedFile:
    """A file behind a door as a production reports it."""
    url = doors[0].url("store/raw/bhabha_e0026_r00001.root")
    return ProducedFile(url, "bhabha", ExpRun(26, 1).number, 100, adler32_of(url))


@pytest.mark.parametrize("first_is_down", [False, True])
def test_a_produced_file_is_registered_by_its_address_after_a_look_through_any_door(
    settings, doors, produced, first_is_down
):
    if first_is_down:
        doors[0].stop()
    new = NewFile.of(produced, settings, "local")
    on_disk = doors[0].files / "store" / "raw" / "bhabha_e0026_r00001.root"
    assert (new.path, new.sha256, new.size_bytes) == (produced.path, produced.checksum, on_disk.stat().st_size)


def test_a_produced_file_that_is_another_or_gone_is_refused(settings, doors, produced):
    on_disk = doors[0].files / "store" / "raw" / "bhabha_e0026_r00001.root"
    on_disk.write_bytes(on_disk.read_bytes()[:-1])
    os.utime(on_disk, (1, 1))
    with pytest.raises(UnusableFile, match=f"it has adler32:.{{8}}, but its job wrote {produced.checksum}"):
        NewFile.of(produced, settings, "local")
    on_disk.unlink()
    with pytest.raises(UnusableFile, match="it is not there"):
        NewFile.of(produced, settings, "local")


def test_nobody_takes_a_produced_file_for_gone_while_its_doors_are_shut(settings, doors, produced):
    for door in doors:
        door.stop()
    with pytest.raises(DoorTrouble, match="Connection error"):
        NewFile.of(produced, settings, "local")


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one folder in which the client of this process looks for authorities, once for each name."""
    return tmp_path_factory.mktemp("trusted")


@pytest.fixture
def authority(trusted: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Authority]:
    """A new one, in which that client trusts."""
    monkeypatch.setenv("X509_CERT_DIR", str(trusted))
    monkeypatch.setenv("XrdSecGSISRVNAMES", "*")

    def new() -> Authority:
        made = Authority(new_token())
        made.trusted_in(trusted)
        return made

    return new


def test_a_door_that_wants_a_proxy_lets_in_who_has_one_in_the_settings(tmp_path, authority):
    by = authority()
    extra = wants_proxies(tmp_path, by)
    proxy = private(tmp_path / "proxy", by.proxy(timedelta(hours=2)))
    with running(tmp_path, extra) as door:
        nobody, somebody = (BatchSettings(doors=(door.url(),), proxy=it) for it in ("", str(proxy)))
        told = [data.trouble_at(door.url(), it) for it in (nobody, somebody, nobody)]
        assert [it.split(":")[0] for it in told] == ["Auth failed", "", "Auth failed"]
        settings = Settings(home=tmp_path, batch=somebody)
        raw = tmp_path / "raw"
        raw.mkdir()
        root_file(raw, "bhabha_e0026_r00001.root", 100)
        write_registry(raw, [registry_entry(1)])
        folder = data.bring(raw, door.url(), settings, "local")
        assert [one.path for one in folder.files()] == [f"{door.url('raw')}/bhabha_e0026_r00001.root"]
        (opened,) = folder.open(folder.files())
        assert (opened.n_events, opened.reason) == (100, "")
        assert look_behind_doors(folder.files()[0].path, settings, "local")[1].startswith("adler32:")


@pytest.fixture
def two_storages(tmp_path, authority) -> Iterator[dict[Door, BatchSettings]]:
    """Two servers, each with a storage by whose proxy it lets in; the other has never heard of that."""
    with ExitStack() as stack:
        storages = {}
        for name in ("one", "other"):
            folder, of = tmp_path / name, authority()
            folder.mkdir()
            door = stack.enter_context(running(folder, wants_proxies(folder, of)))
            proxy = private(folder / "proxy", of.proxy(timedelta(hours=2)))
            (door.files / "file").write_text(name)
            storages[door] = BatchSettings(doors=(door.url(),), proxy=str(proxy))
        yield storages


def test_threads_that_go_to_two_storages_at_once_prove_each_by_its_own_credentials(two_storages):
    def look(door: Door) -> set[int]:
        return {_size(door, two_storages[door]) for _ in range(10)}

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(look, two_storages)) == [{len("one")}, {len("other")}]


def _size(door: Door, storage: BatchSettings) -> int:
    with data.proving(storage):
        return size_at(door.url("file"))


def test_who_is_through_a_door_takes_nothing_from_who_goes_through_another(two_storages):
    (_, first), (door, second) = two_storages.items()
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))

    def go_and_leave() -> None:
        with data.proving(first):
            first_is_in.set()
            second_is_in.wait(0.5)
        first_is_out.set()

    def come_later() -> int:
        first_is_in.wait(10)
        with data.proving(second):
            second_is_in.set()
            first_is_out.wait(10)
            return size_at(door.url("file"))

    with ThreadPoolExecutor(2) as both:
        both.submit(go_and_leave)
        assert both.submit(come_later).result() == len("other")


def test_of_storages_with_one_door_that_of_the_centre_is_gone_through_else_one_that_has_credentials(
    tmp_path, two_storages
):
    (door, able), (_, unable) = two_storages.items()
    unable = unable.model_copy(update={"doors": able.doors})
    with_token, without = (
        LsfSettings(backend="lsf", **it.model_dump(include={"doors", "proxy"})) for it in (able, unable)
    )
    settings = Settings(
        home=tmp_path, batch=BatchSettings(doors=able.doors), centres={"bnl": with_token, "kekcc": without}
    )
    assert FolderBehindDoors.find(door.url(), settings).is_there
    assert FolderBehindDoors.find(door.url(), settings, "bnl").is_there
    for centre in ("local", "kekcc"):
        with pytest.raises(DoorTrouble, match="Auth failed"):
            FolderBehindDoors.find(door.url(), settings, centre)
    assert FolderBehindDoors.find(door.url(), settings, "no centre any more").is_there


def test_a_folder_has_one_name_whichever_storage_is_gone_through(tmp_path, doors):
    first, second = (door.url() for door in doors)
    kekcc = LsfSettings(backend="lsf", doors=(second, first), token="/token")
    settings = Settings(home=tmp_path, batch=BatchSettings(doors=(first, second)), centres={"kekcc": kekcc})
    found = [FolderBehindDoors.find(f"{second}store/raw", settings, centre) for centre in ("", "local", "kekcc")]
    assert [it.name for it in found] == [f"{first}store/raw"] * 3
    assert [it.way for it in found] == [f"{url}store/raw" for url in (second, first, second)]
    assert [[file.path for file in it.files()] for it in found] == [[file.path for file in found[0].files()]] * 3
