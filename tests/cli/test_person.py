import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.security import check_password_hash

from b2cal.cli.desk import Desk
from b2cal.cli.main import group
from b2cal.cli.setup import PersonRefused, person
from b2cal.core.clock import SystemClock
from b2cal.loop import InvalidChoice, NotAllowed, NotFound
from b2cal.model import Database, Decision, Person
from b2cal.model.lengths import TooLong
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
    run("add", "ruth", "--password", "secret")
    run("add", "alice", "--password", "secret")
    assert people() == {"alice": "yes", "ruth": "yes"}
    assert run("remove", "ruth").exit_code == 0
    assert people() == {"alice": "yes", "ruth": "no"}
    run("add", "ruth", "--password", "another")
    assert people() == {"alice": "yes", "ruth": "yes"}


def test_a_name_that_is_too_long_is_refused_in_a_sentence() -> None:
    refused = run("add", "ruth", "--name", "x" * 129, "--password", "secret").exception
    assert isinstance(refused, TooLong)
    assert str(refused).startswith("The full name of a person may have at most 128 characters")
    assert people() == {}


def test_who_gave_and_took_the_right_is_kept(home: Path) -> None:
    for by, command in (
        ("root", ["add", "ruth", "--role", "manager", "--password", "secret"]),
        ("ruth", ["add", "alice", "--password", "x"]),
        ("ruth", ["remove", "alice"]),
    ):
        assert CliRunner().invoke(group, ["--as", by, "person", *command]).exit_code == 0
    database = Database(f"sqlite:///{home / 'b2cal.db'}", SystemClock())
    with database.read() as db:
        kept = db.scalars(select(Decision).order_by(Decision.id)).all()
    database.dispose()
    assert [(it.actor, it.verb, it.person, it.to_state) for it in kept] == [
        ("root", "let_in", "ruth", "manager"),
        ("ruth", "let_in", "alice", "expert"),
        ("ruth", "shut_out", "alice", "none"),
    ]


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
    run("add", "another", "--role", "manager", "--password", "secret")
    run("add", "ruth", "--password", "secret")
    assert named("ruth") == ("ruth", "expert")
    run("add", "ruth", "--role", "manager", "--password", "secret")
    assert named("ruth") == ("ruth", "manager")
    run("add", "ruth", "--name", "Ruth Roe", "--role", "expert", "--password", "secret")
    assert named("ruth") == ("Ruth Roe", "expert")


def test_another_name_or_role_needs_no_password_and_keeps_the_one_there_is(home: Path) -> None:
    run("add", "ruth", "--role", "manager", "--password", "secret")
    run("add", "bob", "--password", "secret")
    before = hashes(home)
    for change in (["--name", "Bob Roe"], ["--role", "manager"]):
        assert run("add", "bob", *change).exit_code == 0
    assert named("bob") == ("Bob Roe", "manager")
    assert hashes(home) == before


class Overtaken(Desk):
    """Somebody else gives a command after everything was read, before anything is written."""

    def __init__(self, *command: str) -> None:
        super().__init__(None, as_json=True)
        self._command = command

    def write(self, unit: Callable[[Session], Any]) -> Any:
        assert run(*self._command).exit_code == 0
        return super().write(unit)


def test_another_role_does_not_undo_a_removal_meanwhile() -> None:
    run("add", "ruth", "--role", "manager", "--password", "secret")
    run("add", "bob", "--password", "secret")
    ended = CliRunner().invoke(person, ["add", "bob", "--role", "manager"], obj=Overtaken("remove", "bob"))
    assert isinstance(ended.exception, InvalidChoice)
    assert people() == {"bob": "no", "ruth": "yes"}
    assert named("bob") == ("bob", "expert")


def test_another_role_does_not_bring_back_the_password_before(home: Path) -> None:
    run("add", "bob", "--password", "secret")
    before = hashes(home)
    another = Overtaken("add", "bob", "--password", "another")
    assert CliRunner().invoke(person, ["add", "bob", "--role", "manager"], obj=another).exit_code == 0
    assert named("bob") == ("bob", "manager")
    assert hashes(home) != before


