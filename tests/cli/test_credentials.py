"""What cannot prove who it is is refused before anything is written, and doctor and `centre status` say until when."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from b2cal import loop
from b2cal.cli.furnishing import SMALL, Story, prepare
from b2cal.cli.main import group
from b2cal.data import Credentials
from b2cal.loop import UnfitCentre
from b2cal.model import Processing, ProcessingState
from b2cal.settings import Settings
from tests import factories
from tests.loop.world import World
from tests.services.credentials import private, token

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])  # doctor looks whether ports are free

Describe = Callable[..., Path]


@pytest.fixture
def describe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Describe:
    """A home whose jobs on this machine have a token that lasts for so long."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("B2CAL_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()

    def described(lasts: timedelta, more: str = "") -> Path:
        file = private(tmp_path / "token.jwt", token(lasts))
        (tmp_path / "b2cal.toml").write_text(f'[batch]\ntoken = "{file}"\n{more}\n')
        return file

    return described


def examined() -> dict[str, str]:
    """What the doctor says of the token; `centre status` says the same."""
    told = {it["what"]: it for it in json.loads(CliRunner().invoke(group, ["--json", "doctor"]).output)}
    (here,) = json.loads(CliRunner().invoke(group, ["--json", "centre", "status"]).output)
    (found,) = here["credentials"]
    assert {key: found[key] for key in ("what", "health", "do")} == {
        key: told["token of local"][key] for key in ("what", "health", "do")
    }
    shown = CliRunner().invoke(group, ["centre", "status"]).output
    assert found["says"].partition(", for ")[0] in shown
    assert found["do"] in shown
    return dict(found)


def test_until_when_it_is_valid_is_told_and_a_day_before_what_to_do(describe: Describe, tmp_path: Path) -> None:
    factories.database(tmp_path / "home").dispose()
    file = describe(timedelta(days=3))
    assert (examined()["health"], examined()["do"]) == ("well", "")
    assert examined()["says"].startswith(f"{file} is valid until 20")
    describe(timedelta(hours=23))
    assert examined()["health"] == "warning"
    assert examined()["do"] == "Renew it: nothing is submitted there when it has less than 1 h 00 left."
    describe(timedelta(hours=3), 'renew = ["renew"]')
    assert examined()["health"] == "well"  # that is what the command is for
    note = Credentials.of(Settings(), "local").note
    note.parent.mkdir(parents=True)
    note.write_text("The command `renew` of local ended with code 3.")
    assert examined()["health"] == "warning"
    assert examined()["do"].endswith("The command `renew` of local ended with code 3.")


def nothing(_file: Path) -> None:
    """It stays as it is."""


REFUSED = [
    (timedelta(hours=-1), nothing, "has expired on"),
    (timedelta(hours=5), Path.unlink, "cannot be read: No such file or directory"),
    (timedelta(hours=5), lambda file: file.chmod(0o644), "may be read by others"),
    (timedelta(hours=5), lambda file: private(file, "no token"), "is not a bearer token"),
]


@pytest.mark.parametrize(("lasts", "spoil", "says"), REFUSED)
def test_what_cannot_be_used_is_ill_and_nothing_is_made_that_needs_it(
    describe: Describe, tmp_path: Path, lasts: timedelta, spoil: Callable[[Path], Any], says: str
) -> None:
    world = World(tmp_path / "home")
    spoil(describe(lasts))
    found = examined()
    assert found["health"] == "ill"
    assert says in found["says"]
    wanted = ["processing", "create", "bucket1", "--runs", "e1r1-", "--release", "toy", "--tag", "main"]
    refused = CliRunner().invoke(group, wanted).exception
    assert isinstance(refused, UnfitCentre)
    assert says in str(refused)
    assert "`token` under [batch] in b2cal.toml" in refused.hint
    with pytest.raises(UnfitCentre, match=says):
        prepare(loop.open_workplace(Settings()), Story(SMALL))
    assert not (tmp_path / "home" / "data").exists()
    with world.database.read() as db:
        assert db.scalars(select(Processing)).all() == []


def test_a_planned_processing_is_not_opened_with_what_has_expired(describe: Describe, tmp_path: Path) -> None:
    world = World(tmp_path / "home")
    world.database.write(lambda db: factories.processing(db, state=ProcessingState.PLANNED))
    describe(timedelta(hours=-1))
    with world.database.read() as db:
        name = db.scalars(select(Processing.name)).one()
    refused = CliRunner().invoke(group, ["--as", "manager", "processing", "activate", name]).exception
    assert isinstance(refused, UnfitCentre)
    with world.database.read() as db:
        assert db.scalars(select(Processing.state)).one() is ProcessingState.PLANNED
