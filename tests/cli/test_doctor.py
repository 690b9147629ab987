"""`b2cal doctor` finds what is wrong, says what to do, and ends with 1 only if something is ill."""

import json
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from b2cal import conditions, loop
from b2cal.cli.main import group
from b2cal.core.iov import ExpRun
from b2cal.model import Database, ProcessingState, SitePresence, TagIov
from b2cal.settings import Settings
from tests import factories
from tests.services.ports import free_ports

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])  # doctor looks whether ports are free


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("B2CAL_HOME", str(tmp_path))
    site, airflow = free_ports(2)
    monkeypatch.setenv("B2CAL_SITE__PORT", str(site))
    monkeypatch.setenv("B2CAL_AIRFLOW__PORT", str(airflow))
    return factories.database(tmp_path)


def findings() -> tuple[int, dict[str, dict[str, str]]]:
    """Exit code, and what was found of each thing."""
    ended = CliRunner().invoke(group, ["--json", "doctor"])
    return ended.exit_code, {found["what"]: found for found in json.loads(ended.output)}


def test_a_new_home_is_well_but_nothing_runs_in_it(database: Database) -> None:
    exit_code, found = findings()
    assert exit_code == 0
    assert {what for what, it in found.items() if it["health"] != "well"} - {"disk"} == {"agent"}
    assert found["agent"]["do"] == "`b2cal up` starts it."


def test_a_home_that_others_may_look_into_is_a_warning_with_the_remedy(database: Database, tmp_path: Path) -> None:
    assert findings()[1]["privacy"]["health"] == "well"
    tmp_path.chmod(0o750)
    found = findings()[1]["privacy"]
    assert (found["health"], found["do"]) == ("warning", f"chmod 700 {tmp_path}")


def test_a_new_home_and_its_database_are_for_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "new" / "home"
    monkeypatch.setenv("B2CAL_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    before = os.umask(0o022)
    try:
        assert CliRunner().invoke(group, ["init"]).exit_code == 0
        assert CliRunner().invoke(group, ["person", "add", "ruth", "--password", "secret"]).exit_code == 0
    finally:
        os.umask(before)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (home, *home.glob("b2cal.db*"))}
    assert modes.pop("home") == "0o700"
    assert set(modes.values()) == {"0o600"}


def test_an_agent_that_runs_is_named(database: Database) -> None:
    database.write(factories.agent)
    assert findings()[1]["agent"] == {"what": "agent", "health": "well", "says": "runs as host 7", "do": ""}


def test_a_centre_that_an_active_processing_has_chosen_and_nobody_describes_is_ill(database: Database) -> None:
    database.write(lambda db: factories.processing(db, centre="bnl", state=ProcessingState.ACTIVE))
    exit_code, found = findings()
    assert exit_code == 1
    assert found["centre bnl"]["health"] == "ill"
    assert "There is no centre 'bnl'" in found["centre bnl"]["says"]
    assert "[centres.bnl]" in found["centre bnl"]["do"]
    assert found["centre local"]["health"] == "well"


def test_a_tape_on_a_disk_is_asked_whether_copies_can_be_written(database: Database, tmp_path: Path) -> None:
    tape = tmp_path / "tape" / "belle"
    (tmp_path / "b2cal.toml").write_text(f'[batch]\ntape = "{tape}"\n')
    assert findings()[1]["tape of local"]["health"] == "well"
    (tmp_path / "tape").write_text("")
    exit_code, found = findings()
    assert exit_code == 0
    assert found["tape of local"]["health"] == "warning"
    assert "`tape` under [batch]" in found["tape of local"]["do"]
    assert found["tape of local"]["says"].endswith(str(tape))


def an_old_schema(db: Session) -> None:
    db.execute(text("UPDATE alembic_version SET version_num = '0001'"))


def a_lost_payload(db: Session) -> None:
    conditions.store_payload(db, "Gains", "f" * 64, "0" * 64, 1)


def two_payloads_for_one_run(db: Session) -> None:
    number = factories.tag(db, "main").id
    first, second = (ExpRun(26, run).number for run in (1, 2))
    payload = conditions.store_payload(db, "Gains", "f" * 64, "0" * 64, 1)
    for begin in (first, second):
        db.add(TagIov(tag_id=number, name="Gains", payload_id=payload, first=begin, last=second))


