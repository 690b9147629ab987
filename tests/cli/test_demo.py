import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal.batch import UnknownCentre
from b2cal.cli import demo, furnishing
from b2cal.cli.data import run_simulation
from b2cal.cli.desk import Desk
from b2cal.cli.foreground import CannotUseHome
from b2cal.cli.furnishing import Asked, DemoFailed, NotTheDemo, Story
from b2cal.cli.main import group
from b2cal.cli.ports import PortInUse
from b2cal.loop import open_workplace
from b2cal.model import Calibration, Grade, Person, Processing, ProcessingState, Role, State, Verdict, now
from b2cal.settings import AirflowSettings, Settings
from tests import factories
from tests.services.ports import free_ports
from tests.waiting import wait_for


@pytest.mark.parametrize("begun_before", [False, True])
def test_the_demo_does_not_touch_a_database_that_the_settings_name(tmp_path: Path, begun_before: bool) -> None:
    production = factories.database(tmp_path)
    settings = Settings(home=tmp_path / "var", database_url=str(production.engine.url))
    if begun_before:
        settings.folder("").mkdir()
        settings.folder("demo.json").write_text(json.dumps({"profile": "small", "seed": 1}))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(NotTheDemo, match=r"^database_url"):
        demo._begin(settings, Asked(furnishing.SMALL, 1))
    assert sorted(tmp_path.rglob("*")) == before
    with production.read() as db:
        assert db.scalars(select(Person)).all() == []


def test_the_demo_does_not_take_over_the_database_of_another_airflow(tmp_path: Path) -> None:
    postgres = AirflowSettings(database_url="postgresql+psycopg://airflow@db/airflow")
    with pytest.raises(NotTheDemo, match=r"^airflow\.database_url"):
        demo._begin(Settings(home=tmp_path, airflow=postgres), Asked(furnishing.SMALL, 1))
    assert not list(tmp_path.iterdir())


def test_the_demo_does_not_take_over_a_home_that_is_in_use(tmp_path: Path) -> None:
    factories.database(tmp_path)
    with pytest.raises(NotTheDemo, match="is no demo"):
        demo._begin(Settings(home=tmp_path), Asked(furnishing.SMALL, 1))


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_demo_that_was_interrupted_goes_on_with_the_profile_and_the_seed_of_the_first_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    demo._begin(Settings(home=tmp_path), Asked(furnishing.SMALL, 7))
    with closing(socket.create_server(("127.0.0.1", 0))) as stranger:
        port = str(stranger.getsockname()[1])
        monkeypatch.setattr(os, "environ", {**os.environ, "B2CAL_HOME": str(tmp_path), "B2CAL_SITE__PORT": port})
        again = CliRunner().invoke(group, ["demo"])
    assert isinstance(again.exception, PortInUse)  # so far it came
    assert "(small profile, seed 7)" in again.output
    assert Settings().batch.bytes_per_job == furnishing.SMALL.bytes_per_job
    assert demo._begin(Settings(), Asked(None, None)) == Story(furnishing.SMALL, 7)
    assert again.output.count("This is the small demo, which this home holds. The full one: set B2CAL_HOME") == 1


@pytest.mark.parametrize(
    "asked", [Asked(furnishing.DEMO), Asked(seed=8), Asked(furnishing.SMALL, 1), Asked(centre="bnl")]
)
def test_another_demo_than_the_one_that_the_home_holds_is_refused_if_it_is_asked_for(
    tmp_path: Path, asked: Asked
) -> None:
    (tmp_path / "demo.json").write_text(json.dumps(Story(furnishing.SMALL, 7).to_json()))
    with pytest.raises(NotTheDemo, match=r"holds the demo with the small profile, seed 7 already") as refused:
        demo._begin(Settings(home=tmp_path), asked)
    assert f"rm -r {tmp_path}" in refused.value.hint
    assert demo._begin(Settings(home=tmp_path), Asked(furnishing.SMALL, 7)) == Story(furnishing.SMALL, 7)


