"""What the tests of this room share."""

import shutil
from pathlib import Path

import pytest

import b2cal
from tests.calibration.node import Node


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What travels with a job, and nothing else of b2cal."""
    source, target = Path(b2cal.__file__).parent, tmp_path_factory.mktemp("shipped")
    for room in ("core", "calibration"):
        shutil.copytree(source / room, target / "b2cal" / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(source / "__init__.py", target / "b2cal")
    return target


@pytest.fixture
def node(tmp_path: Path, shipped: Path) -> Node:
    return Node(tmp_path, shipped)
