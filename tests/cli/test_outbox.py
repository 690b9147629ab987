from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from b2cal.cli.desk import Desk
from b2cal.cli.doctor import Health, examine
from b2cal.cli.main import group
from b2cal.model import Database, Outbox, now
from tests import factories

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])  # doctor looks whether ports are free


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.chdir(tmp_path)
    database = factories.database(tmp_path)
    monkeypatch.setenv("B2CAL_DATABASE_URL", str(database.engine.url))
    return database


def add(database: Database, key: str, **columns: Any) -> None:
    body = {"text": "Please decide."}
    row = Outbox(key=key, kind="message", about="calibration 7", body=body, created_at=database.clock.now(), **columns)
    database.write(lambda db: db.add(row))


def looked_at() -> tuple[Health, str]:
    finding = next(it for it in examine(Desk(None, as_json=False)) if it.what == "outbox")
    return finding.health, finding.says


def test_what_waits_for_its_first_try_is_nothing_to_report(database: Database) -> None:
    add(database, "new", tries=0)
    assert looked_at()[0] is Health.WELL


def test_doctor_warns_of_what_is_tried_again_with_the_error(database: Database) -> None:
    add(database, "failing", tries=3, error="OSError: no route")
    health, says = looked_at()
    assert health is Health.WARNING
    assert says == "1 not delivered, 0 of them given up; a message about calibration 7: OSError: no route"


def test_what_was_given_up_is_ill_until_it_is_tried_again(database: Database) -> None:
    add(database, "failing", tries=3, error="OSError: no route")
    add(database, "poison", tries=5000, error="ValueError: no address", given_up_at=database.clock.now())
    health, says = looked_at()
    assert health is Health.ILL
    assert says == "2 not delivered, 1 of them given up; a message about calibration 7: ValueError: no address"
    assert "ValueError: no address" in CliRunner().invoke(group, ["--json", "outbox", "list"]).output

    assert "1 are tried again" in CliRunner().invoke(group, ["outbox", "retry"]).output
    assert looked_at()[0] is Health.WARNING
    with database.read() as db:
        again = db.query(Outbox).filter_by(key="poison").one()
        assert (again.tries, again.given_up_at) == (0, None)
        assert again.not_before is None or again.not_before <= now(db)
