"""What an attempt cannot do ends it as failed, with the reason and a way on; it never goes round for ever."""

from pathlib import Path

import pytest

from b2cal import loop
from b2cal.conditions import PayloadStore, StoredFile
from b2cal.core.apart import CannotWorkApart
from b2cal.core.iov import ExpRun, IoV
from b2cal.loop import Choice, Workplace
from tests.loop.outputs import COLLECTED, fitted, jobs_bring
from tests.loop.world import Defined, World

BY_BOUNDARIES = Defined("A", strategy="boundaries", config={"payload_boundaries": [[26, 102]]})


def problem(world: World, name: str) -> str:
    with world.database.read() as db:
        return world.view(db).calibration(name).problem


def test_boundaries_that_are_no_runs_are_refused_with_the_submission(tmp_path: Path) -> None:
    world = World(tmp_path, (BY_BOUNDARIES,))
    world.process()
    with pytest.raises(loop.InvalidConfig, match=r"payload_boundaries: must be a list of runs .*\[\[26, -4\]\]\.$"):
        world.do("submit", "A", Choice({"payload_boundaries": [[26, -4]]}))
    assert world.state("A") == "open"


def test_boundaries_that_no_check_has_seen_end_the_attempt_as_failed(tmp_path: Path) -> None:
    world = World(tmp_path, (BY_BOUNDARIES,))
    world.process()
    world.do("submit", "A")
    world.database.write(
        lambda db: setattr(world.view(db).calibration("A").submission, "config", {"payload_boundaries": [[26, -4]]})
    )
    assert world.advance("A").state == "running"
    jobs_bring(world, COLLECTED)
    assert world.advance("A").state == "failed"
    assert "payload_boundaries" in problem(world, "A")


class Spoiling(PayloadStore):
    """Somebody writes into the folder of the attempt after the files there were checked."""

    def put(self, source: Path, identity: str, checksum: str) -> StoredFile:
        source.write_bytes(b"other contents")
        return super().put(source, identity, checksum)


class Spoilt(Workplace):
    @property
    def store(self) -> PayloadStore:
        return Spoiling(self.settings.store)


@pytest.mark.processes
def test_a_payload_file_that_changes_after_its_check_ends_the_attempt_as_failed(world: World) -> None:
    world.do("submit", "A")
    world.advance("A")
    jobs_bring(world, COLLECTED)
    world.advance("A")
    jobs_bring(world, fitted(IoV(ExpRun(26, 100), None)))
    progress = loop.advance(Spoilt(world.workplace.settings, world.database), "bucket1", "A")
    assert progress.state == "failed"
    assert "has changed since it was checked" in problem(world, "A")
    assert "restart the calibration" in problem(world, "A")


@pytest.mark.processes
def test_where_no_payload_can_be_checked_now_the_attempt_waits_and_keeps_its_jobs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.do("submit", "A")
    world.advance("A")
    jobs_bring(world, COLLECTED)
    world.advance("A")
    jobs_bring(world, fitted(IoV(ExpRun(26, 100), None)))
    with monkeypatch.context() as changed:
        changed.setattr("sys.executable", "/bin/false")  # as while b2cal is being installed again
        with pytest.raises(CannotWorkApart):
            world.advance("A")
        assert world.state("A") == "running"
    assert world.advance("A").state == "validating"
