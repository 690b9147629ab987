"""The loop driven by Airflow's four real processes under `b2cal up`, with the real agent and site.

Nothing runs on the batch system here: the calibrations are vetoed by their manager, which every part must notice.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from b2cal import data, loop
from b2cal.airflow.__main__ import environment
from b2cal.airflow.cleaning import KEPT, forget_old_runs
from b2cal.cli.processes import end_leftovers
from b2cal.core.checksums import sha256_file
from b2cal.loop import Act, Actor, Workplace
from b2cal.model import Calibration, DataFile, DataFormat, Kind, Processing, ProcessingState, Role, State, migrate
from b2cal.settings import AirflowSettings, Settings, SiteSettings
from tests import factories
from tests.data.catalogues import file, registry_entry, root_file, run, write_registry
from tests.services.ports import free_ports
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(600)

MANAGER = Actor("manager", Role.MANAGER)
AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer")


class Running:
    """A `b2cal up` with what it told about its components."""

    def __init__(self, home: Path) -> None:
        self.home = home
        site, airflow = free_ports(2)
        self.settings = Settings(home=home, site=SiteSettings(port=site), airflow=AirflowSettings(port=airflow))
        migrate(self.settings.url)
        self.workplace: Workplace = loop.open_workplace(self.settings)
        self._program: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        """Give the command, and wait until all its components work."""
        environment = os.environ | {
            "B2CAL_HOME": str(self.home),
            "B2CAL_SITE__PORT": str(self.settings.site.port),
            "B2CAL_AIRFLOW__PORT": str(self.settings.airflow.port),
            "B2CAL_DATA__SCAN_EVERY_S": "5",
            "B2CAL_DATA__COPY_EVERY_S": "5",
            "B2CAL_BATCH__TAPE": str(self.home / "tape"),
        }
        with open(self.home / "up.out", "ab") as output:
            command = [sys.executable, "-m", "b2cal", "up"]
            self._program = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        self.heals()

    def heals(self, within_s: float = 180.0) -> None:
        """Wait until all components work."""
        wait_for(lambda: self.phases() == {"running"}, within_s)

    def told(self) -> dict[str, Any]:
        """Component -> status."""
        assert self._program is not None
        assert self._program.poll() is None, (self.home / "up.out").read_text()
        with suppress(FileNotFoundError):
            told = json.loads((self.home / "run" / "up.json").read_text())
            if told["pid"] == self._program.pid:
                return {component["name"]: component for component in told["components"]}
        return {}

    def phases(self) -> set[str]:
        return {component["phase"] for component in self.told().values()}

    def kill(self, *names: str) -> None:
        """kill -9, and wait until the supervisor has noticed."""
        before = self.told()
        for name in names:
            os.kill(before[name]["pid"], signal.SIGKILL)
        wait_for(lambda: all(self.told()[name]["restarts"] > before[name]["restarts"] for name in names), 60)

    def kill_up(self) -> None:
        assert self._program is not None
        self._program.kill()
        self._program.wait()

    def stop(self) -> None:
        if self._program is not None:
            self._program.terminate()
            self._program.wait(timeout=60)

    def processing(self) -> str:
        """A processing of two calibrations, whose windows are open for an hour; its graph is written."""

        def unit(db: Session) -> tuple[int, str]:
            it = factories.processing(db, window_s=3600.0)
            factories.calibration(db, it, "Channel mask")
            factories.calibration(db, it, "Time offsets", upstream=["Channel mask"])
            return it.id, it.name

        identity, name = self.workplace.database.write(unit)
        loop.write_graph(self.workplace, identity)
        return name

    def veto(self, processing: str, calibration: str) -> None:
        self._act(processing, calibration, loop.veto)

    def lift(self, processing: str, calibration: str) -> None:
        self._act(processing, calibration, loop.lift)

    def _act(self, processing: str, calibration: str, verb: Callable[[Session, int, Act], None]) -> None:
        def unit(db: Session) -> None:
            of_this = db.query(Calibration).join(Processing).filter(Processing.name == processing)
            it = of_this.filter(Calibration.name == calibration).one()
            verb(db, it.id, Act(MANAGER, it.version, "as the test wants"))

        self.workplace.database.write(unit)

    def state(self, processing: str) -> ProcessingState:
        with self.workplace.database.read() as db:
            return db.query(Processing).filter_by(name=processing).one().state

    def airflow(self, query: str, *values: str) -> list[Any]:
        """Ask Airflow's own database."""
        uri = f"file:{self.settings.folder('airflow') / 'airflow.db'}?mode=ro"
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(uri, uri=True, timeout=30)) as metadata:
            return metadata.execute(query, values).fetchall()
        return []

    def waits_for_people(self, processing: str) -> None:
        """Until both windows are waited for: no worker is taken."""
        waiting = "SELECT 1 FROM task_instance WHERE dag_id = ? AND state = 'deferred'"
        wait_for(lambda: len(self.airflow(waiting, processing)) == 2, 90)


@pytest.fixture(scope="module")
def b2cal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("b2cal"))
    running.up()
    yield running
    running.stop()
    assert end_leftovers(running.home / "run") == []
    running.workplace.database.dispose()


@pytest.mark.end_to_end
def test_airflow_drives_a_processing_to_its_publication(b2cal: Running) -> None:
    processing = b2cal.processing()
    b2cal.waits_for_people(processing)
    b2cal.veto(processing, "Channel mask")
    b2cal.veto(processing, "Time offsets")
    wait_for(lambda: b2cal.state(processing) is ProcessingState.PUBLISHED, 60)
    runs = "SELECT state FROM dag_run WHERE dag_id = ?"
    wait_for(lambda: b2cal.airflow(runs, processing) == [("success",)], 60)  # none more for an ended processing


