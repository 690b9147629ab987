"""Who may do what takes nobody's part: managers, and the account that runs b2cal."""

import getpass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from b2cal.cli.main import group
from b2cal.loop import NotAllowed, NotFound
from b2cal.model import Database, Role
from tests import factories
from tests.releases.folders import script, write_release

ACCOUNT = getpass.getuser()
COMMANDS = [
    ("person", "add", "mallory", "--role", "manager", "--password", "x"),
    ("person", "remove", "ruth"),
    ("release", "add", "release"),
    ("data", "scan", "raw"),
    ("outbox", "retry"),
]
EVERY_COMMAND = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("B2CAL_HOME", str(tmp_path))
    monkeypatch.delenv("B2CAL_USER", raising=False)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "runs.json").write_text("[]")
    write_release(tmp_path / "release", {"mask": script("Mask")})
    return factories.database(tmp_path)


@pytest.fixture
def staffed(database: Database) -> Database:
    """Two managers and an expert may log in; another one is known from a release only."""
    for name, role in (("ruth", Role.MANAGER), ("mary", Role.MANAGER), ("alice", Role.EXPERT)):
        known(database, name, role, password="hash")
    known(database, "bob", Role.EXPERT, password="")
    return database


def known(database: Database, name: str, role: Role, password: str) -> None:
    database.write(lambda db: factories.person(db, name, role=role, password_hash=password))


def run(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(group, list(words), env=environment)


@EVERY_COMMAND
def test_an_expert_and_who_has_no_password_may_not(staffed: Database, command: tuple[str, ...]) -> None:
    refused = run("--as", "alice", *command)
    assert isinstance(refused.exception, NotAllowed)
    assert str(refused.exception).endswith("is not a manager.")
    assert isinstance(run(*command, B2CAL_USER="bob").exception, NotAllowed)


@EVERY_COMMAND
def test_a_name_that_is_given_must_be_known(staffed: Database, command: tuple[str, ...]) -> None:
    for refused in (run("--as", "ghost", *command), run(*command, B2CAL_USER="ghost")):
        assert isinstance(refused.exception, NotFound)
        assert "known: ruth" in refused.exception.hint or "known: mary" in refused.exception.hint


@pytest.mark.processes
@EVERY_COMMAND
def test_a_manager_and_the_account_itself_may(staffed: Database, command: tuple[str, ...]) -> None:
    for words in (["--as", "mary", *command], list(command)):
        ended = run(*words)
        assert ended.exit_code == 0, ended.output


def test_the_account_of_an_expert_is_hers(staffed: Database) -> None:
    known(staffed, ACCOUNT, Role.EXPERT, password="")
    assert run("outbox", "retry").exit_code == 0  # known from a release only: nobody logs in so
    assert run("person", "add", ACCOUNT, "--password", "secret").exit_code == 0
    assert isinstance(run("outbox", "retry").exception, NotAllowed)
    assert run("--as", "ruth", "outbox", "retry").exit_code == 0


@EVERY_COMMAND
def test_who_was_removed_gets_no_rights_from_the_account(staffed: Database, command: tuple[str, ...]) -> None:
    assert run("person", "add", ACCOUNT, "--role", "manager", "--password", "secret").exit_code == 0
    assert run("--as", "ruth", "person", "remove", ACCOUNT).exit_code == 0
    refused = run(*command).exception
    assert isinstance(refused, NotAllowed)
    assert str(refused) == f"{ACCOUNT} has no password, and so may not act."
    assert "To act as somebody else: `b2cal --as mary ...`" in refused.hint
    assert run("--as", "ruth", "person", "add", ACCOUNT, "--role", "manager", "--password", "new").exit_code == 0
    assert run("outbox", "retry").exit_code == 0


def test_until_there_is_a_manager_everything_is_being_set_up(database: Database) -> None:
    assert run("--as", "root", "person", "add", ACCOUNT, "--password", "secret").exit_code == 0
    assert run("person", "add", "ruth", "--role", "manager", "--password", "secret").exit_code == 0
    assert isinstance(run("person", "add", "mary", "--password", "secret").exception, NotAllowed)
