"""How the command line tells errors, and with which exit codes."""

import re
import sys
from pathlib import Path

import pytest

from b2cal.cli.main import main
from tests.loop.world import World


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("B2CAL_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def world(home: Path) -> World:
    world = World(home)
    world.process()
    return world


def exit_code(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Of `b2cal` with these words, as the shell would see it."""
    monkeypatch.setattr(sys, "argv", ["b2cal", *words])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_what_was_done_ends_with_0(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, "processing", "list") == 0
    told = capsys.readouterr()
    assert "bucket1" in told.out
    assert told.err == ""


def test_a_refusal_ends_with_1_and_is_told_beside_the_output_with_what_to_do(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, "--as", "manager", "calibration", "reject", "bucket1", "A") == 1
    told = capsys.readouterr()
    assert told.out == ""
    said, to_do = told.err.splitlines()
    assert said == "A is open now."
    assert to_do.startswith('"Reject" is possible while it is in review, signed off, failed.')


def test_without_a_database_the_command_says_how_to_make_one(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, "processing", "list") == 1
    assert "Run `b2cal init` here" in capsys.readouterr().err
    assert list(home.iterdir()) == []


def test_wrong_words_end_with_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(monkeypatch, "calibration", "sing-off") == 2
    assert "No such command 'sing-off'" in capsys.readouterr().err


def test_an_interrupted_command_ends_with_130(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ctrl_c(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", ctrl_c)
    assert exit_code(monkeypatch, "processing", "watch", "bucket1") == 130
    assert capsys.readouterr().err.strip() == "Interrupted."


COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7]")


@pytest.mark.parametrize("no_colour", [False, True])
def test_colours_are_left_out_where_nobody_wants_them(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], no_colour: bool
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in a terminal
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_colour:
        monkeypatch.setenv("NO_COLOR", "1")
    assert exit_code(monkeypatch, "--as", "manager", "calibration", "submit", "bucket1", "A") == 0
    assert exit_code(monkeypatch, "--as", "manager", "calibration", "submit", "bucket1", "A") == 1
    told = capsys.readouterr()
    for text in (told.out, told.err):
        assert ("A" in text, bool(COLOUR.search(text))) == (True, not no_colour)
