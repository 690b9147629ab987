"""Times in a terminal are local, with their zone."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from b2cal.cli.main import group
from tests.loop.world import World

Run = Callable[..., Result]
NEW = ("create", "bucket1", "--runs", "e26r100-e26r104", "--release", "toy", "--tag", "main")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """b2cal in a home with a release and data, in a terminal in Japan."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("B2CAL_HOME", str(tmp_path))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    World(tmp_path).database.dispose()
    yield lambda *words: CliRunner().invoke(group, ["--as", "manager", *words])
    monkeypatch.undo()
    time.tzset()


def test_the_end_of_the_windows_is_said_in_local_time_with_the_days_that_do_not_count(run: Run) -> None:
    days = ("--blocked", "2020-01-01", "--blocked", "2020-01-03..2020-01-05", "--zone", "Europe/Berlin")
    made = run("processing", *NEW, *days)
    assert "JST" in made.output
    shown = run("processing", "show", "bucket1").output
    assert "windows end " in shown
    assert "JST" in shown
    assert "1 Jan 2020, 3 Jan 2020 to 5 Jan 2020 (Europe/Berlin)" in " ".join(shown.split())
    facts = json.loads(run("--json", "processing", "show", "bucket1").output)
    assert facts["windows_end_at"].endswith("+00:00")


@pytest.mark.parametrize(("words", "answer"), [
    (("--blocked", "2026-12-24"), "--blocked needs --zone"),
    (("--blocked", "24.12.2026", "--zone", "UTC"), "is no day. Write 2026-12-24"),
    (("--blocked", "2026-12-24..2026-12-01", "--zone", "UTC"), "the last day comes before the first"),
])  # fmt: skip
def test_days_that_cannot_be_meant_are_refused(run: Run, words: tuple[str, ...], answer: str) -> None:
    refused = run("processing", *NEW, *words)
    assert refused.exit_code == 2
    assert answer in " ".join(refused.output.replace("│", "").split())
    assert run("--json", "processing", "list").output.strip() == "[]"
