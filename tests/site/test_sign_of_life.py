"""The site shows in the database that it is there."""

import logging
from pathlib import Path
from threading import Event

import pytest
from flask import Flask
from sqlalchemy import select

from b2cal.core.clock import ManualClock
from b2cal.loop import Workplace
from b2cal.model import Database, SitePresence
from b2cal.site import sign_of_life

from .sample import NOW


class Rounds(Event):
    """Ends what waits for it after so many rounds, without waiting."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.left = number

    def wait(self, timeout: float | None = None) -> bool:
        self.left -= 1
        return self.left <= 0


def test_a_sign_is_left_for_everybody_to_see(app: Flask, database: Database) -> None:
    sign_of_life.leave(app.extensions["b2cal"].workplace, Rounds(3))
    with database.read() as db:
        (row,) = db.scalars(select(SitePresence))
    assert (row.away_since, row.began_at, row.seen_at) == (None, NOW, NOW)


def test_without_its_database_it_leaves_none_says_so_once_and_goes_on(
    app: Flask, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = Database(f"sqlite:///{tmp_path / 'none' / 'b2cal.db'}", ManualClock(NOW))
    rounds = Rounds(3)
    with caplog.at_level(logging.ERROR):
        sign_of_life.leave(Workplace(app.extensions["b2cal"].settings, nowhere), rounds)
    assert rounds.left == 0
    assert [record.message for record in caplog.records] == ["The site cannot leave its sign of life; trying on"]
