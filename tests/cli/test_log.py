"""`b2cal log`: what a batch job prints; that of one that runs elsewhere is brought by the agent."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import delete, select

from b2cal.batch import SO_FAR
from b2cal.cli.log import NotBrought
from b2cal.cli.main import group
from b2cal.loop import Conflict, NotFound, log_brought, wanted_logs
from b2cal.model import Job, JobState, Lease, Processing
from tests.loop.world import World

FOLDER = "1/collect-0/r0e1/0/1"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A calibration whose one job is queued, while b2cal runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("B2CAL_HOME", str(tmp_path))
    world = World(tmp_path)
    world.process()
    world.do("submit", "A")
    world.advance("A")
    (tmp_path / "attempts" / FOLDER).mkdir(parents=True)
    return world


def run(*words: str) -> Result:
    return CliRunner().invoke(group, ["log", "1", *words])


def runs(world: World, state: JobState = JobState.RUNNING, centre: str = "local") -> None:
    def unit(db) -> None:
        job = db.scalars(select(Job)).one()
        job.state, job.folder = state, FOLDER
        db.scalars(select(Processing)).one().centre = centre

    world.database.write(unit)


@pytest.fixture
def pool(world: World, tmp_path: Path) -> World:
    """The same on HTCondor, where it runs."""
    (tmp_path / "b2cal.toml").write_text('[centres.bnl]\nbackend = "htcondor"\n')
    runs(world, centre="bnl")
    return world


@contextmanager
def agent(world: World, does: Callable[[], None]) -> Iterator[None]:
    """One that does something as soon as somebody has asked, and says that it has."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.01):
            with world.database.read() as db:
                wanted = wanted_logs(db)
            for job in wanted:
                does()
                world.database.write(lambda db, job=job: log_brought(db, job.id))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.DONE])
def test_the_end_of_a_log_that_lies_here_is_shown_at_once(world: World, tmp_path: Path, state: JobState) -> None:
    runs(world, state)
    folder = tmp_path / "attempts" / FOLDER
    (folder / "stderr").write_text("one\ntwo\nthree\n")
    (folder / "stdout").write_text("[a, b] \x1b[31mred\n")
    assert run("--lines", "2").stdout == "two\nthree\n"
    assert "the last 2 of 3 lines" in run("--lines", "2").stderr
    assert run("--stream", "stdout").stdout == "[a, b] red\n"
    told = json.loads(CliRunner().invoke(group, ["--json", "log", "1", "--lines", "1"]).output)
    assert (told["what"], told["state"], told["lines"], told["total_lines"]) == (
        "A, collect, job 1", state.value, ["three"], 3,
    )  # fmt: skip


def test_what_is_not_there_is_refused_with_the_reason(world: World) -> None:
    assert isinstance(CliRunner().invoke(group, ["log", "77"]).exception, NotFound)
    assert isinstance(run().exception, Conflict)
    assert "has not started yet" in str(run().exception)
    runs(world, JobState.DONE)
    assert "has printed nothing into stderr" in run().stderr


def test_the_agent_is_asked_for_what_a_job_elsewhere_prints_and_waited_for(pool: World, tmp_path: Path) -> None:
    with agent(pool, lambda: (tmp_path / "attempts" / FOLDER / SO_FAR).write_text("so far\n")):
        assert run().stdout == "so far\n"


def test_when_the_job_ends_meanwhile_its_whole_log_is_shown(pool: World, tmp_path: Path) -> None:
    def ends() -> None:
        (tmp_path / "attempts" / FOLDER / "stderr").write_text("all of it\n")
        runs(pool, JobState.DONE, "bnl")

    with agent(pool, ends):
        assert run().stdout == "all of it\n"


def test_a_machine_that_does_not_answer_is_said(pool: World) -> None:
    with agent(pool, lambda: None):
        refused = run().exception
    assert isinstance(refused, NotBrought)
    assert "its machine did not answer" in str(refused)


def test_an_agent_that_is_busy_is_waited_for_no_longer_than_is_said(pool: World) -> None:
    refused = run("--wait-s", "0").exception
    assert isinstance(refused, NotBrought)
    assert "has not brought" in str(refused)
    assert "again in a moment" in refused.hint


def test_where_no_agent_runs_nobody_is_asked(pool: World) -> None:
    pool.database.write(lambda db: db.execute(delete(Lease)))
    refused = run().exception
    assert isinstance(refused, NotBrought)
    assert "b2cal does not run here" in str(refused)
    assert "`b2cal up`" in refused.hint
    with pool.database.read() as db:
        assert wanted_logs(db) == []
