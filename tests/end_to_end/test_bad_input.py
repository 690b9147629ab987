"""Bad input that is met while running: failed with the reason, nothing half-written, and a way on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import uproot
from sqlalchemy import select

from b2cal import data, loop
from b2cal.model import AttemptPayload, DataFile, Job, TagIov
from tests.small_loop import BUCKET, SmallLoop, furnish
from tests.waiting import wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(600)]
MASK = "Channel mask"


@pytest.fixture
def small(tmp_path: Path, simulated: Path) -> Iterator[SmallLoop]:
    """A home with its agent, and data of its own to damage; the test itself does what Airflow's tasks do."""
    shutil.copytree(simulated, tmp_path / "data")
    small = SmallLoop(tmp_path / "home", furnish(tmp_path / "furnished", tmp_path / "data"))
    with open(tmp_path / "agent.out", "wb") as output:
        agent = subprocess.Popen(
            [sys.executable, "-m", "b2cal.agent"],
            env={**small.environment, "B2CAL_BATCH__MAX_TRIES": "2", "B2CAL_BATCH__RETRY_DELAY_S": "0.5"},
            stdout=output,
            stderr=output,
        )
        yield small
        agent.terminate()
        agent.wait(timeout=30)
    small.end()


def advance_until(small: SmallLoop, state: str) -> None:
    def reached() -> bool:
        for name in ("Pedestals", MASK):
            loop.advance(small.workplace, BUCKET, name)
        return bool(small.read(lambda view: view.calibration(MASK).state == state))

    wait_for(reached, f"{MASK} {state}", 240)


def problem(small: SmallLoop) -> str:
    return str(small.read(lambda view: view.calibration(MASK).problem))


def a_file_of_the_mask(small: SmallLoop) -> Path:
    with small.workplace.database.read() as db:
        return Path(db.scalars(select(DataFile.path).where(DataFile.data_name == "random")).first() or "")


def nothing_is_half_written(small: SmallLoop) -> bool:
    with small.workplace.database.read() as db:
        attempt = small.read(lambda view: view.attempts[MASK].id)
        made = db.scalars(select(AttemptPayload).where(AttemptPayload.attempt_id == attempt)).all()
        published = db.scalars(select(TagIov).where(TagIov.name == "ChannelMask")).all()
    return not made and len(published) == 1


def test_a_file_that_is_truncated_after_its_scan_fails_with_its_name_and_goes_on_when_it_is_back(
    small: SmallLoop,
) -> None:
    small.begin()
    path = a_file_of_the_mask(small)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    advance_until(small, "failed")
    assert path.name in problem(small)
    assert nothing_is_half_written(small)

    path.write_bytes(whole)
    small.act(MASK, loop.restart, reason="the file is back")
    advance_until(small, "signed_off")


def test_a_missing_branch_fails_at_once_and_names_branch_and_file(small: SmallLoop) -> None:
    small.begin()
    path = a_file_of_the_mask(small)
    with uproot.open(path) as file:
        events = file["events"].arrays(library="np")
    missing = min(events)
    with uproot.recreate(path) as file:
        file["events"] = {name: column for name, column in events.items() if name != missing}
    data.scan(small.workplace.database, path.parent)
    advance_until(small, "failed")
    assert missing in problem(small)
    assert nothing_is_half_written(small)


def test_a_full_disk_fails_with_the_reason_and_goes_on_after_there_is_room(small: SmallLoop) -> None:
    """The attempts lie on a file system of 2 MiB that is full."""
    attempts = small.home / "attempts"
    attempts.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(attempts)], check=True)
    try:
        ballast = attempts / "ballast"
        with open(ballast, "wb") as file:
            file.write(b"\0" * (2 * 1024**2 - 16 * 1024))
        small.begin()
        wait_for(lambda: "space" in first_error(small) or "room" in first_error(small), "the error", 120)
        ballast.unlink()
        advance_until(small, "signed_off")
    finally:
        small.end()
        subprocess.run(["umount", "--lazy", str(attempts)], check=True)


def first_error(small: SmallLoop) -> str:
    for name in ("Pedestals", MASK):
        loop.advance(small.workplace, BUCKET, name)
    with small.workplace.database.read() as db:
        return " ".join(db.scalars(select(Job.error)).all()).lower()
