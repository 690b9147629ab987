"""What batch jobs leave behind, without any job: groups end as a test says, with the outputs that it gives them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from b2cal.calibration import Payload
from b2cal.core.ids import new_token
from b2cal.core.iov import IoV
from b2cal.model import GroupState, JobGroup, JobState
from tests.loop.world import World

Leave = Callable[[Path], None]


def jobs_bring(world: World, leave: Leave) -> None:
    """The jobs that are wanted now end well, each with what `leave` writes into its outputs."""

    def unit(db: Session) -> None:
        for group in db.query(JobGroup).where(JobGroup.state == GroupState.WANTED):
            group.state = GroupState.DONE
            for job in group.jobs:
                job.state, job.folder = JobState.DONE, f"{group.stage}/{new_token()}"
                outputs = world.workplace.settings.attempts / job.folder / "outputs"
                outputs.mkdir(parents=True)
                leave(outputs)

    world.database.write(unit)


def jobs_fail(world: World, error: str) -> None:
    """The jobs that are wanted now fail, and nothing helps."""

    def unit(db: Session) -> None:
        for group in db.query(JobGroup).where(JobGroup.state == GroupState.WANTED):
            group.state = GroupState.FAILED
            for job in group.jobs:
                job.state, job.error = JobState.FAILED, error

    world.database.write(unit)


def document(name: str, **content: Any) -> Leave:
    """A document of a job that has read no constants."""

    def leave(outputs: Path) -> None:
        (outputs / name).write_text(json.dumps({"names_read": [], **content}))

    return leave


COLLECTED = document("collected.json")
MEASURED = document("measurements.json", measurements=[], limits={})


def fitted(
    iov: IoV,
    without_data: Sequence[IoV] = (),
    outcome: str = "ok",
    identity: str | None = None,
    damage: Leave = lambda _file: None,
) -> Leave:
    """What a fit leaves: a payload PA, by default with its true identity and undamaged."""
    payload = Payload("PA", iov, {"gain": [1.0, 2.0]})

    def leave(outputs: Path) -> None:
        payload.write(outputs / "PA.root")
        damage(outputs / "PA.root")
        first, last = iov.to_json()
        entry = {"name": "PA", "first": first, "last": last, "file": "PA.root"}
        entry["identity"] = identity or payload.identity
        poor = [iov.to_json() for iov in without_data]
        message = "Too few data." if poor else ""
        document("result.json", outcome=outcome, message=message, payloads=[entry], without_data=poor)(outputs)

    return leave
