"""`b2cal centre status`: does each centre answer, what has it to do, what waits there longest and why?"""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from b2cal.agent import incidents
from b2cal.cli.main import group
from b2cal.model import (
    Attempt,
    GroupState,
    Incident,
    IncidentKind,
    Job,
    JobGroup,
    JobState,
    Lease,
    Processing,
    ProcessingState,
    now,
)
from tests import factories
from tests.loop.world import World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A calibration whose one job is wanted, while b2cal runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("B2CAL_HOME", str(tmp_path))
    world = World(tmp_path)
    world.process()
    world.do("submit", "A")
    world.advance("A")
    return world


def told(exit_code: int = 0) -> str:
    ended = CliRunner().invoke(group, ["centre", "status"])
    assert ended.exit_code == exit_code, ended.output
    return ended.output


def status(exit_code: int = 0) -> dict[str, dict[str, Any]]:
    ended = CliRunner().invoke(group, ["--json", "centre", "status"])
    assert ended.exit_code == exit_code, ended.output
    return {it["centre"]: it for it in json.loads(ended.output)}


def test_this_machine_answers_and_its_jobs_are_counted_by_state(world: World) -> None:
    def others(db: Session) -> None:
        attempt = db.scalars(select(Attempt)).one()
        group = factories.group(db, attempt, 0, round=1, state=GroupState.SUBMITTED)
        for number, state in enumerate([JobState.RUNNING, JobState.RUNNING, JobState.DONE]):
            factories.job(db, group, number, state=state)
        overtaken = factories.attempt(db, factories.calibration(db, attempt.calibration.processing, "Old"))
        factories.group(db, overtaken, jobs=7)
        overtaken.live = None
        published = factories.processing(db, state=ProcessingState.PUBLISHED)
        factories.group(db, factories.attempt(db, factories.calibration(db, published)), jobs=5)

    world.database.write(others)
    it = status()["local"]
    assert (it["kind"], it["answers"]) == ("local", True)
    assert it["jobs"] == {"queued": 1, "running": 2, "done": 1, "failed": 0, "held": 0, "cancelled": 0}
    assert "✓ local (this machine): answers" in told()
    assert "jobs: 2 running, 1 queued, 1 done" in told()


def test_the_oldest_group_that_waits_is_named_with_its_age(world: World) -> None:
    def younger(db: Session) -> None:
        it = factories.calibration(db, db.scalars(select(Processing)).one(), "Later")
        factories.group(db, factories.attempt(db, it), jobs=3, wanted_at=now(db) + timedelta(minutes=1))

    world.database.write(younger)
    oldest = status()["local"]["oldest_waiting"]
    with world.database.read() as db:
        wanted_at = db.scalars(select(JobGroup.wanted_at).order_by(JobGroup.id)).first()
    assert oldest == {
        "processing": "bucket1",
        "calibration": "A",
        "stage": "collect",
        "n_jobs": 1,
        "since": wanted_at.isoformat(),
        "why": "It is submitted within seconds.",
    }
    assert "waits longest: 1 job of bucket1, A, collect, since " in told()


def _held(db: Session) -> None:
    db.scalars(select(Processing)).one().held = True


def _no_agent(db: Session) -> None:
    db.execute(delete(Lease))


def _again_later(db: Session) -> None:
    group = db.scalars(select(JobGroup)).one()
    group.round, group.not_before = 1, datetime(2099, 1, 1, tzinfo=UTC)


def _refused(db: Session) -> None:
    db.scalars(select(Job)).one().error = "Not submitted yet, it is tried again: No room."


def _handed_over(db: Session) -> None:
    group = db.scalars(select(JobGroup)).one()
    group.state, group.submitted_at = GroupState.SUBMITTED, now(db)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_held, "bucket1 is held: nothing new starts."),
        (_no_agent, "b2cal does not run: nothing is submitted."),
        (_again_later, "Its jobs failed, and are tried again in "),
        (_refused, "Not submitted yet, it is tried again: No room."),
        (_handed_over, "Its batch system has it for "),
    ],
)
def test_why_it_waits_is_said(world: World, change: Callable[[Session], None], why: str) -> None:
    world.database.write(change)
    assert status()["local"]["oldest_waiting"]["why"].startswith(why)
    assert why in told()


