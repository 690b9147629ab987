"""A workplace for the agent: a database, a local batch system, and a release whose interpreter does what it is told."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from b2cal.agent import Agent, Handler
from b2cal.batch import START, LocalBackend
from b2cal.core.clock import Clock, SystemClock
from b2cal.model import Calibration, GroupState, Job, JobGroup, Stage
from b2cal.settings import BatchSettings, CondorSettings, Settings
from tests import factories
from tests.waiting import wait_for

INTERPRETER = f"""#!{sys.executable} -IS
# Stands where the Python of a release does: leaves a trace, writes the outputs of a collect job, does what it is told.
import json, os, pathlib, sys, time
job = json.loads(pathlib.Path("job.json").read_text())
with open("ran", "a") as trace:
    print(os.getpid(), file=trace)
if job.get("outputs", True):  # the wrapper made the folder
    for name in ("collected.npz", "collected.json"):
        pathlib.Path("outputs", name).touch()
exec(job.get("do", ""))
"""


class Site:
    """Everything that an agent works with, and a view of what it did."""

    def __init__(self, home: Path, clock: Clock) -> None:
        self.settings = Settings(home=home, batch=BatchSettings(slots=2, retry_delay_s=60, max_tries=3))
        self.database = factories.database(home, clock)
        self.backend = LocalBackend(self.database, self.settings.batch.slots)
        self.interpreter = home / "interpreter"
        self.interpreter.write_text(INTERPRETER)
        self.interpreter.chmod(0o755)
        self.settings.releases.mkdir()

    def agent(self, handlers: Mapping[str, Handler] | None = None, holder: str = "", **backends: Any) -> Agent:
        """A new agent; what an earlier one knew is lost. A centre that the settings do not describe is as usual."""
        usual = CondorSettings(backend="htcondor")
        centres = dict.fromkeys(backends, usual) | self.settings.centres
        self.settings = self.settings.model_copy(update={"centres": centres})
        return Agent(
            self.settings, self.database, {"local": self.backend} | backends, handlers or {}, holder or "this test"
        )

    def want(self, *specs: dict, **columns: Any) -> int:
        """A wanted group with a job for each spec; returns its id."""

        def unit(db):
            release = factories.release(db, interpreter=str(self.interpreter))
            centre = columns.pop("centre", "local")
            processing = factories.processing(db, release=release, centre=centre, held=columns.pop("held", False))
            attempt = factories.attempt(db, factories.calibration(db, processing), live=columns.pop("live", True))
            stage = columns.pop("stage", Stage.COLLECT)
            spec = {"stage": stage.value, "release": str(self.settings.releases)} | columns.pop("spec", {})
            group = factories.group(db, attempt, 0, spec=spec, stage=stage, **columns)
            for number, spec in enumerate(specs):
                factories.job(db, group, number, spec=spec)
            return group.id

        return self.database.write(unit)

    def group(self, group_id: int) -> dict[str, Any]:
        """A group's row as it stands, with its jobs' rows and its calibration's signal."""
        with self.database.read() as db:
            return seen(db, db.get_one(JobGroup, group_id))

    def rounds(self, group_id: int) -> list[dict[str, Any]]:
        """The rounds of the group's stage, in order, at one moment."""
        with self.database.read() as db:
            first = db.get_one(JobGroup, group_id)
            same_stage = db.query(JobGroup).where(
                JobGroup.attempt_id == first.attempt_id, JobGroup.stage == first.stage
            )
            return [seen(db, row) for row in same_stage.order_by(JobGroup.round)]

    def executions(self) -> list[int]:
        """How often something ran in each job folder where anything ran, whatever its epoch."""
        return [len(trace.read_text().splitlines()) for trace in sorted(self.settings.attempts.rglob("ran"))]

    def change(self, table: type, row_id: int, **columns: Any) -> None:
        def unit(db):
            row = db.get_one(table, row_id)
            for name, value in columns.items():
                setattr(row, name, value)

        self.database.write(unit)

    def run(self, agent: Agent, until: Callable[[], object], what: str) -> None:
        """Let the agent make rounds until the condition holds."""

        def met() -> bool:
            agent.round()
            return bool(until())

        wait_for(met, what)

    def run_until(self, agent: Agent, group_id: int, *states: GroupState) -> dict[str, Any]:
        self.run(agent, lambda: self.group(group_id)["state"] in states, f"the group is {states}")
        return self.group(group_id)


def seen(db: Session, row: JobGroup) -> dict[str, Any]:
    signal = db.get_one(Calibration, row.attempt.calibration_id).signal
    return columns_of(row) | {"jobs": [columns_of(job) for job in row.jobs], "signal": signal}


def columns_of(row: JobGroup | Job) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in row.__table__.columns}


@pytest.fixture
def clock() -> Clock:
    return SystemClock()


@pytest.fixture
def site(tmp_path, clock) -> Iterator[Site]:
    os.environ.pop("B2CAL_CRASH_AT", None)
    site = Site(tmp_path, clock)
    yield site
    site.backend.cancel([event.handle.batch_id for event in site.backend.events(START)])
    site.database.dispose()