def test_who_has_no_password_yet_needs_one_whatever_else_is_given() -> None:
    run("add", "ruth", "--role", "manager", "--password", "secret")
    run("add", "bob", "--password", "secret")
    run("remove", "bob")
    for words in (["bob", "--name", "Bob Roe"], ["new", "--role", "expert"], ["ruth"]):
        refused = run("add", *words).exception
        assert isinstance(refused, PersonRefused)
        assert "`b2cal person add NAME --password-stdin < FILE`" in refused.hint
    assert people() == {"bob": "no", "ruth": "yes"}


def hashes(home: Path) -> dict[str, str]:
    database = Database(f"sqlite:///{home / 'b2cal.db'}", SystemClock())
    with database.read() as db:
        found = {person.username: person.password_hash for person in db.scalars(select(Person))}
    database.dispose()
    return found


def test_who_is_not_known_cannot_be_removed(home: Path) -> None:
    ended = run("remove", "nobody")
    assert isinstance(ended.exception, NotFound)
    with factories.Database(f"sqlite:///{home / 'b2cal.db'}", factories.SystemClock()).read() as db:
        assert db.query(Person).all() == []


@pytest.mark.parametrize("username", ["", "a b", 'a b/c"<script>', "1a", ".a", "_a", "a/b", "a\n", "ä", "a" * 65])
def test_what_cannot_be_a_login_name_is_refused(username: str) -> None:
    ended = run("add", "--password", "secret", "--", username)
    assert isinstance(ended.exception, PersonRefused)
    assert "cannot be a login name" in str(ended.exception)
    assert people() == {}


@pytest.mark.parametrize("username", ["a", "Ruth.Roe_2-x", "a" * 64])
def test_what_can_be_one_is_not(username: str) -> None:
    run("add", username, "--password", "secret")
    assert people() == {username: "yes"}


def test_an_empty_password_is_refused() -> None:
    assert isinstance(run("add", "ruth", "--password", "").exception, PersonRefused)
    assert people() == {}


def test_without_a_terminal_the_password_has_to_be_given() -> None:
    ended = run("add", "ruth")
    assert isinstance(ended.exception, PersonRefused)
    assert ended.exception.hint == "Give it on standard input: `b2cal person add NAME --password-stdin < FILE`."
    assert people() == {}


def test_a_script_gives_the_password_on_standard_input_where_nobody_sees_it(home: Path) -> None:
    def given(text: str, *more: str) -> Result:
        return CliRunner().invoke(group, ["person", "add", "ruth", "--password-stdin", *more], input=text)

    assert given("secret word\n").exit_code == 0
    database = Database(f"sqlite:///{home / 'b2cal.db'}", SystemClock())
    with database.read() as db:
        assert check_password_hash(db.get_one(Person, "ruth").password_hash, "secret word")
    database.dispose()
    assert isinstance(given("").exception, PersonRefused)
    assert given("secret\n", "--password", "another").exit_code == 2


@pytest.mark.parametrize("command", [("remove", "ruth"), ("add", "ruth", "--role", "expert", "--password", "x")])
def test_the_last_manager_stays(command: tuple[str, ...]) -> None:
    run("add", "ruth", "--role", "manager", "--password", "secret")
    run("add", "gone", "--role", "manager", "--password", "secret")
    run("add", "alice", "--password", "secret")
    assert run("remove", "gone").exit_code == 0
    ended = run(*command)
    assert isinstance(ended.exception, PersonRefused)
    assert "--role manager" in ended.exception.hint
    assert people() == {"alice": "yes", "gone": "no", "ruth": "yes"}
    assert named("ruth")[1] == "manager"


def test_who_is_removed_may_not_act_and_is_told_who_may() -> None:
    for name, role in (("ruth", "manager"), ("gone", "manager"), ("alice", "expert")):
        run("add", name, "--role", role, "--password", "secret")
    run("remove", "gone")
    ended = CliRunner().invoke(group, ["--as", "gone", "tag", "create", "main"])
    assert isinstance(ended.exception, NotAllowed)
    assert "To act as somebody else: `b2cal --as ruth ...`; known: ruth, alice." in ended.exception.hint
    unknown = CliRunner().invoke(group, ["--as", "nobody", "tag", "create", "main"]).exception
    assert isinstance(unknown, NotFound)
    assert "known: ruth, alice." in unknown.hint
    assert CliRunner().invoke(group, ["--as", "ruth", "tag", "create", "main"]).exit_code == 0
