"""`b2cal calibration`: what the commands say and refuse."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from b2cal import loop
from b2cal.calibration import Payload
from b2cal.cli.main import group
from b2cal.core.iov import ExpRun, IoV
from tests import factories
from tests.loop.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A has been signed off and B, which reads it, has been started."""
    world = World(tmp_path)
    world.process()
    world.do("submit", "A")
    world.finish("A", 1)
    world.do("submit", "B")
    world.advance("B")
    return world


def command(world: World, *words: str) -> Result:
    home = {"B2CAL_HOME": str(world.workplace.settings.home)}
    return CliRunner().invoke(group, ["--as", "manager", "calibration", *words], env=home)


@pytest.mark.processes
def test_payloads_made_by_hand_are_taken_from_a_file_and_who_is_in_doubt_is_named(world: World, tmp_path: Path) -> None:
    file = tmp_path / "mine.root"
    Payload("PA", IoV(ExpRun(26, 100), None), {"x": [1.0]}).write(file)
    ended = command(world, "replace", "bucket1", "A", "--file", str(file), "-m", "by eye")
    assert ended.exit_code == 0, ended.output
    said = " ".join(ended.output.split())
    assert said == "✓ A in bucket1: replaced by hand from a file, to be judged; in doubt until then: B (running)."
    assert world.state("A") == "validating"


def test_payloads_must_be_given_in_exactly_one_way(world: World, tmp_path: Path) -> None:
    for ways in ([], ["--tag", "main", "--database", str(tmp_path)]):
        ended = command(world, "replace", "bucket1", "A", "-m", "by eye", *ways)
        assert ended.exit_code == 2
        assert "Give the payloads in one way" in ended.output


def test_a_replacement_without_a_reason_is_refused(world: World) -> None:
    ended = command(world, "replace", "bucket1", "A", "--tag", "main")
    assert isinstance(ended.exception, loop.InvalidChoice)
    assert world.state("A") == "signed_off"


def test_a_deputy_is_named_and_taken_away(world: World) -> None:
    world.database.write(lambda db: factories.person(db, "second"))
    named = command(world, "deputy", "bucket1", "B", "second")
    assert "its deputy is second" in named.output
    assert "its deputy is nobody" in command(world, "deputy", "bucket1", "B", "--nobody").output
    assert command(world, "deputy", "bucket1", "B").exit_code == 2
    assert command(world, "deputy", "bucket1", "B", "second", "--nobody").exit_code == 2


def test_a_command_takes_the_names_first_and_then_what_its_verb_wants(world: World) -> None:
    world.database.write(lambda db: factories.person(db, "second"))
    assert "now of second" in command(world, "reassign", "bucket1", "B", "second").output
    assert "2 h longer" in command(world, "extend", "bucket1", "C", "2").output


def test_who_submits_what_was_rejected_is_told(world: World) -> None:
    world.do("reject", "A", reason="too few hits")
    told = " ".join(command(world, "submit", "bucket1", "A").output.split())
    assert told == (
        "✓ A in bucket1: submitted. The same configuration on the same inputs and constants was rejected before."
    )
    assert world.state("A") == "submitted"
    world.do("withdraw", "A")
    told = " ".join(command(world, "submit", "bucket1", "A", "--set", "events=11").output.split())
    assert told == "✓ A in bucket1: submitted."


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--selection", "5"), "A selection is an object"),
        (("--selection", "[1]"), "A selection is an object"),
        (("--selection", "[" * 100_000), "levels deep"),
        (("--set", f"events={'[' * 900}{']' * 900}"), "events must be a whole number"),
        (("--set", f"events={'[' * 60_000}"), "events must be a whole number"),
        (("--set", f"events={'[' * 100_000}"), "expert_config: takes"),
    ],
    ids=["number", "list", "deep selection", "deep value", "deeper value", "large value"],
)
def test_whatever_json_is_given_to_a_submission_is_refused_in_words(
    world: World, words: tuple[str, str], said: str
) -> None:
    world.do("reject", "A")
    ended = command(world, "submit", "bucket1", "A", *words)
    assert ended.exit_code != 0
    assert ended.exception is not None
    assert isinstance(ended.exception, (loop.InvalidChoice, loop.InvalidConfig, SystemExit))
    assert said in f"{ended.output} {ended.exception}".replace("events: ", "events ")
    assert world.state("A") == "open"


@pytest.mark.parametrize("hours", ["0", "1e9", "nan", "8761"])
def test_a_window_is_extended_by_up_to_a_year(world: World, hours: str) -> None:
    assert command(world, "reject", "bucket1", "A", "-m", "look again").exit_code == 0
    refused = command(world, "extend", "bucket1", "A", hours).exception
    assert isinstance(refused, loop.InvalidChoice)
    assert refused.hint == "Give more than 0 h, and at most 8,760 h."
    assert command(world, "extend", "bucket1", "A", "8760").exit_code == 0
