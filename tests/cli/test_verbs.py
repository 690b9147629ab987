"""Each verb has its command, and the command does it to the right calibration."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from b2cal import loop
from b2cal.cli.main import group
from b2cal.loop import Act
from b2cal.model import Role
from tests import factories
from tests.loop.everywhere import in_every_state
from tests.loop.world import MANAGER, World

COMMANDS = (
    # command      calibration   more                           verb          state afterwards
    ("submit",     "open",       "--set events=11",             "submit",     "submitted"),
    ("go-on",      "submitted",  "",                            "go_on",      "submitted"),
    ("withdraw",   "submitted",  "",                            "withdraw",   "open"),
    ("extend",     "submitted",  "2",                           "extend",     "open"),
    ("reassign",   "submitted",  "second",                      "reassign",   "open"),
    ("restart",    "running",    "",                            "restart",    "submitted"),
    ("veto",       "validating", "--fallback curated",          "veto",       "vetoed"),
    ("sign-off",   "review",     "",                            "sign_off",   "signed_off"),
    ("keep",       "signed_off", "",                            "keep",       "signed_off"),
    ("retry-jobs", "failed",     "",                            "retry_jobs", "running"),
    ("cancel-jobs", "failed",    "",                            "cancel_jobs", "failed"),
    ("reject",     "failed",     "",                            "reject",     "open"),
    ("lift",       "vetoed",     "",                            "lift",       "open"),
)  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = in_every_state(tmp_path_factory.mktemp("verbs"), window_s=1e9)  # commands have the clock of the machine
    world.curated_tag("curated", "validating")
    yield world
    world.database.dispose()


def answer(world: World, *words: str) -> dict[str, object]:
    home = {"B2CAL_HOME": str(world.workplace.settings.home)}
    ended = CliRunner().invoke(group, ["--as", "manager", "--json", *words], env=home)
    assert ended.exit_code == 0, ended.output
    answer: dict[str, object] = json.loads(ended.output)
    return answer


def test_each_command_is_one_verb_of_the_person_with_the_reason(world: World) -> None:
    for command, calibration, more, verb, state in COMMANDS:
        told = answer(world, "calibration", command, "bucket1", calibration, *more.split(), "-m", f"why {verb}")
        assert (told["processing"], told["calibration"]) == ("bucket1", calibration)
        last = world.decisions()[-1]
        assert (last.verb, last.actor, last.reason) == (verb, "manager", f"why {verb}")
        assert (last.to_state, world.state(calibration)) == (state, state)
    with world.database.read() as db:
        view = world.view(db)
        assert view.calibration("open").submission.config == {"events": 11}
        assert view.calibration("submitted").expert == "second"
        assert view.calibration("validating").fallback_tag.name == "curated"


def test_every_verb_for_people_has_its_command(world: World) -> None:
    on_pages = {loop.Verb.SELECT}
    elsewhere = {"replace", "name_deputy"}  # tests/cli/test_calibration.py
    people = {rule.verb for rule in loop.RULES if rule.who - {Role.LOOP}}
    assert {verb.value for verb in people - on_pages} - elsewhere == {verb for *_, verb, _ in COMMANDS}


@pytest.mark.parametrize(
    ("words", "verb", "state", "held"),
    [
        (("hold", "bucket1", "-m", "power cut"), "hold", "active", True),
        (("release", "bucket1"), "release", "active", False),
        (("cancel", "bucket1", "-m", "wrong runs"), "cancel", "cancelled", False),
    ],
)
def test_a_processing_is_held_released_and_cancelled(
    tmp_path: Path, words: tuple[str, ...], verb: str, state: str, held: bool
) -> None:
    world = World(tmp_path)
    world.process()
    if verb == "release":
        world.database.write(lambda db: loop.hold(db, 1, Act(MANAGER, world.processing().version, "power cut")))
    answer(world, "processing", *words)
    it = world.processing()
    assert (world.decisions()[-1].verb, it.state.value, it.held) == (verb, state, held)


def test_another_manager_takes_a_processing_over(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.process()
    world.database.write(lambda db: factories.person(db, "second", role=Role.MANAGER))
    home = {"B2CAL_HOME": str(tmp_path)}
    words = ["processing", "take-over", "bucket1", "-m", "she has left"]
    assert CliRunner().invoke(group, ["--as", "second", *words], env=home).exit_code == 0
    last = world.decisions()[-1]
    assert (last.verb, last.actor, last.details) == ("take_over", "second", {"manager": ["manager", "second"]})
    assert world.processing().manager == "second"
    again = CliRunner().invoke(group, ["--as", "second", *words], env=home)
    assert "is yours already" in str(again.exception)
    assert len(world.decisions()) == last.id
