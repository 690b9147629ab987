"""Storage behind XRootD doors from the command line: a real server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from b2cal.calibration.doors import DoorTrouble
from b2cal.cli.main import group
from b2cal.core.clock import SystemClock
from b2cal.data import NoDoor, RegistryRefused
from b2cal.loop import UnfitCentre
from b2cal.model import Database, Processing
from b2cal.settings import Settings
from tests import factories
from tests.data.catalogues import registry_entry, root_file, write_registry
from tests.services.xrootd import Door, two_running

pytestmark = pytest.mark.service


@pytest.fixture
def doors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Door, Door]]:
    """Two doors of this machine's storage, in the settings of a new home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("B2CAL_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    factories.database(tmp_path / "home").dispose()
    with two_running(tmp_path) as servers:
        raw = servers[0].files / "raw"
        raw.mkdir()
        root_file(raw, "bhabha_e0026_r00001.root", 100)
        write_registry(raw, [registry_entry(1)])
        addresses = json.dumps([server.url() for server in servers])
        (tmp_path / "b2cal.toml").write_text(f"[batch]\ndoors = {addresses}\n")
        yield servers


def scan(url: str) -> Result:
    return CliRunner().invoke(group, ["data", "scan", url])


def health(what: str) -> tuple[str, str]:
    """What the doctor says of a door, of output or tape of this machine."""
    told = {it["what"]: it for it in json.loads(CliRunner().invoke(group, ["--json", "doctor"]).output)}
    found = told[f"{what} of local"]
    assert bool(found["do"]) == (found["health"] != "well")
    return found["health"], found["says"]


def test_a_folder_behind_a_door_is_scanned_by_its_address(doors: tuple[Door, Door]) -> None:
    ended = scan(doors[0].url("raw"))
    assert ended.exit_code == 0, ended.output
    assert "Files: 1 new" in ended.output
    assert "1 as before" in scan(doors[1].url("raw")).output


def test_what_cannot_be_scanned_is_refused_with_what_to_do(doors: tuple[Door, Door]) -> None:
    unknown, wrong = scan("root://nowhere.example.org//raw"), scan(doors[0].url("rwa"))
    for door in doors:
        door.stop()
    shut = scan(doors[0].url("raw"))
    assert [type(ended.exception) for ended in (unknown, wrong, shut)] == [NoDoor, RegistryRefused, DoorTrouble]
    assert all(ended.exception.hint for ended in (unknown, wrong, shut))


def test_the_doctor_asks_every_door(doors: tuple[Door, Door]) -> None:
    first, second = doors
    assert [health(f"door {n}") for n in (1, 2)] == [("well", f"open, it is {door.url()}") for door in doors]
    first.stop()
    assert health("door 1") == ("warning", f"shut: Connection error; it is {first.url()}")
    assert health("door 2")[0] == "well"
    second.stop()
    assert health("door 1")[0] == health("door 2")[0] == "ill"


def test_the_doctor_looks_whether_the_folder_for_output_can_be_written(
    doors: tuple[Door, Door], tmp_path: Path
) -> None:
    with (tmp_path / "b2cal.toml").open("a") as settings:
        settings.write(f'output = "{doors[0].url("cdst")}"')
    assert health("output") == ("ill", f"is not there; it is {doors[0].url('cdst')}")
    (doors[0].files / "cdst").mkdir()
    assert health("output") == ("well", f"can be written, through {doors[0].url('cdst')}")
    doors[0].stop()
    assert health("output") == ("well", f"can be written, through {doors[1].url('cdst')}")
    doors[0].start()
    (doors[0].files / "cdst").chmod(0o555)
    assert health("output")[0] == "ill"
    (doors[0].files / "cdst").chmod(0o755)
    assert list((doors[0].files / "cdst").iterdir()) == []


def test_a_folder_for_output_that_the_open_doors_do_not_have_is_not_to_be_made_while_another_is_shut(
    doors: tuple[Door, Door], tmp_path: Path
) -> None:
    with (tmp_path / "b2cal.toml").open("a") as settings:
        settings.write(f'output = "{doors[0].url("cdst")}"')
    doors[0].stop()
    refused = created().exception
    assert isinstance(refused, UnfitCentre)
    folder = doors[0].url("cdst")
    assert str(refused) == (
        "Nothing can be done at local now: output of local: was not found while not all doors are open (door 1 is shut,"
        f" Connection error; door 2 is open, and it is not there); it is {folder}."
    )
    assert refused.hint.startswith("Open door 1 first")
    assert "`doors` under [batch] in b2cal.toml" in refused.hint
    assert "Make that folder" not in refused.hint


def test_the_doctor_asks_the_tape(doors: tuple[Door, Door], tmp_path: Path) -> None:
    tape = doors[0].files / "tape"
    tape.mkdir()
    with (tmp_path / "b2cal.toml").open("a") as settings:
        settings.write(f'tape = "{doors[0].url("tape")}"')
    assert health("tape") == ("well", f"can be written, in {doors[0].url('tape')}")
    tape.chmod(0o555)
    assert health("tape")[0] == "warning"
    tape.chmod(0o755)
    assert list(tape.iterdir()) == []
    doors[0].stop()
    assert health("tape") == ("warning", f"nothing can be copied there: Connection error; it is {doors[0].url('tape')}")


def test_no_processing_is_made_whose_jobs_could_not_read_or_write(doors: tuple[Door, Door], tmp_path: Path) -> None:
    with (tmp_path / "b2cal.toml").open("a") as settings:
        settings.write(f'output = "{doors[0].url("cdst")}"')
    without_output = created()
    (doors[0].files / "cdst").mkdir()
    for door in doors:
        door.stop()
    without_doors = created()
    for refused, said, line in ((without_output, "is not there", "output"), (without_doors, "shut", "doors")):
        assert isinstance(refused.exception, UnfitCentre)
        assert said in str(refused.exception)
        assert f"`{line}` under [batch] in b2cal.toml" in refused.exception.hint
    database = Database(Settings().url, SystemClock())
    with database.read() as db:
        assert db.query(Processing).count() == 0
    database.dispose()


def created() -> Result:
    words = ["processing", "create", "bucket1", "--runs", "e1r1-", "--release", "toy", "--tag", "main"]
    return CliRunner().invoke(group, words)
