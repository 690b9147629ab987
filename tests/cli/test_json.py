"""What people read in tables programs read as JSON: one value, with the same facts."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.cli.main import group
from b2cal.core.checksums import digest
from b2cal.model import GroupState, JobGroup, JobState, Outbox
from tests import factories
from tests.loop.world import MANAGER, World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A is signed off, B runs, a message waits, C is left out of what begins later."""
    world = World(tmp_path_factory.mktemp("world"))
    world.process()
    world.do("submit", "A")
    world.finish("A", 1)
    world.do("submit", "B")
    world.advance("B")
    world.database.write(lambda db: loop.begin_standing_veto(db, "C", MANAGER, "until summer"))
    world.database.write(lambda db: db.execute(update(Outbox).values(tries=2, error="OSError: no room")))
    yield world
    world.database.dispose()


def told(world: World, *words: str) -> str:
    environment = {"B2CAL_HOME": str(world.workplace.settings.home), "COLUMNS": "200"}
    ended = CliRunner().invoke(group, ["--as", "manager", *words], env=environment)
    assert ended.exit_code == 0, ended.output
    return ended.output


@pytest.mark.parametrize(
    ("command", "fact"),
    [
        ("processing list", {"name": "bucket1", "kind": "prompt", "state": "active", "manager": "manager"}),
        ("why bucket1 B", {"calibration": "B", "state": "running", "why": "Runs: collect, 0 of 1 jobs done."}),
        ("jobs bucket1 B", {"attempt": 1, "stage": "collect", "try": 1, "job": 0, "state": "queued"}),
        ("tag show", {"name": "main", "state": "open", "iovs": 4}),
        ("tag show main", {"payload": "PA", "iov": "e0r0 - open", "identity": digest(["A", "old"])}),
        ("person list", {"username": "manager", "role": "manager"}),
        ("vetoes list", {"calibration": "C", "reason": "until summer"}),
        ("outbox list", {"kind": "graph", "tries": 2, "error": "OSError: no room"}),
    ],
)
def test_a_list_is_an_array_of_objects_and_a_table_of_the_same(
    world: World, command: str, fact: dict[str, object]
) -> None:
    rows = json.loads(told(world, "--json", *command.split()))
    assert any(fact.items() <= row.items() for row in rows), rows
    table = told(world, *command.split())
    with pytest.raises(json.JSONDecodeError):
        json.loads(table)
    for value in fact.values():
        assert str(value)[:12] in table, table


def test_a_job_that_is_tried_again_counts_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.process()
    world.do("submit", "A")
    world.advance("A")

    def fails_then_succeeds(db: Session) -> None:
        first = db.scalars(select(JobGroup)).one()
        first.state, first.jobs[0].state = GroupState.FAILED, JobState.FAILED
        again = factories.group(db, first.attempt, round=1, state=GroupState.DONE)
        again.jobs[0].state = JobState.DONE

    world.database.write(fails_then_succeeds)
    shown = json.loads(told(world, "--json", "processing", "show", "bucket1"))
    a = next(it for it in shown["calibrations"] if it["name"] == "A")
    assert (a["jobs_done"], a["jobs"]) == (1, 1)
    world.database.dispose()
