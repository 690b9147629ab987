"""`b2cal vetoes` and `b2cal processing veto`."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from b2cal import loop
from b2cal.cli.main import group
from tests.loop.world import Defined, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Nothing has begun."""
    return World(tmp_path, (Defined("A", subsystem="tracker"), Defined("B", ("A",))))


def command(world: World, *words: str) -> Result:
    home = {"B2CAL_HOME": str(world.workplace.settings.home)}
    return CliRunner().invoke(group, ["--as", "manager", *words], env=home)


def said(ended: Result) -> str:
    assert ended.exit_code == 0, ended.output
    return " ".join(ended.output.split())


def test_a_subsystem_is_vetoed_and_who_is_in_doubt_is_named(world: World) -> None:
    world.process()
    for name in "AB":
        world.do("submit", name)
        world.finish(name, 1)
    told = said(command(world, "processing", "veto", "bucket1", "tracker", "-m", "off"))
    assert told == "✓ tracker is vetoed in bucket1: A. In doubt by it: B (signed off)."
    unknown = command(world, "processing", "veto", "bucket1", "roof", "-m", "off")
    assert isinstance(unknown.exception, loop.NotFound)


def test_standing_vetoes_and_named_ones_hold_from_the_start(world: World) -> None:
    said(command(world, "vetoes", "begin", "A", "-m", "no muons"))
    assert "no muons" in said(command(world, "vetoes", "list"))
    words = ("--runs", "e26r100-e26r104", "--release", "toy", "--tag", "main", "--veto", "B")
    assert "Left out: A, B." in said(command(world, "processing", "create", "bucket1", *words))
    assert {world.state(name) for name in "AB"} == {"vetoed"}
    said(command(world, "vetoes", "end", "A", "-m", "they are back"))
    assert (world.decisions()[-1].verb, world.decisions()[-1].reason) == ("end", "they are back")
    assert "no muons" not in said(command(world, "vetoes", "list"))
