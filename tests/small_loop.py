"""The small profile of the demo as tests drive it: a real `b2cal up` in a process of its own, watched from outside."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from b2cal import conditions, loop
from b2cal.batch.crashpoints import HOLD, VARIABLE
from b2cal.cli import demo
from b2cal.core.clock import SystemClock
from b2cal.loop import Act, ProcessingView, Workplace
from b2cal.model import Database, Decision, Grade, Job, JobGroup, JobState, Role, State, Submission, migrate
from b2cal.settings import Settings

BUCKET = demo.PROCESSING
MANAGER = loop.Actor(demo.MANAGER, Role.MANAGER)
PUBLISHED_WITHIN_S = 420.0


class Stuck(AssertionError):
    """What a test waits for does not come."""


def wait_for(what: str, condition: Callable[[], object], within_s: float) -> None:
    """Look until something is so.

    Raises:
        Stuck: it did not come in time.
    """
    give_up_at = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > give_up_at:
            raise Stuck(f"{what} did not come within {within_s:.0f} s")
        time.sleep(0.1)


class SmallLoop:
    """One home with the small demo's data, release, tags and people; `up()` runs everything in it."""

    def __init__(self, home: Path, simulated: Path) -> None:
        self.home = home
        home.mkdir()
        shutil.copytree(simulated, home / "data")
        site, airflow = free_ports(2)
        self.marker = home / "crash"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("B2CAL_")},
            "B2CAL_HOME": str(home),
            "B2CAL_SITE__PORT": str(site),
            "B2CAL_AIRFLOW__PORT": str(airflow),
            "B2CAL_BATCH__RETRY_DELAY_S": "2",
            "B2CAL_BATCH__BYTES_PER_JOB": str(demo.SMALL.bytes_per_job),
        }
        self.site = f"http://127.0.0.1:{site}"
        settings = Settings(home=home)
        migrate(settings.url)
        self.workplace = Workplace(settings, Database(settings.url, SystemClock()))
        self.process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Activate the processing: its windows are open from now."""
        demo.prepare(self.workplace, demo.SMALL, seed=1)

    def up(self) -> None:
        """Give the command `b2cal up`."""
        with open(self.home / "up.out", "ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "b2cal", "up"], env=self.environment, stdout=output, stderr=output
            )

    def down(self) -> int:
        """End `b2cal up` as Ctrl-C does; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=60)

    def component(self, name: str) -> int | None:
        """Process number of a component, as `b2cal up` tells it."""
        state = json.loads((self.home / "run" / "up.json").read_text())
        pid: int | None = next(each["pid"] for each in state["components"] if each["name"] == name)
        return pid

    def read(self, look: Callable[[ProcessingView], object]) -> object:
        with self.workplace.database.read() as db:
            return look(ProcessingView.of(db, BUCKET))

    @property
    def state(self) -> str:
        return str(self.read(lambda view: view.processing.state.value))

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

        wait_for("the publication", published, within_s)

    def identities(self) -> list[tuple[str, int, int, str]]:
        """What the tag holds, bit for bit."""
        with self.workplace.database.read() as db:
            entries = conditions.tag_entries(db, conditions.tag_named(db, demo.TAG).id)
        return [(entry.name, entry.first, entry.last, entry.identity) for entry in entries]

    def doubled(self) -> list[str]:
        """Anything that exists more often than it should."""
        with self.workplace.database.read() as db:
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
            decisions = db.execute(
                select(Decision.calibration_id, Decision.verb, func.count())
                .group_by(Decision.calibration_id, Decision.verb)
                .having(func.count() > 1)
            ).all()
        return [str(row) for rows in (done_twice, submissions, decisions) for row in rows]

    def processes(self) -> list[psutil.Process]:
        """All living processes that work in this home."""
        mine = []
        for process in psutil.process_iter():
            try:
                # A batch job has a clean environment; it is known by the folder in which it works.
                works_here = Path(process.cwd()).is_relative_to(self.home)
                if works_here or process.environ().get("B2CAL_HOME") == str(self.home):
                    mine.append(process)
            except psutil.Error:
                continue
        return mine

    @contextmanager
    def held_at(self, moment: str) -> Iterator[None]:
        """The agent waits at a named moment while the context is open. To be named before `up()`."""
        wait_for(moment, self.marker.with_name("crash.reached").exists, 180)
        try:
            yield
        finally:
            self.marker.unlink()

    def hold_at(self, moment: str) -> None:
        """Have the agent wait when it comes to a named moment."""
        self.marker.write_text(HOLD)
        self.environment[VARIABLE] = f"{moment}:{self.marker}"

    def end(self) -> None:
        """End everything that a test may have left, by process number."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=60)
        for process in self.processes():
            process.kill()
        self.workplace.database.dispose()


def free_ports(number: int) -> list[int]:
    """Ports of the loopback that nobody has."""
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
