from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from b2cal.cli.desk import Desk, NotReady
from tests import factories


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("B2CAL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_commands_work_on_the_database_that_the_settings_name_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = factories.database(tmp_path)
    elsewhere.write(factories.processing)
    monkeypatch.setenv("B2CAL_DATABASE_URL", elsewhere.engine.url.render_as_string())
    workplace = Desk(None, as_json=False).workplace
    assert workplace.database.engine.url.database == elsewhere.engine.url.database


def test_a_database_in_the_home_is_not_taken_for_the_one_that_the_settings_name(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    factories.database(home)
    missing = make_url(f"sqlite:///{tmp_path / 'missing.db'}")
    monkeypatch.setenv("B2CAL_DATABASE_URL", missing.render_as_string())
    with pytest.raises(NotReady, match=r"missing\.db"):
        _ = Desk(None, as_json=False).workplace
    assert not Path(missing.database or "").exists()


PATH = "/a/long/home/attempts/" + "0123456789/" * 12


def test_a_table_that_is_piped_has_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    Desk(None, as_json=False).table("Jobs", ("Job", "Folder"), [(1, PATH)])
    assert PATH in capsys.readouterr().out


def test_in_a_narrow_terminal_nothing_of_a_table_is_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    Desk(None, as_json=False).table("Jobs", ("Job", "Folder"), [(1, PATH)])
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) < 200
    assert PATH in "".join(line.strip("│ ").split("│")[-1].strip() for line in told.splitlines())
