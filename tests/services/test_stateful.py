"""The rules of the loop against their model, on MariaDB."""

import pytest

from tests.loop.test_stateful import LoopAgainstModel, share
from tests.loop.world import World, filled
from tests.services.mariadb import Emptied

pytestmark = [pytest.mark.service, pytest.mark.usefixtures("worlds_on_mariadb")]


@pytest.fixture
def worlds_on_mariadb(emptied: Emptied, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "settings_for", staticmethod(filled(emptied.home)))


class LoopOnMariaDb(LoopAgainstModel):
    """The same machine; its worlds live in the emptied database, one after the other."""


TestLoop = LoopOnMariaDb.TestCase
TestLoop.settings = share(10)
