import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from b2cal import loop
from b2cal.cli.main import group
from b2cal.model import ProcessingKind, ProcessingState, PublishPolicy
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


def created(name: str, runs: str, *options: str) -> str:
    command = ["--as", "manager", *options, "processing", "create", name, "--runs", runs]
    ended = CliRunner().invoke(group, [*command, "--release", "toy", "--tag", "main"])
    assert ended.exit_code == 0, ended.output
    return ended.output


def test_experts_whom_only_the_release_names_are_told_to_the_manager(world: World) -> None:
    text = " ".join(created("bucket2", "e26r105-e26r106").split())
    assert "Experts who cannot log in yet: tracking; what they should decide is put to manager." in text
    CliRunner().invoke(group, ["person", "add", "tracking", "--password", "secret"])
    assert json.loads(created("bucket3", "e26r107-e26r108", "--json"))["experts_without_password"] == []
    assert "cannot log in" not in created("bucket4", "e26r109-e26r109")
