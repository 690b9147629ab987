"""A calibration database that cannot be used is told in a sentence with what to do, whichever command meets it."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from b2cal.cli.desk import DatabaseTrouble
from b2cal.cli.main import group, main
from b2cal.model.database import UnusableUrl
from b2cal.model.migrate import NewerSchema
from tests import factories
from tests.services.ports import free_ports

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("B2CAL_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMANDS = [
    ["init"],
    ["person", "list"],
    ["person", "add", "ruth", "--password", "secret"],
    ["data", "scan", "."],
    ["processing", "list"],
    ["processing", "show", "bucket1"],
    ["processing", "watch", "bucket1"],
    ["calibration", "submit", "bucket1", "A"],
    ["vetoes", "list"],
    ["why", "bucket1"],
    ["jobs", "bucket1", "A"],
    ["tag", "show", "main"],
    ["outbox", "list"],
]


def run(command: list[str]) -> Result:
    return CliRunner().invoke(group, ["--as", "manager", *command])


def told(command: list[str]) -> tuple[str, str]:
    """The sentence, and what to do."""
    trouble = run(command).exception
    assert isinstance(trouble, DatabaseTrouble), repr(trouble)
    return str(trouble), trouble.hint


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_damaged_file(home: Path, command: list[str]) -> None:
    (home / "b2cal.db").write_bytes(b"no database" * 1000)
    sentence, hint = told(command)
    assert (
        sentence == f"The calibration database at sqlite:///{home / 'b2cal.db'} cannot be used: file is not a database."
    )
    assert "from the backup" in hint


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_server_that_does_not_run(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    monkeypatch.setenv("B2CAL_DATABASE_URL", f"mariadb+pymysql://b2cal:secret@{address}/b2cal")
    sentence, hint = told(command)
    assert f"mariadb+pymysql://b2cal:***@{address}/b2cal cannot be used: Can't connect" in sentence
    assert "See that the server runs" in hint


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "is not the URL of a database"),
        ("mariadb+pymysql://b2cal:secret@host:secret/b2cal", "is not the URL of a database"),
        ("mariadb+mysqldb://b2cal:secret@host/b2cal", "needs the driver MySQLdb, which is not installed"),
        ("mariadb+nonsense://b2cal:secret@host/b2cal", "names a driver that SQLAlchemy does not know"),
        ("postgresql://b2cal:secret@host/b2cal", "SQLite or MariaDB, not in postgresql"),
    ],
)
@pytest.mark.parametrize("command", [["init"], ["person", "list"], ["up"], ["doctor"]], ids=" ".join)
def test_a_url_of_nothing_that_b2cal_can_use(
    monkeypatch: pytest.MonkeyPatch, url: str, says: str, command: list[str]
) -> None:
    ports = free_ports(2)
    monkeypatch.setenv("B2CAL_SITE__PORT", str(ports[0]))
    monkeypatch.setenv("B2CAL_AIRFLOW__PORT", str(ports[1]))
    monkeypatch.setenv("B2CAL_DATABASE_URL", url)
    ended = run(command)
    said = f"{ended.output} {ended.exception}"
    assert says in said
    assert "secret" not in said
    assert isinstance(ended.exception, SystemExit if command == ["doctor"] else UnusableUrl)


def test_the_doctor_names_what_is_wrong(home: Path) -> None:
    (home / "b2cal.db").write_bytes(b"no database" * 1000)
    ended = run(["doctor"])
    assert isinstance(ended.exception, SystemExit)
    assert "file is not a database" in ended.output
    assert "from the backup" in ended.output
    assert "disk" in ended.output


def test_the_doctor_names_a_server_that_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_ports(1)[0]
    monkeypatch.setenv("B2CAL_DATABASE_URL", f"mariadb+pymysql://b2cal:secret@127.0.0.1:{port}/b2cal")
    ended = run(["doctor"])
    assert ended.exit_code == 1
    assert "Can't connect" in ended.output
    assert "secret" not in ended.output


def test_an_older_schema_says_to_run_init(home: Path) -> None:
    database = factories.database(home)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0012'"))
        connection.execute(text("ALTER TABLE person RENAME COLUMN full_name TO name"))
    sentence, hint = told(["person", "list"])
    assert sentence.endswith("no such column: person.full_name.")
    assert hint.startswith("Its schema is 0012, this b2cal needs ")
    assert hint.endswith("run `b2cal init`.")


def test_the_database_of_a_newer_b2cal_says_that_this_one_is_older(home: Path) -> None:
    database = factories.database(home)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("ALTER TABLE person RENAME COLUMN full_name TO name"))
    _, hint = told(["person", "list"])
    assert "this b2cal is older" in hint
    assert "b2cal init" not in hint
    assert "This b2cal is older" in " ".join(run(["doctor"]).output.split())
    refused = run(["init"]).exception
    assert isinstance(refused, NewerSchema)
    assert "older" in str(refused)


def test_the_shell_sees_no_traceback(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "b2cal.db").mkdir()
    monkeypatch.setattr("sys.argv", ["b2cal", "processing", "list"])
    with pytest.raises(SystemExit, match="1"):
        main()
    sentence, hint = capsys.readouterr().err.splitlines()
    assert sentence.endswith("cannot be used: unable to open database file.")
    assert hint


def test_a_defect_of_b2cal_is_not_put_down_to_the_database(home: Path) -> None:
    with factories.database(home).engine.begin() as connection:
        refuses = "CREATE TRIGGER refuses BEFORE INSERT ON person BEGIN SELECT RAISE(ABORT, 'nonsense'); END"
        connection.execute(text(refuses))
    assert isinstance(run(["person", "add", "ruth", "--password", "secret"]).exception, IntegrityError)