def test_what_its_batch_system_says_of_jobs_that_it_holds_is_said(world: World) -> None:
    def held(db: Session) -> None:
        _handed_over(db)
        db.scalars(select(Job)).one().pending_reason = "Held by HTCondor, code 1/0: by alice"

    world.database.write(held)
    why = status()["local"]["oldest_waiting"]["why"]
    assert why.endswith(" and has started no job of it; it says of 1: Held by HTCondor, code 1/0: by alice.")


def test_a_group_of_which_a_job_has_started_does_not_wait(world: World) -> None:
    def starts(db: Session) -> None:
        _handed_over(db)
        db.scalars(select(Job)).one().state = JobState.RUNNING

    world.database.write(starts)
    assert status()["local"]["oldest_waiting"] is None
    assert "waits longest" not in told()


def test_a_centre_that_does_not_answer_says_why_and_what_to_do(world: World, tmp_path: Path) -> None:
    (tmp_path / "b2cal.toml").write_text('[centres.kekcc]\nbackend = "lsf"\npath = "/nowhere"\n')
    it = status()["kekcc"]
    assert (it["kind"], it["answers"]) == ("lsf", False)
    assert "bjobs cannot be called" in it["says"]
    assert "✗ kekcc (LSF): bjobs cannot be called" in told()
    assert it["do"] in told()


def test_a_centre_that_is_not_described_any_more_is_named(world: World) -> None:
    world.database.write(lambda db: setattr(db.scalars(select(Processing)).one(), "centre", "bnl"))
    it = status(exit_code=1)["bnl"]
    assert (it["kind"], it["answers"], it["jobs"]["queued"]) == ("unknown", False, 1)
    assert "✗ bnl (not described): There is no centre 'bnl'; known: local." in told(exit_code=1)
    assert "[centres.bnl]" in told(exit_code=1)


@pytest.mark.parametrize(("chosen", "exit_code"), [("kekcc", 1), ("local", 0)])
def test_only_a_centre_that_has_work_and_does_not_answer_ends_with_1(
    world: World, tmp_path: Path, chosen: str, exit_code: int
) -> None:
    (tmp_path / "b2cal.toml").write_text('[centres.kekcc]\nbackend = "lsf"\npath = "/nowhere"\n')
    world.database.write(lambda db: setattr(db.scalars(select(Processing)).one(), "centre", chosen))
    assert not status(exit_code)["kekcc"]["answers"]
    world.database.write(lambda db: setattr(db.scalars(select(Processing)).one(), "state", ProcessingState.PUBLISHED))
    assert not status()["kekcc"]["answers"]


@pytest.mark.allow_hosts(["127.0.0.1"])  # doctor looks whether ports are free
@pytest.mark.parametrize("command", ["centre status", "doctor"])
def test_a_centre_whose_client_cannot_be_loaded_or_whose_folder_cannot_be_used_says_so_and_others_go_on(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    described = ['[centres.bnl]\nbackend = "htcondor"\n', '[centres.kekcc]\nbackend = "lsf"\npath = "/nowhere"\n']
    (tmp_path / "b2cal.toml").write_text("".join(described))
    (tmp_path / "centres").write_text("a file where a folder should be")
    for name in ("htcondor2", "b2cal.batch.condor"):  # as if it were not installed
        monkeypatch.setitem(sys.modules, name, None)
    said = CliRunner().invoke(group, command.split()).output
    assert "The client of its batch system cannot be loaded" in said
    assert "What b2cal keeps about it cannot be used: Not a directory" in said
    assert "Traceback" not in said
    assert "local (this machine): answers" in said or "✓ centre local" in said


def test_an_incident_is_told_with_its_probes_until_it_is_over(world: World) -> None:
    def begin(db: Session) -> None:
        group = db.scalars(select(JobGroup)).one()
        incidents.begin(db, IncidentKind.HOST, "node7", "node7 has failed 5 jobs", group.jobs[0], now(db), 1800.0)

    world.database.write(begin)
    (incident,) = status()["local"]["incidents"]
    assert (incident["kind"], incident["about"], incident["probes"]) == ("host", "node7", 0)
    assert "! node7 has failed 5 jobs. The first probe goes at" in " ".join(told().split())

    def change(**columns: Any) -> None:
        world.database.write(lambda db: db.execute(update(Incident).values(columns)))

    change(probes=2)
    assert "node7 has failed 5 jobs. 2 in vain so far; the next probe goes at" in " ".join(told().split())
    change(probes=3, probe_token="under-way")
    assert "node7 has failed 5 jobs. Probe 3 is under way." in " ".join(told().split())
    change(live=None)
    assert status()["local"]["incidents"] == []
