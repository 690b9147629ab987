"""The world that the tests of the loop act in."""

from pathlib import Path

import pytest

from tests.loop.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A diamond of four calibrations in one active prompt processing, all windows open."""
    world = World(tmp_path)
    world.process()
    return world
