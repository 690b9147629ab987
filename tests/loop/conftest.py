"""The world that the tests of the loop act in, on SQLite and once more on MariaDB."""

from pathlib import Path

import pytest

from tests.loop.world import World, filled

DATABASES = [pytest.param("sqlite", marks=pytest.mark.loop), pytest.param("mariadb", marks=pytest.mark.service)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The rules hold on both databases. What tests processes besides, or shares a world of SQLite, is not repeated."""
    if not metafunc.definition.get_closest_marker("processes") and "everywhere" not in metafunc.fixturenames:
        metafunc.parametrize("kind_of_database", DATABASES, indirect=True)


@pytest.fixture(autouse=True)
def kind_of_database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every world of this test lives there."""
    if getattr(request, "param", "sqlite") == "mariadb":
        homes = filled(request.getfixturevalue("emptied").home)
        monkeypatch.setattr(World, "settings_for", staticmethod(homes))


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A diamond of four calibrations in one active prompt processing, all windows open."""
    world = World(tmp_path)
    world.process()
    return world
