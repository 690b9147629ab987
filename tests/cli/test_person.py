import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from b2cal.cli.main import group
from b2cal.loop import NotFound
from b2cal.model import Person
from tests import factories


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("B2CAL_HOME", str(tmp_path))
    factories.database(tmp_path)
    return tmp_path


def run(*command: str) -> Result:
    return CliRunner().invoke(group, ["--json", "person", *command])


def people() -> dict[str, str]:
    return {person["username"]: person["may_log_in"] for person in json.loads(run("list").output)}


def test_who_is_removed_stays_in_the_history_and_may_not_log_in() -> None:
    run("add", "ruth", "--role", "manager", "--password", "secret")
    run("add", "alice", "--password", "secret")
    assert people() == {"alice": "yes", "ruth": "yes"}
    assert run("remove", "ruth").exit_code == 0
    assert people() == {"alice": "yes", "ruth": "no"}
    run("add", "ruth", "--password", "another")
    assert people() == {"alice": "yes", "ruth": "yes"}


def named(username: str) -> tuple[str, str]:
    """Full name and role."""
    (it,) = (person for person in json.loads(run("list").output) if person["username"] == username)
    return it["full_name"], it["role"]


def test_who_is_given_another_password_keeps_name_and_role() -> None:
    run("add", "ruth", "--name", "Ruth Roe", "--role", "manager", "--password", "forgotten")
    told = run("add", "ruth", "--password", "another")
    assert json.loads(told.output)["role"] == "manager"
    assert named("ruth") == ("Ruth Roe", "manager")


def test_name_and_role_change_where_they_are_given() -> None:
    run("add", "ruth", "--password", "secret")
    assert named("ruth") == ("ruth", "expert")
    run("add", "ruth", "--role", "manager", "--password", "secret")
    assert named("ruth") == ("ruth", "manager")
    run("add", "ruth", "--name", "Ruth Roe", "--role", "expert", "--password", "secret")
    assert named("ruth") == ("Ruth Roe", "expert")


def test_who_is_not_known_cannot_be_removed(home: Path) -> None:
    ended = run("remove", "nobody")
    assert isinstance(ended.exception, NotFound)
    with factories.Database(f"sqlite:///{home / 'b2cal.db'}", factories.SystemClock()).read() as db:
        assert db.query(Person).all() == []
