"""What an attempt cannot do ends it as failed, with the reason and a way on; it never goes round for ever."""

import json
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.calibration import Payload
from b2cal.conditions import PayloadStore, StoredFile
from b2cal.core.ids import new_token
from b2cal.core.iov import ExpRun, IoV
from b2cal.loop import Choice, Workplace
from b2cal.model import GroupState, JobGroup, JobState
from tests.loop.world import Defined, World

BY_BOUNDARIES = Defined("A", strategy="boundaries", config={"payload_boundaries": [[26, 102]]})


def problem(world: World, name: str) -> str:
    with world.database.read() as db:
        return world.view(db).calibration(name).problem


def wanted_job_ends(world: World, name: str) -> Path:
    """The one job that the running attempt waits for has ended well; returns the folder of its outputs."""
    folder = f"{name}/{new_token()}"

    def unit(db: Session) -> None:
        attempt = world.view(db).attempts[name]
        group = db.scalars(
            select(JobGroup).where(JobGroup.attempt_id == attempt.id, JobGroup.state == GroupState.WANTED)
        ).one()
        group.state = GroupState.DONE
        (job,) = group.jobs
        job.state, job.folder = JobState.DONE, folder

    world.database.write(unit)
    outputs = world.workplace.settings.attempts / folder / "outputs"
    outputs.mkdir(parents=True)
    return outputs


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
    wanted_job_ends(world, "A")
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
    (wanted_job_ends(world, "A") / "collected.json").write_text('{"names_read": []}')
    world.advance("A")
    outputs = wanted_job_ends(world, "A")
    iov = IoV(ExpRun(26, 100), None)
    payload = Payload("PA", iov, {"offset": [1.0]})
    payload.write(outputs / "PA.root")
    first, last = iov.to_json()
    its = {"name": "PA", "first": first, "last": last, "file": "PA.root", "identity": payload.identity}
    (outputs / "result.json").write_text(json.dumps({"outcome": "ok", "payloads": [its], "names_read": []}))
    progress = loop.advance(Spoilt(world.workplace.settings, world.database), "bucket1", "A")
    assert progress.state == "failed"
    assert "has changed since it was checked" in problem(world, "A")
    assert "restart the calibration" in problem(world, "A")
