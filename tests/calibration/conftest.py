"""What the tests of this room share."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import b2cal
from b2cal.calibration.script import PACKAGE
from b2cal.calibration.stage import main
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


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], int]:
    """Run the stage of a folder in this process: a new one costs a second, and test_stage.py pays it."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def run(folder: Path) -> int:
        monkeypatch.chdir(folder)
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]
        return main()

    return run
