"""`b2cal data scan` registers what is there, and what waits for it looks again."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from b2cal import loop
from b2cal.cli.data import HoldsAnother, NothingUsable, SimulationFailed, run_simulation
from b2cal.cli.main import group
from b2cal.model import DataFile
from tests import factories
from tests.data.catalogues import registry_entry, root_file, write_registry
from tests.loop.test_copies import Tape
from tests.loop.world import World


def test_a_scan_wakes_what_waits_also_when_it_finds_nothing_new(tmp_path: Path) -> None:
    """The one before may have been killed when everything was registered and nobody woken."""
    world = World(tmp_path)
    world.process()
    world.do("submit", "A")
    world.do("veto", "D")
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "runs.json").write_text("[]")

    def signals() -> list[int]:
        keys = [("bucket1", name) for name in "ABD"]
        return [loop.signals(world.workplace, keys)[key][0] for key in keys]

    before = signals()
    environment = {"B2CAL_HOME": str(world.workplace.settings.home)}
    ended = CliRunner().invoke(group, ["--as", "manager", "data", "scan", str(raw)], env=environment)
    assert ended.exit_code == 0, ended.output
    assert "Runs: 0 new" in ended.output
    assert [now > then for now, then in zip(signals(), before, strict=True)] == [True, True, False]
    world.database.dispose()


@pytest.mark.allow_hosts(["127.0.0.1"])  # doctor looks whether ports are free
def test_a_folder_is_watched_until_that_is_stopped_and_what_ails_it_is_told(tmp_path: Path) -> None:
    world = World(tmp_path)
    raw = tmp_path / "raw"
    raw.mkdir()
    environment = {"B2CAL_HOME": str(tmp_path)}

    def call(*words: str) -> Result:
        return CliRunner().invoke(group, ["--as", "manager", "--json", *words], env=environment)

    assert call("data", "watch", "add", str(raw), "--keep-days", "30").exit_code == 0
    twice = call("data", "watch", "add", f"{raw}/")
    assert str(twice.exception).startswith(f"{raw} is watched since ")
    loop.look_at_watched(world.workplace)
    (row,) = json.loads(call("data", "watch", "list").output)
    assert (row["place"], row["keep_days"], row["scanned_at"]) == (str(raw), 30, None)
    assert row["error"].startswith(f"There is no run registry {raw}/runs.json.")
    found = {it["what"]: it for it in json.loads(call("doctor").output)}["arrival"]
    assert found["health"] == "warning"
    assert row["error"] in found["says"]
    assert call("data", "watch", "stop", str(raw)).exit_code == 0
    assert json.loads(call("data", "watch", "list").output) == []
    assert str(call("data", "watch", "stop", str(raw)).exception) == f"{raw} is not watched."
    world.database.dispose()


@pytest.mark.processes
def test_files_expire_as_a_scan_or_somebody_says(tmp_path: Path) -> None:
    database = factories.database(tmp_path)
    raw = tmp_path / "raw"
    raw.mkdir()
    first = root_file(raw, "bhabha_e0026_r00001.root", 10)
    write_registry(raw, [registry_entry(1)])

    def call(*words: str, keep_days: str = "0") -> Result:
        home = {"B2CAL_HOME": str(tmp_path), "B2CAL_DATA__KEEP_DAYS": keep_days}
        return CliRunner().invoke(group, ["data", *words], env=home)

    def expiries() -> list[str]:
        with database.read() as db:
            rows = db.scalars(select(DataFile).order_by(DataFile.path))
            return [f"{row.expires_at:%Y-%m-%d}" if row.expires_at else "" for row in rows]

    assert call("scan", str(raw)).exit_code == 0
    assert expiries() == [""]
    root_file(raw, "cosmic_e0026_r00001.root", 10)
    before = datetime.now(UTC)
    assert call("scan", str(raw), keep_days="30").exit_code == 0
    in_30_days = {f"{moment + timedelta(days=30):%Y-%m-%d}" for moment in (before, datetime.now(UTC))}
    assert expiries()[0] == ""
    assert expiries()[1] in in_30_days
    assert call("scan", str(raw), "--expires", "2027-01-31").exit_code == 0
    assert expiries() == ["2027-01-31", "2027-01-31"]
    assert f"Files at {first} are kept until 2027-02-28: 1." in call("expire", str(first), "2027-02-28").output
    assert expiries() == ["2027-02-28", "2027-01-31"]
    assert "are kept for ever: 2." in call("expire", str(raw)).output
    assert expiries() == ["", ""]
    past = call("expire", str(first), "2026-01-31")
    assert "That is past: they are not read any more." in past.output
    before = expiries()
    for day, said in (
        ("soon", "'soon' is no day."),
        ("0001-01-01", "Give a day of 2000 to 2199."),
        ("9999-12-31", "Give a day of 2000 to 2199."),
    ):
        for words in (("expire", str(raw), day), ("scan", str(raw), "--expires", day)):
            refused = call(*words)
            assert refused.exit_code == 2
            assert said in refused.output
    assert expiries() == before
    database.dispose()


@pytest.mark.parametrize("days", ["0", "-3", "1000000000"])
def test_a_watch_keeps_files_for_a_day_to_a_century(tmp_path: Path, days: str) -> None:
    factories.database(tmp_path).dispose()
    home = {"B2CAL_HOME": str(tmp_path)}
    refused = CliRunner().invoke(group, ["data", "watch", "add", str(tmp_path), "--keep-days", days], env=home)
    assert refused.exit_code == 2
    assert "is not in the range 1<=x<=36600" in refused.output
    assert json.loads(CliRunner().invoke(group, ["--json", "data", "watch", "list"], env=home).output) == []


@pytest.mark.allow_hosts(["127.0.0.1"])  # doctor looks whether ports are free
def test_copies_that_failed_are_told_and_tried_again(tmp_path: Path) -> None:
    tape = Tape(tmp_path)
    tape.world.advance("cDST")
    damaged = min(tape.made.iterdir(), key=lambda path: int(path.stem))
    damaged.unlink()
    tape.copy()
    environment = {"B2CAL_HOME": str(tape.workplace.settings.home)}

    def call(*words: str) -> Any:
        return json.loads(CliRunner().invoke(group, ["--as", "manager", "--json", *words], env=environment).output)

    rows = call("data", "copies", "bucket1")
    assert [row["state"] for row in rows] == ["failed", *["done"] * 4]
    assert (rows[0]["file"], rows[0]["tries"], rows[0]["production"]) == (str(damaged), 1, "cDST")
    assert "No such file" in rows[0]["error"]
    found = {it["what"]: it for it in call("doctor")}["copies"]
    assert (found["health"], found["says"][:36]) == ("warning", "1 files could not be copied to tape;")
    assert call("data", "copy-again")["count"] == 1
    assert call("data", "copies")[0]["again_at"] != rows[0]["again_at"]
    tape.world.database.dispose()


def test_what_has_arrived_is_told_for_every_active_processing(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.process(last=120)
    environment = {"B2CAL_HOME": str(tmp_path)}
    told = CliRunner().invoke(group, ["--json", "data", "arrivals"], env=environment)
    (bucket1,) = json.loads(told.output)
    assert (bucket1["processing"], bucket1["registered_runs"], bucket1["newest_run"]) == ("bucket1", 10, "e26r109")
    assert [(it["stream"], it["complete"]) for it in bucket1["streams"]] == [("bhabha", 10)]
    told = CliRunner().invoke(group, ["data", "arrivals", "bucket1"], env=environment)
    assert "The newest registered run is e26r109: later ones may still come." in told.output
    world.database.dispose()


@pytest.mark.processes
def test_a_scan_tells_of_files_that_were_moved_and_of_folders_that_are_gone(tmp_path: Path) -> None:
    factories.database(tmp_path).dispose()
    raw = tmp_path / "raw"
    raw.mkdir()
    root_file(raw, "bhabha_e0026_r00001.root", 10)
    write_registry(raw, [registry_entry(1)])

    def scan(folder: Path) -> str:
        ended = CliRunner().invoke(group, ["data", "scan", str(folder)], env={"B2CAL_HOME": str(tmp_path)})
        assert ended.exit_code == 0, ended.output
        return ended.output

    assert "1 new, 0 moved" in scan(raw)
    moved = raw.rename(tmp_path / "moved")
    assert "0 new, 1 moved" in scan(moved)
    shutil.rmtree(moved)
    assert "it is not there any more" in scan(moved)


def test_a_scan_that_finds_no_file_that_can_be_used_says_so_and_ends_with_1(tmp_path: Path) -> None:
    world = World(tmp_path)
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "runs.json").write_text("[]")
    (raw / "bhabha_e0026_r00100.root").touch()
    environment = {"B2CAL_HOME": str(world.workplace.settings.home)}
    ended = CliRunner().invoke(group, ["data", "scan", str(raw)], env=environment)
    assert ended.exit_code == 1
    assert "left out until they are corrected" in ended.output
    assert isinstance(ended.exception, NothingUsable)
    assert str(ended.exception) == f"None of the 1 files below {raw} can be used."
    (raw / "bhabha_e0026_r00100.root").unlink()
    assert CliRunner().invoke(group, ["data", "scan", str(raw)], env=environment).exit_code == 0
    world.database.dispose()


@pytest.mark.processes
@pytest.mark.parametrize(
    ("options", "says"),
    [(("--seed", "4"), "another seed, 3"), (("--profile", "demo"), "another profile or deviations")],
)
def test_a_simulation_replaces_no_data_of_another(tmp_path: Path, options: tuple[str, ...], says: str) -> None:
    folder = tmp_path / "toy"
    folder.mkdir()

    def simulate(*words: str) -> Result:
        return CliRunner().invoke(group, ["data", "simulate", str(folder), "--seed", "3", "--profile", "small", *words])

    assert simulate().exit_code == 0
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    refused = simulate(*options).exception
    assert isinstance(refused, HoldsAnother)
    assert f"{folder} holds data that were simulated with {says}: nothing was written." in str(refused)
    assert refused.hint == "Give another folder, or remove this one."
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert simulate().exit_code == 0


@pytest.mark.processes
def test_a_simulation_that_fails_is_not_said_to_have_found_another(tmp_path: Path) -> None:
    with pytest.raises(SimulationFailed, match=r"The simulation failed: .*invalid choice: 'huge'") as failed:
        run_simulation(tmp_path / "toy", "huge", seed=1)
    assert not isinstance(failed.value, HoldsAnother)
