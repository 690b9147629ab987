"""Logs of components: kept for some lives, rotated where they grow."""

from collections.abc import Callable
from pathlib import Path

import pytest

from b2cal.cli import supervisor
from b2cal.cli.supervisor import KEPT_LOGS, Supervisor, rotate
from tests.cli.supervisor.seen import WAITS, all_run
from tests.cli.supervisor.supervised import python
from tests.waiting import wait_for

pytestmark = pytest.mark.processes


def test_every_start_begins_a_new_log_and_some_old_ones_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "site.log"
    for number in range(KEPT_LOGS + 3):
        rotate(log)
        with open(log, "a") as file:
            file.write(f"life {number}")
    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert kept.pop("site.log") == f"life {KEPT_LOGS + 2}"
    assert kept == {f"site.log.{age}": f"life {KEPT_LOGS + 2 - age}" for age in range(1, KEPT_LOGS + 1)}


def test_a_log_that_cannot_be_kept_keeps_nobody_from_starting(start: Callable[..., Supervisor], home: Path) -> None:
    for name in ("site.log", "site.log.4", "site.log.5/in_the_way"):
        (home / "logs" / name).parent.mkdir(exist_ok=True)
        (home / "logs" / name).write_text("an earlier life")
    running = start(python("site", WAITS), python("agent", WAITS))
    wait_for(lambda: all_run(running))


def test_a_log_that_grows_too_large_is_rotated_under_the_running_component(
    start: Callable[..., Supervisor], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LOG_BYTES", 20_000)
    start(python("chatty", "import time\nwhile True: print('x' * 1000, flush=True); time.sleep(0.002)"))
    log = home / "logs" / "chatty.log"
    wait_for(lambda: log.with_name("chatty.log.2").exists())
    wait_for(lambda: log.read_text().endswith("x\n"))
    assert "\0" not in log.read_text()
