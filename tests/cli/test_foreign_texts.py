"""Texts of scripts, jobs and people are printed as they are: no bracket in them is taken for a style or a picture."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy.orm import Session

from b2cal.cli.demo import _follow
from b2cal.cli.desk import Desk
from b2cal.cli.furnishing import PROCESSING, SMALL, DemoFailed
from b2cal.cli.main import group, main
from b2cal.cli.supervisor import Supervisor
from b2cal.loop import NotFound
from b2cal.model import Outbox, State, now
from tests import factories
from tests.releases.folders import script, write_release

HOSTILE = r"KeyError: no [a, b] in [/INFO] :bug: [red]\[/] C:\temp"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A calibration, a job and a message that failed for a nasty reason."""

    def rows(db: Session) -> None:
        processing = factories.processing(db, name=PROCESSING)
        it = factories.calibration(db, processing, "Time offsets", state=State.FAILED, problem=HOSTILE)
        group = factories.group(db, factories.attempt(db, it), jobs=0)
        factories.job(db, group, error=HOSTILE)
        message = {"kind": "message", "about": HOSTILE, "body": {"text": HOSTILE}, "error": HOSTILE, "tries": 1}
        db.add(Outbox(key="message:1", created_at=now(db), **message))

    factories.database(tmp_path).write(rows)
    monkeypatch.setenv("B2CAL_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(ended: Result) -> str:
    assert ended.exception is None, ended.output
    return ended.output


@pytest.mark.parametrize(
    "command",
    [
        ["processing", "show", PROCESSING],
        ["why", PROCESSING],
        ["jobs", PROCESSING, "Time offsets"],
        ["outbox", "list"],
    ],
    ids=" ".join,
)
def test_every_table_shows_them(command: list[str]) -> None:
    assert HOSTILE in said(CliRunner().invoke(group, command))


def test_who_watches_sees_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def ctrl_c(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", ctrl_c)
    assert HOSTILE in CliRunner().invoke(group, ["processing", "watch", PROCESSING]).output


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_the_doctor_shows_them() -> None:
    assert HOSTILE in CliRunner().invoke(group, ["doctor"]).output


def test_the_demo_shows_them(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "data").mkdir()
    (home / "data" / "truth.json").write_text('{"planted": []}')
    with pytest.raises(DemoFailed):
        _follow(Desk(None, as_json=False), SMALL, Supervisor([], home))
    assert HOSTILE in capsys.readouterr().out


def test_a_sentence_says_what_was_done_with_them(capsys: pytest.CaptureFixture[str]) -> None:
    Desk(None, as_json=False).done(f"{HOSTILE} is done.")
    assert capsys.readouterr().out == f"✓ {HOSTILE} is done.\n"
    said(CliRunner().invoke(group, ["person", "add", "ruth", "--name", HOSTILE, "--password", "secret"]))
    assert HOSTILE in said(CliRunner().invoke(group, ["person", "list"]))


def test_a_refusal_names_them(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(CliRunner().invoke(group, ["why", HOSTILE]).exception, NotFound)
    monkeypatch.setattr("sys.argv", ["b2cal", "why", HOSTILE])
    with pytest.raises(SystemExit):
        main()
    assert HOSTILE in capsys.readouterr().err


@pytest.mark.processes
def test_what_a_manager_should_know_about_a_release_names_them(tmp_path: Path) -> None:
    name = "Offsets [/INFO] [a, b] :bug:"
    folder = write_release(tmp_path / "release", {"offsets": script(name, filters={})})
    ended = said(CliRunner().invoke(group, ["release", "add", str(folder)]))
    assert f"! offsets ({name!r}) has no filters" in ended