@pytest.mark.end_to_end
def test_something_reopened_is_passed_again(b2cal: Running) -> None:
    processing = b2cal.processing()
    b2cal.veto(processing, "Channel mask")
    passed = "SELECT 1 FROM task_instance WHERE dag_id = ? AND state = 'success' AND task_id LIKE '%mask.run'"
    wait_for(lambda: b2cal.airflow(passed, processing), 90)
    b2cal.lift(processing, "Channel mask")
    wait_for(lambda: len(b2cal.airflow("SELECT 1 FROM dag_run WHERE dag_id = ?", processing)) == 2, 60)
    b2cal.waits_for_people(processing)
    for name in ("Channel mask", "Time offsets"):
        b2cal.veto(processing, name)
    wait_for(lambda: b2cal.state(processing) is ProcessingState.PUBLISHED, 60)


@pytest.mark.end_to_end
def test_what_arrives_in_a_watched_folder_is_registered_without_anybody(b2cal: Running, tmp_path: Path) -> None:
    database = b2cal.workplace.database
    database.write(lambda db: data.begin_watch(db, str(tmp_path), "", None, "manager"))

    def failing() -> bool:
        with database.read() as db:
            return any(watch.failing_since is not None for watch in data.watches(db))

    def n_files() -> int:
        with database.read() as db:
            return db.query(DataFile).filter(DataFile.path.startswith(str(tmp_path), autoescape=True)).count()

    wait_for(failing, 60)  # there is no registry yet
    root_file(tmp_path, "bhabha_e0026_r00001.root", 10)
    write_registry(tmp_path, [registry_entry(1)])
    wait_for(n_files, 60)
    wait_for(lambda: not failing(), 60)
    failed = "SELECT 1 FROM task_instance WHERE dag_id = ? AND state = 'failed'"
    assert b2cal.airflow(failed, "_arrival") == []
    database.write(lambda db: data.end_watch(db, str(tmp_path), "", "manager"))


@pytest.mark.end_to_end
def test_old_runs_of_maintenance_are_removed_and_no_others(b2cal: Running) -> None:
    cleaned = "SELECT 1 FROM task_instance WHERE dag_id = '_clean_up' AND state = 'success'"
    wait_for(lambda: b2cal.airflow(cleaned), 120)  # a worker may do it
    begun = "SELECT start_date FROM dag_run WHERE dag_id = ? AND state = 'success' ORDER BY start_date"
    wait_for(lambda: len(b2cal.airflow(begun, "_arrival")) >= 3, 60)
    first, second, *_ = (moment for (moment,) in b2cal.airflow(begun, "_arrival"))
    copies = b2cal.airflow(begun, "_copies")
    at = datetime.fromisoformat(second).replace(tzinfo=UTC) + KEPT - timedelta(milliseconds=1)
    forget_old_runs(b2cal.settings, environment(b2cal.settings, os.environ), ["_arrival"], at)
    left = [moment for (moment,) in b2cal.airflow(begun, "_arrival")]
    assert first not in left
    assert second in left
    assert b2cal.airflow(begun, "_copies")[: len(copies)] == copies


@pytest.mark.end_to_end
def test_what_a_production_has_made_comes_to_tape_without_anybody(b2cal: Running, tmp_path: Path) -> None:
    made = tmp_path / "hadron_e0026_r00099.root"
    made.write_bytes(b"cDST")

    def unit(db: Session) -> None:
        run(db, 99)
        cdst = factories.calibration(db, name="cDST", kind=Kind.PRODUCE, state=State.SIGNED_OFF)
        columns = {"format": DataFormat.CDST, "attempt_id": factories.attempt(db, cdst).id, "size_bytes": 4}
        file(db, 99, "hadron", path=str(made), sha256=sha256_file(made), **columns)

    b2cal.workplace.database.write(unit)
    wait_for(lambda: [it.read_bytes() for it in (b2cal.home / "tape").rglob(made.name)] == [b"cDST"], 60)


@pytest.mark.kill
@pytest.mark.proof
@pytest.mark.parametrize(
    "killed", [("scheduler",), ("triggerer",), ("api-server",), ("dag-processor",), AIRFLOW], ids="+".join
)
def test_a_processing_goes_on_after_a_kill(b2cal: Running, killed: tuple[str, ...]) -> None:
    processing = b2cal.processing()
    b2cal.waits_for_people(processing)
    b2cal.veto(processing, "Channel mask")
    b2cal.kill(*killed)
    b2cal.veto(processing, "Time offsets")
    b2cal.heals()
    wait_for(lambda: b2cal.state(processing) is ProcessingState.PUBLISHED, 60)


@pytest.mark.kill
@pytest.mark.proof
def test_a_processing_goes_on_when_airflows_metadata_is_deleted(b2cal: Running) -> None:
    processing = b2cal.processing()
    b2cal.waits_for_people(processing)
    b2cal.veto(processing, "Channel mask")
    (b2cal.settings.folder("airflow") / "airflow.db").unlink()
    b2cal.veto(processing, "Time offsets")
    wait_for(lambda: b2cal.state(processing) is ProcessingState.PUBLISHED, 180)
    b2cal.heals()


@pytest.mark.kill
@pytest.mark.proof
def test_a_processing_goes_on_when_b2cal_itself_was_killed(b2cal: Running) -> None:
    processing = b2cal.processing()
    b2cal.waits_for_people(processing)
    left = [component["pid"] for component in b2cal.told().values()]
    b2cal.kill_up()
    b2cal.veto(processing, "Channel mask")
    b2cal.veto(processing, "Time offsets")
    b2cal.up()
    assert not set(left) & {component["pid"] for component in b2cal.told().values()}
    wait_for(lambda: b2cal.state(processing) is ProcessingState.PUBLISHED, 60)
