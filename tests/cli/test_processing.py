import json
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.cli.desk import Desk
from b2cal.cli.main import group
from b2cal.cli.picture import overview
from b2cal.cli.processing import _tell_changes
from b2cal.model import Job, ProcessingKind, ProcessingState, PublishPolicy
from tests.loop.test_publication import finish_all
from tests.loop.world import World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A processing whose first calibration is signed off."""
    monkeypatch.setenv("B2CAL_HOME", str(tmp_path))
    world = World(tmp_path)
    world.process()
    world.do("submit", "A")
    world.finish("A", 1)
    return world


def shown(*options: str, name: str = "bucket1") -> str:
    ended = CliRunner().invoke(group, [*options, "processing", "show", name])
    assert ended.exit_code == 0, ended.output
    return ended.output


def test_what_publishing_will_change_is_told_in_sentences_and_to_programs_as_data(world: World) -> None:
    sentence = "PA: the open IoV is closed with e26r99; created: e26r100 - open."
    assert sentence in " ".join(shown().split())
    facts = json.loads(shown("--json"))
    (change,) = facts["publishing"]
    assert change["says"] == sentence
    assert change["closed"]["last"] == "e26r99"
    assert [created["first"] for created in change["created"]] == ["e26r100"]
    assert facts["obstacle"]


def test_what_is_published_is_what_was_listed_or_nothing(world: World) -> None:
    """Under the mark of an earlier list nothing is published."""
    world.process("bucket2", first=105, last=106, kind=ProcessingKind.REPROCESSING, publish=PublishPolicy.MANUAL)
    earlier = json.loads(shown("--json", name="bucket2"))["preview"]
    finish_all(world, 1, "bucket2")
    loop.advance_processing(world.workplace, "bucket2")
    (mark,) = re.findall(r"Mark of these changes: (\w+)", shown(name="bucket2"))
    publish = ["--as", "manager", "processing", "publish", "bucket2", "--preview"]
    refused = CliRunner().invoke(group, [*publish, earlier])
    assert isinstance(refused.exception, loop.Conflict)
    assert world.processing("bucket2").state is ProcessingState.COMPLETE
    assert CliRunner().invoke(group, [*publish, mark]).exit_code == 0
    assert world.processing("bucket2").state is ProcessingState.PUBLISHED
    assert world.decisions()[-1].seen == mark


def test_who_publishes_without_a_mark_is_not_said_to_have_seen_anything(world: World) -> None:
    world.process("bucket2", first=105, last=106, kind=ProcessingKind.REPROCESSING, publish=PublishPolicy.MANUAL)
    finish_all(world, 1, "bucket2")
    loop.advance_processing(world.workplace, "bucket2")
    assert CliRunner().invoke(group, ["--as", "manager", "processing", "publish", "bucket2"]).exit_code == 0
    assert [it.seen for it in world.decisions() if it.verb == "publish"] == [""]


def test_states_are_told_in_the_same_words_by_every_command_and_by_their_names_to_programs(world: World) -> None:
    for command in (("processing", "show", "bucket1"), ("why", "bucket1", "A")):
        assert "signed off" in CliRunner().invoke(group, command).output
        assert '"signed_off"' in CliRunner().invoke(group, ["--json", *command]).output


def test_what_was_not_finished_when_its_processing_was_cancelled_is_cancelled_too(world: World) -> None:
    assert "cancelled" not in shown()
    world.do_to_processing(loop.ProcessingVerb.CANCEL)
    assert shown().count("⊘ cancelled") == 3
    assert shown().count("✓ signed off") == 1
    told = CliRunner().invoke(group, ["why", "bucket1", "B"]).output
    assert "open" not in told
    assert {row["state"] for row in json.loads(shown("--json"))["calibrations"]} == {"signed_off", "open"}


def test_a_job_is_named_by_iteration_and_number_from_1_on_for_people(world: World) -> None:
    def unit(db: Session) -> None:
        job = db.scalars(select(Job)).one()
        job.group.iteration, job.number = 1, 4

    world.database.write(unit)
    jobs = ("jobs", "bucket1", "A")
    told = CliRunner().invoke(group, jobs, env={"COLUMNS": "200"}).output
    assert "collect, iteration 2, job 5" in told
    assert [
        (row["iteration"], row["job"]) for row in json.loads(CliRunner().invoke(group, ["--json", *jobs]).output)
    ] == [(1, 4)]


def created(name: str, runs: str, *options: str, before: Sequence[str] = ()) -> str:
    command = ["--as", "manager", *before, "processing", "create", name, "--runs", runs]
    ended = CliRunner().invoke(group, [*command, "--release", "toy", "--tag", "main", *options])
    assert ended.exit_code == 0, ended.output
    return ended.output


def test_experts_whom_only_the_release_names_are_told_to_the_manager(world: World) -> None:
    text = " ".join(created("bucket2", "e26r105-e26r106").split())
    assert "Experts who cannot log in yet: tracking; what they should decide is put to manager." in text
    CliRunner().invoke(group, ["person", "add", "tracking", "--password", "secret"])
    assert json.loads(created("bucket3", "e26r107-e26r108", before=["--json"]))["experts_without_password"] == []
    assert "cannot log in" not in created("bucket4", "e26r109-e26r109")


@pytest.mark.parametrize("options", [["--planned"], []], ids=["planned", "begun"])
def test_a_manager_is_told_at_once_that_the_tag_has_constants_for_these_runs(world: World, options: list[str]) -> None:
    world.curated_tag("curated", "A")
    told = created("bucket2", "e26r100-e26r104", *options, "--tag", "curated")
    assert "curated has constants of PA for these runs or later ones already" in " ".join(told.split())
    facts = json.loads(created("bucket3", "e26r105-e26r106", *options, before=["--json"]))
    assert facts["warning"] == ""


def managed(verb: str, *words: str) -> Result:
    return CliRunner().invoke(group, ["--as", "manager", "processing", verb, "bucket2", *words])


def test_what_is_only_planned_waits_until_a_manager_activates_it(world: World) -> None:
    told = " ".join(created("bucket2", "e26r105-e26r106", "--planned").split())
    assert told == "✓ bucket2 is planned. `b2cal processing activate bucket2` opens its windows."
    assert world.processing("bucket2").state is ProcessingState.PLANNED
    assert json.loads(shown("--json", name="bucket2"))["calibrations"] == []
    loop.advance_processing(world.workplace, "bucket2")
    assert world.processing("bucket2").state is ProcessingState.PLANNED
    world.tick(3600)
    activated = managed("activate")
    assert activated.exit_code == 0, activated.output
    said = " ".join(activated.output.split())
    assert said.startswith("✓ bucket2 is active: the windows of all calibrations are open until ")
    assert "Experts who cannot log in yet: tracking; what they should decide is put to manager." in said
    assert world.state("A", "bucket2") == "open"
    assert isinstance(managed("activate").exception, loop.Conflict)


def test_with_too_little_room_the_numbers_are_told_before_and_activating_needs_a_reason(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    created("bucket2", "e26r105-e26r106", "--planned")
    assert "needed for constants" in shown(name="bucket2")
    monkeypatch.setenv("B2CAL_DATA__PAYLOAD_BYTES", str(10**18))
    (share,) = json.loads(shown("--json", name="bucket2"))["room"]
    assert share["free"] < share["needed"]
    assert "There is too little room." in str(managed("activate").exception)
    begun = ["processing", "create", "bucket3", "--runs", "e26r107", "--release", "toy", "--tag", "main"]
    assert "too little room" in str(CliRunner().invoke(group, ["--as", "manager", *begun]).exception)
    assert managed("activate", "-m", "another disk comes").exit_code == 0
    assert world.processing("bucket2").state is ProcessingState.ACTIVE


def test_only_a_manager_activates(world: World) -> None:
    created("bucket2", "e26r105-e26r106", "--planned")
    refused = CliRunner().invoke(group, ["--as", "tracking", "processing", "activate", "bucket2"])
    assert isinstance(refused.exception, loop.NotAllowed)
    assert world.processing("bucket2").state is ProcessingState.PLANNED


def test_what_is_planned_takes_its_runs_and_can_be_cancelled(world: World) -> None:
    created("bucket2", "e26r105-e26r106", "--planned")
    other = ["processing", "create", "bucket3", "--runs", "e26r106-e26r107", "--release", "toy", "--tag", "main"]
    assert isinstance(CliRunner().invoke(group, ["--as", "manager", *other]).exception, loop.Conflict)
    assert managed("cancel", "-m", "wrong runs").exit_code == 0
    assert world.processing("bucket2").state is ProcessingState.CANCELLED
    assert CliRunner().invoke(group, ["--as", "manager", *other]).exit_code == 0
    assert isinstance(managed("activate").exception, loop.Conflict)


def test_of_a_complete_processing_why_says_what_it_waits_for_as_a_whole(world: World) -> None:
    world.process("bucket2", first=105, last=106, kind=ProcessingKind.REPROCESSING, publish=PublishPolicy.MANUAL)
    assert "publishing waits" not in CliRunner().invoke(group, ["why", "bucket2"]).output
    finish_all(world, 1, "bucket2")
    loop.advance_processing(world.workplace, "bucket2")
    told = json.loads(CliRunner().invoke(group, ["--json", "why", "bucket2"]).output)
    assert told[-1] == {
        "calibration": None,
        "state": "complete",
        "why": "All calibrations are finished; publishing waits for manager.",
    }
    assert len(json.loads(CliRunner().invoke(group, ["--json", "why", "bucket2", "A"]).output)) == 1


@pytest.mark.processes
def test_a_program_that_watches_reads_one_line_for_each_change(world: World) -> None:
    command = [sys.executable, "-m", "b2cal", "--json", "processing", "watch", "bucket1", "--interval-s", "0.2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        lines = [json.loads(watching.stdout.readline())]
        world.do("veto", "B")
        lines.append(json.loads(watching.stdout.readline()))
        ended = CliRunner().invoke(group, ["--as", "manager", "processing", "cancel", "bucket1", "-m", "enough"])
        assert ended.exit_code == 0, ended.output
        lines += [json.loads(line) for line in watching.stdout]
    assert watching.returncode == 0
    states = [{row["name"]: row["state"] for row in line["calibrations"]}["B"] for line in lines]
    assert [line["state"] for line in lines] == ["active", "active", "cancelled"]
    assert states == ["open", "vetoed", "vetoed"]
    assert lines[0].keys() == json.loads(shown("--json")).keys()


def test_that_only_time_passes_is_no_change_but_another_reason_is(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = Desk("manager", as_json=True)
    facts = overview(desk, "bucket1")

    def later(why: str, **others: object) -> dict[str, object]:
        at = facts["at"] + timedelta(seconds=3)
        return facts | {"at": at, "calibrations": [row | {"why": why} for row in facts["calibrations"]]} | others

    lefts = [timedelta(days=3), timedelta(hours=30), timedelta(hours=1), timedelta(minutes=59), timedelta(seconds=4)]
    running_down = [f"Submitted with the defaults in {loop.spoken(left)} unless alice changes it." for left in lefts]
    reasons = [
        "The window is over: it is submitted now.",
        "Waits for A which is running.",
        "Waits for B which is running.",
    ]
    _tell_changes(desk, [*map(later, running_down), *map(later, reasons), later(reasons[-1], held=True)])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = [(line["calibrations"][0]["why"], line["held"]) for line in lines]
    assert told == [(why, False) for why in [running_down[0], *reasons]] + [(reasons[-1], True)]
