"""What travels with every job is what jobs, and the description of a release, need."""

import ast
from collections.abc import Iterator
from pathlib import Path

import b2cal.calibration

ROOM = Path(b2cal.calibration.__file__).parent
ENTRANCES = {"__init__", "job", "stage", "describe"}


def imported(module: str) -> Iterator[str]:
    """The modules of the room that a module imports anywhere in it."""
    for node in ast.walk(ast.parse((ROOM / f"{module}.py").read_text())):
        if isinstance(node, ast.ImportFrom):
            origin = "b2cal.calibration" if node.level else node.module or ""
            origin = f"{origin}.{node.module}" if node.level and node.module else origin
            for name in (origin, *(f"{origin}.{alias.name}" for alias in node.names)):
                yield name.removeprefix("b2cal.calibration.")


def test_every_module_that_ships_is_reached_from_what_a_job_starts() -> None:
    modules = {path.stem for path in ROOM.glob("*.py")}
    reached, found = set(), set(ENTRANCES)
    while found:
        reached |= found
        found = {name for module in found for name in imported(module)} & modules - reached
    assert reached == modules