@pytest.mark.parametrize(
    ("damage", "what", "says", "do"),
    [
        (an_old_schema, "schema", "is 0001, this b2cal needs", "run `b2cal init`."),
        (a_lost_payload, "payloads", "1 of 1 payload files are missing, ffffffffffff first", "from the backup."),
        (two_payloads_for_one_run, "tags", "Gains in main has two payloads for e26r2", "Report this"),
    ],
)
def test_what_is_ill_is_named_with_what_to_do(
    database: Database, damage: Callable[[Session], None], what: str, says: str, do: str
) -> None:
    database.write(damage)
    exit_code, found = findings()
    assert (exit_code, found[what]["health"]) == (1, "ill")
    assert says in found[what]["says"]
    assert do in found[what]["do"]
    told = CliRunner().invoke(group, ["doctor"], env={"COLUMNS": "300"})
    assert told.exit_code == 1
    assert f"✗ {what}: {found[what]['says']}" in told.output
    assert found[what]["do"] in told.output


def test_without_a_database_the_rest_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("B2CAL_HOME", str(tmp_path / "nothing"))
    monkeypatch.chdir(tmp_path)
    exit_code, found = findings()
    assert (exit_code, found["database"]["health"]) == (1, "ill")
    assert "`b2cal init`" in found["database"]["do"]
    assert not {"schema", "tags", "agent"} & found.keys()


def test_settings_that_cannot_be_used_are_all_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b2cal.toml").write_text("[loop]\nwindow_s = 'two days'\n")
    exit_code, found = findings()
    assert (exit_code, list(found)) == (1, ["settings"])
    assert "loop.window_s" in found["settings"]["says"]


def test_a_database_that_is_damaged_later_ends_the_look_into_it(database: Database, tmp_path: Path) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("DROP TABLE payload"))
    exit_code, found = findings()
    assert (exit_code, found["database"]["health"]) == (1, "ill")
    assert "no such table: payload" in found["database"]["says"]
    assert found["schema"]["health"] == "well"
    assert "agent" not in found


@pytest.mark.parametrize("host", ["nowhere.invalid", "203.0.113.7", "2001:db8::7"])
def test_a_host_that_is_not_of_this_machine_is_ill(
    database: Database, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("B2CAL_SITE__HOST", host)
    exit_code, found = findings()
    assert (exit_code, found["port of site"]["health"]) == (1, "ill")
    assert f"cannot listen on port {Settings().site.port} of {host}: " in found["port of site"]["says"]
    assert f"{host} must be an address of this machine" in found["port of site"]["do"]


@contextmanager
def listening(host: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Somebody listens on the port of the site: this process."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.create_server((host, 0), family=family)) as listener:
        port: int = listener.getsockname()[1]
        monkeypatch.setenv("B2CAL_SITE__HOST", host)
        monkeypatch.setenv("B2CAL_SITE__PORT", str(port))
        yield port


BOTH_HOSTS = pytest.mark.parametrize("host", ["127.0.0.1", "::"])


@BOTH_HOSTS
def test_a_port_on_which_another_listens_is_a_warning_that_names_it_and_the_setting(
    database: Database, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    with listening(host, monkeypatch) as port:
        exit_code, everything = findings()
    found = everything["port of site"]
    assert (exit_code, found["health"]) == (0, "warning")
    assert f"listens on port {port} of {host}, but another: process {os.getpid()}" in found["says"]
    assert "`b2cal up` will be refused here. Choose another port: `site.port`" in found["do"]
    assert findings()[1]["port of site"]["says"] == f"port {port} of {host} is free (site.port)"


@BOTH_HOSTS
def test_a_port_on_which_the_site_of_this_home_listens_is_well(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    (tmp_path / "run").mkdir()
    mark = tmp_path / "run" / "site.mark"
    mark.touch()
    with listening(host, monkeypatch) as port, open(mark, "r+"):
        found = findings()[1]["port of site"]
    assert (found["health"], found["do"]) == ("well", "")
    assert found["says"] == f"the site of this home listens on port {port} of {host} (site.port)"


def test_it_always_says_when_the_site_was_last_seen(database: Database, tmp_path: Path) -> None:
    loop.site_is_there(loop.open_workplace(Settings(home=tmp_path)))
    found = findings()[1]["site"]
    assert found["health"] == "well"
    assert re.fullmatch(r"last seen \d+ s ago; it leaves a sign every 30 s", found["says"])

    def away(db: Session) -> None:
        for presence in db.scalars(select(SitePresence)):
            presence.seen_at -= timedelta(seconds=75)

    database.write(away)
    found = findings()[1]["site"]
    assert (found["health"], found["do"]) == ("warning", "`b2cal up` starts it.")
    assert found["says"].startswith("last seen 1 min ago: ")


def test_a_database_that_answers_is_named(database: Database) -> None:
    found = findings()[1]["database"]
    assert found == {"what": "database", "health": "well", "says": f"{database.engine.url} answers", "do": ""}
