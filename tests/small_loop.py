"""The small profile of the demo as tests drive it: a real `b2cal up` in a process of its own, watched from outside."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from b2cal import conditions, loop
from b2cal.airflow.__main__ import environment as environment_of_airflow
from b2cal.airflow.__main__ import prepare as prepare_airflow
from b2cal.batch.crashpoints import HOLD, VARIABLE
from b2cal.cli import furnishing
from b2cal.core.clock import SystemClock
from b2cal.loop import Act, ProcessingView, Workplace
from b2cal.model import (
    Calibration,
    Database,
    Decision,
    Grade,
    Job,
    JobGroup,
    JobState,
    LocalJob,
    Outbox,
    Role,
    State,
    Submission,
    migrate,
)
from b2cal.settings import Settings
from tests.services.ports import free_ports
from tests.waiting import wait_for

BUCKET = furnishing.PROCESSING
MANAGER = loop.Actor(furnishing.MANAGER, Role.MANAGER)
PUBLISHED_WITHIN_S = 420.0

Identities = list[tuple[str, int, int, str]]
"""Constants of a tag, bit for bit: name, first run, last run, identity."""


def furnish(home: Path, simulated: Path) -> Path:
    """A home with all that the processing needs: runs, release, tags and people.

    The runs stay where they were simulated: a copy of this home knows them there.
    """
    home.mkdir()
    settings = Settings(home=home)
    migrate(settings.url)
    workplace = Workplace(settings, Database(settings.url, SystemClock()))
    furnishing.furnish(workplace, simulated)
    workplace.database.dispose()
    return home


def migrate_airflow(home: Path) -> None:
    """Make Airflow's metadata database in a home: in a copy of that home it is there already."""
    settings = Settings(home=home)
    prepare_airflow(settings, environment_of_airflow(settings, os.environ))


