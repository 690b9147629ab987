"""What arrives in a watched folder is registered by itself, and starts what waited for it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from b2cal import data, loop
from b2cal.core.iov import ExpRun
from b2cal.model import Watch
from tests.data.catalogues import registry_entry, root_file, write_registry
from tests.loop.world import World

RUN_104 = ExpRun(26, 104).number

pytestmark = pytest.mark.processes


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.database.dispose()


@pytest.fixture
def raw(tmp_path: Path, world: World) -> Path:
    """A watched folder whose registry promises 50 more events of run 104 than the world has."""
    raw = tmp_path / "raw"
    raw.mkdir()
    promised = registry_entry(104, attributes={"Data Quality Tag": ["Good"]}, expected={"bhabha": 1050}, n_events=1050)
    write_registry(raw, [promised])
    world.database.write(lambda db: data.begin_watch(db, str(raw), "", 90, "manager"))
    return raw


def watched(world: World) -> Watch:
    with world.database.read() as db:
        return data.watches(db)[0]


def test_a_calibration_starts_when_the_scan_of_a_watched_folder_completes_its_inputs(world: World, raw: Path) -> None:
    loop.look_at_watched(world.workplace)
    world.process()
    world.do("submit", "A")
    progress = world.advance("A")
    with world.database.read() as db:
        told = loop.why(world.view(db), world.view(db).calibration("A"), world.clock.now())
    assert "Missing: 1,000 of 1,050 events of bhabha in e26r104" in told.sentence
    root_file(raw, "bhabha_e0026_r00104.root", 50)
    loop.look_at_watched(world.workplace)
    signal, _ = loop.signals(world.workplace, [("bucket1", "A")])["bucket1", "A"]
    assert signal > progress.signal
    assert world.advance("A").state == "running"


def test_a_folder_that_cannot_be_scanned_is_told_since_when_and_nothing_of_it_is_taken_for_gone(
    world: World, raw: Path, tmp_path: Path
) -> None:
    root_file(raw, "bhabha_e0026_r00104.root", 50)
    loop.look_at_watched(world.workplace)
    began = world.clock.now()
    away = raw.rename(tmp_path / "unmounted")
    for _ in range(2):
        (look,) = loop.look_at_watched(world.workplace)
        assert look.report is None
        world.tick(600)
    it = watched(world)
    assert (it.failing_since, it.scanned_at) == (began, began)
    assert it.error.startswith(f"{raw} is not there. Mount its disk.")
    with world.database.read() as db:
        (bhabha,) = data.arrival(db, RUN_104, RUN_104).streams
    assert (bhabha.n_events, bhabha.expected_events) == (1050, 1050)
    away.rename(raw)
    (look,) = loop.look_at_watched(world.workplace)
    assert look.report is not None
    assert look.report.files_unchanged == 1
    assert (watched(world).failing_since, watched(world).error) == (None, "")


def test_one_folder_in_trouble_stops_no_other(world: World, raw: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(raw, other)
    world.database.write(lambda db: data.begin_watch(db, str(other), "", None, "manager"))
    (raw / "runs.json").write_text("nonsense")
    root_file(other, "bhabha_e0026_r00104.root", 50)
    looks = {look.watch.place: look.report for look in loop.look_at_watched(world.workplace)}
    assert looks[str(raw)] is None
    assert looks[str(other)] is not None
    assert looks[str(other)].files_added == 1