def test_at_a_centre_that_nobody_has_described_no_demo_begins(tmp_path: Path) -> None:
    with pytest.raises(UnknownCentre, match="'bnl'"):
        demo._begin(Settings(home=tmp_path / "home"), Asked(centre="bnl"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.processes
def test_a_home_with_the_data_of_another_version_is_told_how_to_begin_anew(tmp_path: Path) -> None:
    factories.database(tmp_path).dispose()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "truth.json").write_text('{"seed": 1, "planted": []}')
    with pytest.raises(NotTheDemo, match="simulated with another profile or deviations") as refused:
        furnishing.prepare(open_workplace(Settings(home=tmp_path)), Story(furnishing.SMALL))
    assert "set B2CAL_HOME to a new folder" in refused.value.hint
    assert f"`rm -r {tmp_path}`" in refused.value.hint


@pytest.mark.parametrize("home", ["file/x", "/proc/x"])
@pytest.mark.parametrize("command", ["demo", "init"])
def test_a_home_that_cannot_be_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setattr(os, "environ", {**os.environ, "B2CAL_HOME": home})
    refused = CliRunner().invoke(group, [command]).exception
    assert isinstance(refused, CannotUseHome)
    assert str(refused).startswith(f"Cannot write in {tmp_path / home}: ")


def test_what_somebody_has_set_in_the_file_or_the_environment_is_not_what_the_demo_wants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {**os.environ, "B2CAL_BATCH__BYTES_PER_JOB": "123"})
    (tmp_path / "b2cal.toml").write_text("[batch]\nretry_delay_s = 7.5\n")
    settings = demo._settings(furnishing.SMALL)
    assert (settings.batch.retry_delay_s, settings.batch.bytes_per_job) == (7.5, 123)
    assert settings.loop.reject_window_s == furnishing.SMALL.window_s


@pytest.fixture
def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Desk]:
    """The demo with one calibration that asks for a person, because of these checks."""

    def make(*bad: str) -> Desk:
        def rows(db: Session) -> None:
            processing = factories.processing(db, name=furnishing.PROCESSING)
            long_ago = now(db) - timedelta(hours=1)
            it = factories.calibration(db, processing, "Time offsets", state=State.REVIEW, since=long_ago)
            checks = [{"name": "every_crate_measured", "grade": "pass"}, *({"name": n, "grade": "fail"} for n in bad)]
            columns = {"grade": Grade.FAIL, "generic_only": False, "checks": checks, "report": "", "judged_at": now(db)}
            db.add(Verdict(attempt_id=factories.attempt(db, it).id, **columns))

        factories.database(tmp_path).write(rows)
        (tmp_path / "data").mkdir()
        planted = [{"check": "time_offsets.step", "what": "a crate's clock jumps", "in_units_of_its_limit": 2.0}]
        (tmp_path / "data" / "truth.json").write_text(json.dumps({"planted": planted}))
        monkeypatch.setenv("B2CAL_HOME", str(tmp_path))
        return Desk(furnishing.MANAGER, as_json=False)

    return make


def state(desk: Desk) -> State | None:
    with desk.workplace.database.read() as db:
        return db.scalar(select(Calibration.state))


def test_the_demos_manager_signs_off_the_jump_that_was_planted(asking: Callable[..., Desk]) -> None:
    desk = asking("step")
    demo._decide(desk, furnishing.SMALL)
    assert state(desk) is State.SIGNED_OFF


@pytest.mark.parametrize("bad", [("resolution_excess",), ("step", "change of TimeOffsets/offset")])
def test_the_demos_manager_signs_off_nothing_that_was_not_planted(
    asking: Callable[..., Desk], bad: tuple[str, ...]
) -> None:
    desk = asking(*bad)
    with pytest.raises(DemoFailed, match=bad[-1]):
        demo._decide(desk, furnishing.SMALL)
    assert state(desk) is State.REVIEW


def a_window_that_is_over(db: Session, it: Calibration) -> None:
    it.state, it.problem = State.OPEN, "Not submitted: tracker must change something."
    it.window_ends_at = now(db) - timedelta(hours=1)


def a_failure(db: Session, it: Calibration) -> None:
    it.state, it.problem = State.FAILED, "No space left on device"


def inputs_that_do_not_come(db: Session, it: Calibration) -> None:
    long_ago = now(db) - timedelta(days=30)
    submission = factories.submission(db, it)
    it.state, it.submission, it.incomplete_since, it.window_ends_at = State.SUBMITTED, submission, long_ago, long_ago


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (a_window_that_is_over, "Time offsets: Not submitted: tracker must change something."),
        (a_failure, "Time offsets: Failed: No space left on device."),
        (inputs_that_do_not_come, "Time offsets: No file of its inputs has arrived"),
    ],
)
def test_whatever_else_asks_for_a_person_is_told_with_its_reason(
    asking: Callable[..., Desk], change: Callable[[Session, Calibration], None], says: str
) -> None:
    desk = asking("step")
    desk.write(lambda db: change(db, db.scalars(select(Calibration)).one()))
    with pytest.raises(DemoFailed) as told:
        demo._decide(desk, furnishing.SMALL)
    assert str(told.value).startswith(f"The demo cannot end by itself. {says}")
    assert "give the command again" in told.value.hint


