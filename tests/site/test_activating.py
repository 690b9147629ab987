"""What is in the way of activating a processing the site tells like the command, by the same rule, before it writes."""

import html
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select, update

from b2cal.cli.main import group
from b2cal.core.errors import B2calError
from b2cal.data.behind_doors import _HASTE
from b2cal.model import Database, Processing, ProcessingState
from b2cal.settings import Settings
from tests.services.credentials import private, token
from tests.site.conftest import Browser
from tests.site.test_incidents import text_of

pytestmark = pytest.mark.processes


def nothing(_folder: Path) -> dict[str, str]:
    return {}


def no_lsf(folder: Path) -> dict[str, str]:
    return {"B2CAL_CENTRES": json.dumps({"bnl": {"backend": "lsf", "path": str(folder)}})}


def old_token(folder: Path) -> dict[str, str]:
    return {"B2CAL_BATCH__TOKEN": str(private(folder / "token", token(timedelta(days=-1000))))}


def shut_door(_folder: Path) -> dict[str, str]:
    return {"B2CAL_BATCH__DOORS": json.dumps(["root://127.0.0.1:1//store"])}


@pytest.mark.parametrize(
    ("centre", "settings_of", "says", "line"),
    [
        ("bnl", nothing, "There is no centre 'bnl'; known: local.", "Describe it in b2cal.toml under [centres.bnl]"),
        ("bnl", no_lsf, "Nothing can be done at bnl now: centre bnl: ", "`path`"),
        ("local", old_token, "has expired on", "`token` under [batch] in b2cal.toml"),
        ("local", shut_door, "shut: ", "`doors` under [batch] in b2cal.toml"),
    ],
)
def test_a_processing_whose_centre_cannot_work_is_refused_with_the_line_to_change_by_the_site_as_by_the_command(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    centre: str,
    settings_of: Callable[[Path], dict[str, str]],
    says: str,
    line: str,
) -> None:
    for variable, value in settings_of(tmp_path_factory.mktemp("centre")).items():
        monkeypatch.setenv(variable, value)
    for name in ("ConnectionWindow", "TimeoutResolution"):
        monkeypatch.setitem(_HASTE, name, 1)
    settings: Settings = request.getfixturevalue("settings")
    manager: Browser = request.getfixturevalue("manager")
    database: Database = request.getfixturevalue("database")
    planned = Processing.name == "bucket24"
    database.write(lambda db: db.execute(update(Processing).where(planned).values(centre=centre)))

    by_site = manager.post("/processings/bucket24/do/activate", seen="1")
    monkeypatch.setenv("B2CAL_HOME", str(settings.home))
    by_command = CliRunner().invoke(group, ["--as", "manager", "processing", "activate", "bucket24"]).exception

    assert isinstance(by_command, B2calError)
    assert says in str(by_command)
    assert line in by_command.hint
    assert by_site.status_code == 409
    for words in (str(by_command), by_command.hint):
        assert text_of(words) in html.unescape(text_of(by_site.text))
    with database.read() as db:
        assert db.scalars(select(Processing.state).where(planned)).one() is ProcessingState.PLANNED


def test_who_is_no_manager_is_refused_before_anybody_is_asked(expert: Browser, database: Database) -> None:
    planned = Processing.name == "bucket24"
    database.write(lambda db: db.execute(update(Processing).where(planned).values(centre="nowhere")))
    assert expert.post("/processings/bucket24/do/activate", seen="1").status_code == 403
