"""One database for all tests of this folder; what a test writes is undone at its end."""

from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session

from b2cal.conditions import store_payload
from b2cal.model import Database
from tests import factories
from tests.conditions.brute_force import identity


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """With the payloads of the brute-force model, whose ids are 1 and 2."""
    database = factories.database(tmp_path_factory.mktemp("conditions"))
    database.write(lambda db: [store_payload(db, "Gains", identity(letter), identity("0"), 1) for letter in "ab"])
    yield database
    database.dispose()


@pytest.fixture
def db(database: Database) -> Iterator[Session]:
    """A transaction that is undone at the end."""
    with database.read() as db:
        yield db