def test_constants_that_cannot_be_published_are_told_with_the_reason(asking: Callable[..., Desk]) -> None:
    desk = asking("step")

    def complete(db: Session) -> None:
        it = db.scalars(select(Calibration)).one()
        it.state, it.processing.state = State.VETOED, ProcessingState.COMPLETE
        earlier = {"run_first": 0, "run_last": it.processing.run_first - 1, "target_tag": it.processing.target_tag}
        factories.processing(db, name="bucket0", **earlier)

    desk.write(complete)
    with pytest.raises(DemoFailed, match="cannot be published: bucket0 has earlier runs and is not published yet"):
        demo._decide(desk, furnishing.SMALL)


def test_an_open_window_and_a_processing_that_is_over_ask_nobody(asking: Callable[..., Desk]) -> None:
    desk = asking("step")

    def opened(db: Session) -> None:
        it = db.scalars(select(Calibration)).one()
        a_window_that_is_over(db, it)
        it.window_ends_at = now(db) + timedelta(hours=1)

    desk.write(opened)
    assert demo._decide(desk, furnishing.SMALL) == ""

    def cancelled(db: Session) -> None:
        a_window_that_is_over(db, db.scalars(select(Calibration)).one())
        db.scalars(select(Processing)).one().state = ProcessingState.CANCELLED

    desk.write(cancelled)
    assert demo._decide(desk, furnishing.SMALL) == ""


@pytest.mark.processes
def test_constants_that_are_far_from_the_truth_are_shown_and_make_the_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The nominal ones, published as they are: nobody has calibrated anything."""
    monkeypatch.setenv("B2CAL_HOME", str(tmp_path))
    factories.database(tmp_path).write(lambda db: factories.person(db, furnishing.MANAGER, role=Role.MANAGER))
    run_simulation(tmp_path / "data", "small", seed=1)
    desk = Desk(furnishing.MANAGER, as_json=False)
    furnishing.seed_tag(desk.workplace, furnishing.TAG, tmp_path / "data" / "nominal")
    assert demo._show_result(desk, desk.settings) == 1
    rows = json.loads((tmp_path / "result.json").read_text())
    assert len(rows) == 6
    assert all(row["p"] <= 0.001 for row in rows)
    shown = capsys.readouterr().out
    assert all(row["payload"] in shown for row in rows)


def interrupted(home: Path, said: Path, moment: Callable[[], bool]) -> int:
    """The exit code of a demo that gets Ctrl-C at this moment."""
    site, airflow = free_ports(2)
    ports = {"B2CAL_SITE__PORT": str(site), "B2CAL_AIRFLOW__PORT": str(airflow)}
    environment = {**os.environ, **ports, "B2CAL_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "b2cal", "demo", "--small"]
    with open(said, "wb") as output:
        running = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        wait_for(moment, "the moment", 120)
    finally:
        running.send_signal(signal.SIGINT)
        exit_code = running.wait(timeout=60)
    assert said.read_text().rstrip().endswith("Stopped; the same command goes on from here.")
    return exit_code


@pytest.mark.processes
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_demo_that_is_interrupted_before_its_end_says_so_by_its_exit_code(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert interrupted(home, tmp_path / "said", (home / "run" / "up.json").exists) == 130


@pytest.mark.processes
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_ctrl_c_after_the_result_leaves_the_exit_code_of_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the nominal constants: they are far from the truth."""
    home, said = tmp_path / "home", tmp_path / "said"
    monkeypatch.setenv("B2CAL_HOME", str(home))
    demo._begin(Settings(), Asked(furnishing.SMALL, 1))
    workplace = open_workplace(Settings())
    furnishing.prepare(workplace, Story(furnishing.SMALL))

    def published(db: Session) -> None:
        db.scalars(select(Processing)).one().state = ProcessingState.PUBLISHED

    workplace.database.write(published)
    workplace.database.dispose()
    assert interrupted(home, said, lambda: "stays up until Ctrl-C" in said.read_text()) == 1
