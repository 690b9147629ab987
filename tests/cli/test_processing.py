import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from b2cal.cli.main import group
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


def shown(*options: str) -> str:
    ended = CliRunner().invoke(group, [*options, "processing", "show", "bucket1"])
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