class SmallLoop:
    """A copy of a furnished home, without the processing at first; `up()` runs everything in it."""

    def __init__(self, home: Path, furnished: Path) -> None:
        self.home = home
        shutil.copytree(furnished, home)
        site, airflow = free_ports(2)
        self.marker = home / "crash"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("B2CAL_")},
            "B2CAL_HOME": str(home),
            "B2CAL_SITE__PORT": str(site),
            "B2CAL_AIRFLOW__PORT": str(airflow),
            "B2CAL_BATCH__SLOTS": "2",
            "B2CAL_BATCH__RETRY_DELAY_S": "2",
            "B2CAL_BATCH__BYTES_PER_JOB": str(furnishing.SMALL.bytes_per_job),
        }
        self.site = f"http://127.0.0.1:{site}"
        settings = Settings(home=home)
        self.workplace = Workplace(settings, Database(settings.url, SystemClock()))
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Activate the processing: its windows are open from now."""
        self.workplace.database.write(lambda db: furnishing.open_bucket(db, furnishing.SMALL))

    def up(self) -> None:
        """Give the command `b2cal up`."""
        with open(self.home.with_name("up.out"), "ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "b2cal", "up"], env=self.environment, stdout=output, stderr=output
            )

    def down(self) -> int:
        """End `b2cal up` as Ctrl-C does; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=60)

    def told(self) -> dict[str, dict[str, Any]]:
        """What the present `b2cal up` tells of its components, by name; nothing before it does."""
        assert self.process is not None
        try:
            told = json.loads((self.home / "run" / "up.json").read_text())
        except FileNotFoundError:
            return {}
        return {each["name"]: each for each in told["components"]} if told["pid"] == self.process.pid else {}

    def component(self, name: str) -> int:
        """Process number of a component that runs."""
        pid: int = self.told()[name]["pid"]
        return pid

    def all_run(self) -> bool:
        """Whether every component has shown that it works."""
        return {each["phase"] for each in self.told().values()} == {"running"}

    def read(self, look: Callable[[ProcessingView], object]) -> object:
        with self.workplace.database.read() as db:
            return look(ProcessingView.of(db, BUCKET))

    @property
    def state(self) -> str:
        return str(self.read(lambda view: view.processing.state.value))

    def states(self) -> dict[str, str]:
        """Calibration -> state."""
        with self.workplace.database.read() as db:
            return {name: it.state.value for name, it in ProcessingView.of(db, BUCKET).calibrations.items()}

    def decide(self) -> None:
        """What people do: sign off what asks for it."""

        def unit(db: Session) -> None:
            view = ProcessingView.of(db, BUCKET)
            for name, calibration in view.calibrations.items():
                verdict = view.attempts[name].verdict if name in view.attempts else None
                if calibration.state is State.REVIEW and verdict is not None and verdict.grade is not Grade.PASS:
                    loop.sign_off(db, calibration.id, Act(MANAGER, calibration.version, "the jump is real"))

        self.workplace.database.write(unit)

    def act(self, name: str, verb: Callable[[Session, int, Act], object], reason: str) -> None:
        """A verb of the manager, who has just looked."""

        def unit(db: Session) -> None:
            calibration = ProcessingView.of(db, BUCKET).calibration(name)
            verb(db, calibration.id, Act(MANAGER, calibration.version, reason))

        self.workplace.database.write(unit)

    def until_published(self, within_s: float = PUBLISHED_WITHIN_S) -> None:
        """Wait for the end of the loop, deciding what asks for a person."""

        def published() -> bool:
            self.decide()
            failed = self.read(lambda view: [c.problem for c in view.calibrations.values() if c.state is State.FAILED])
            assert not failed, failed
            return self.state == "published"

        wait_for(published, "the publication", within_s)

    def identities(self, tag: str = furnishing.TAG) -> Identities:
        """What the tag holds."""
        return constants_of(self.workplace.database, tag)

    def history(self) -> list[tuple[str, ...]]:
        """Every decision, with who made it, and every message to people: what must be neither lost nor doubled."""
        with self.workplace.database.read() as db:
            names = {it.id: it.name for it in db.scalars(select(Calibration))}
            decisions = [
                (names.get(it.calibration_id or 0, ""), it.verb, it.actor) for it in db.scalars(select(Decision))
            ]
            # Whether somebody is reminded depends on when the window ends.
            messages = [
                (it.body["calibration"], "message", it.body["to"], it.body["text"])
                for it in db.scalars(select(Outbox).where(Outbox.kind == "message", Outbox.key.not_like("reminder:%")))
            ]
        return sorted([*decisions, *messages])

    def doubled(self) -> list[str]:
        """Anything that exists more often than it should."""
        with self.workplace.database.read() as db:
            executed_twice = db.execute(
                select(LocalJob.token, LocalJob.number, func.count())
                .where(LocalJob.state != JobState.CANCELLED)
                .group_by(LocalJob.token, LocalJob.number)
                .having(func.count() > 1)
            ).all()
            done_twice = db.execute(
                select(JobGroup.attempt_id, JobGroup.stage, JobGroup.iteration, Job.number, func.count())
                .join(Job, Job.group_id == JobGroup.id)
                .where(Job.state == JobState.DONE)
                .group_by(JobGroup.attempt_id, JobGroup.stage, JobGroup.iteration, Job.number)
                .having(func.count() > 1)
            ).all()
            submissions = db.execute(
                select(Submission.calibration_id, func.count())
                .group_by(Submission.calibration_id)
                .having(func.count() > 1)
            ).all()
        return [str(row) for rows in (executed_twice, done_twice, submissions) for row in rows]

    def processes(self) -> list[psutil.Process]:
        """All living processes that work in this home."""
        return processes_of(self.home)

    def watch_for(self, moment: str) -> None:
        """Have the next `up()` look for the named moment; nothing happens at it yet."""
        self.environment[VARIABLE] = f"{moment}:{self.marker}"

    def arm(self) -> None:
        """From now on the first process that comes to the moment waits there."""
        self.marker.write_text(HOLD)

    @contextmanager
    def held(self) -> Iterator[None]:
        """The process that came to the moment waits there while the context is open."""
        wait_for(self.marker.with_name("crash.reached").exists, "the moment", 180)
        try:
            yield
        finally:
            self.marker.unlink()

    def end(self) -> None:
        """End everything that a test may have left, by process number."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=60)
        for process in self.processes():
            process.kill()
        self.workplace.database.dispose()


def constants_of(database: Database, tag: str) -> Identities:
    """What a tag holds."""
    with database.read() as db:
        entries = conditions.tag_entries(db, conditions.tag_named(db, tag).id)
    return [(entry.name, entry.first, entry.last, entry.identity) for entry in entries]


def processes_of(home: Path) -> list[psutil.Process]:
    """All living processes that work in a home. A batch job has a clean environment: it is known by its folder."""
    mine = []
    for process in psutil.process_iter():
        try:
            works_here = Path(process.cwd()).is_relative_to(home)
            if works_here or process.environ().get("B2CAL_HOME") == str(home):
                mine.append(process)
        except psutil.Error:
            continue
    return mine
