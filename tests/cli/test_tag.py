import os
import pty
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from b2cal import loop
from b2cal.calibration import Payload
from b2cal.cli.desk import NotConfirmed
from b2cal.cli.main import group
from b2cal.conditions import TagRefused
from b2cal.core.iov import ExpRun, IoV
from b2cal.model import Decision, Role
from tests import factories

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """b2cal in a home with a manager, an expert and a tag."""
    monkeypatch.chdir(tmp_path)
    database = factories.database(tmp_path)
    monkeypatch.setenv("B2CAL_DATABASE_URL", str(database.engine.url))
    database.write(lambda db: [factories.person(db, "manager", role=Role.MANAGER), factories.person(db)])
    database.write(lambda db: factories.tag(db, "main"))
    return lambda *words, by="manager": CliRunner().invoke(group, ["--as", by, "tag", *words])


def decisions(tmp_path: Path) -> list[tuple[str, str, str]]:
    with factories.Database(f"sqlite:///{tmp_path / 'b2cal.db'}", factories.SystemClock()).read() as db:
        return [(it.actor, it.verb, it.reason) for it in db.query(Decision)]


def test_a_manager_changes_the_state_of_a_tag_and_the_reason_is_kept(run: Run, tmp_path: Path) -> None:
    assert "The tag main is running." in run("set-state", "main", "running", "-m", "from now on", "--yes").output
    assert decisions(tmp_path) == [("manager", "set_state", "from now on")]


def test_an_expert_may_not(run: Run, tmp_path: Path) -> None:
    Payload("Gains", IoV(ExpRun(0, 0), None), {"gain": [1.0]}).write(tmp_path / "gains.root")
    for words in (
        ("create", "other"),
        ("copy", "main", "other"),
        ("set-state", "main", "running"),
        ("add", "main", "gains.root", "--runs", "e1r1-e1r2"),
    ):
        assert isinstance(run(*words, by="tracking").exception, loop.NotAllowed)
    assert decisions(tmp_path) == []
    assert list(tmp_path.rglob("*.root")) == [tmp_path / "gains.root"]


def test_who_may_not_go_back_is_told_of_the_copy_which_works(run: Run, tmp_path: Path) -> None:
    run("set-state", "main", "running", "--yes")
    refused = run("set-state", "main", "open").exception
    assert isinstance(refused, TagRefused)
    words = refused.hint.partition("`b2cal tag ")[2].partition("`")[0].split()
    assert words == ["copy", "main", "NEW"]
    assert "The tag NEW is there, open, with what main holds." in " ".join(run(*words, "-m", "a slip").output.split())
    assert decisions(tmp_path)[-1] == ("manager", "copy", "a slip")


def test_a_forbidden_change_is_refused_with_the_rule(run: Run, tmp_path: Path) -> None:
    refused = run("set-state", "main", "published").exception
    assert isinstance(refused, TagRefused)
    assert "it may become running or testing" in str(refused)
    assert decisions(tmp_path) == []


def test_without_a_terminal_it_is_said_what_would_change_and_how_to_agree(run: Run, tmp_path: Path) -> None:
    refused = run("set-state", "main", "running").exception
    assert isinstance(refused, NotConfirmed)
    assert str(refused).startswith("The tag main is open and becomes running.")
    assert "That is final" in str(refused)
    assert "--yes" in refused.hint
    assert decisions(tmp_path) == []


def at_a_terminal(tmp_path: Path, answer: str) -> str:
    """Give the command at a terminal and answer its question; what stood on it."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "b2cal", "--as", "manager", "tag", "set-state", "main", "testing"]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path):
        os.close(theirs)
        shown = ""
        while "[y/N]" not in shown:
            shown += os.read(ours, 4096).decode()
        os.write(ours, f"{answer}\n".encode())
        with suppress(OSError):  # the kernel's word for: the other side has closed it
            while told := os.read(ours, 4096):
                shown += told.decode()
    os.close(ours)
    return " ".join(shown.split())


@pytest.mark.processes
def test_at_a_terminal_nothing_changes_before_the_answer_is_yes(run: Run, tmp_path: Path) -> None:
    shown = at_a_terminal(tmp_path, "n")
    assert "The tag main is open and becomes testing. No processing can publish into it." in shown
    assert "From there it may become open or validated." in shown
    assert "Nothing was changed." in shown
    assert decisions(tmp_path) == []
    assert "The tag main is testing." in at_a_terminal(tmp_path, "y")
    assert decisions(tmp_path) == [("manager", "set_state", "")]


def test_a_tag_that_is_in_the_state_already_asks_nothing(run: Run, tmp_path: Path) -> None:
    assert "The tag main is open." in run("set-state", "main", "open").output
    assert decisions(tmp_path) == []


@pytest.mark.processes
def test_each_file_that_cannot_be_put_into_a_tag_is_named(run: Run, tmp_path: Path) -> None:
    for name in ("offsets.root", "gains.root"):
        (tmp_path / name).write_text("not a payload at all")
    files = [str(tmp_path / "offsets.root"), str(tmp_path / "gains.root")]
    assert str(run("add", "main", *files, "--runs", "e26r1-e26r9").exception) == (
        "Nothing was put into main: offsets.root: it is not a ROOT file; gains.root: it is not a ROOT file."
    )


def test_a_state_that_b2cal_never_gives_is_not_offered(run: Run) -> None:
    refused = run("set-state", "main", "invalid")
    assert refused.exit_code == 2
    assert "'invalid' is not one of 'open', 'testing', 'validated', 'published', 'running'" in refused.output
