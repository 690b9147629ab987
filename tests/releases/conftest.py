"""One home and one database for the tests of a file."""

import tempfile

import pytest

from b2cal.settings import Settings
from tests import factories


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return Settings(home=tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def database(settings):
    database = factories.database(settings.home)
    yield database
    database.dispose()


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Temporary files of b2cal go where the test sees them."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder
