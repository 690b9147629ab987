"""What holds for every test: no network, no silent skips, no hurry on a busy machine."""

import gc
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import hypothesis
import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.dialects.mysql.pymysql import MySQLDialect_pymysql
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

if TYPE_CHECKING:
    from tests.services.mariadb import Emptied, MariaDb
from b2cal.settings import CondorSettings

# A slow machine is no bug: only the whole test has a time limit. `make proof` looks at many more examples.
hypothesis.settings.register_profile("everyday", max_examples=40, deadline=None, print_blob=True)
hypothesis.settings.register_profile("thorough", max_examples=1000, deadline=None, print_blob=True)
hypothesis.settings.load_profile("everyday")

NEEDS_LOOPBACK = ("service", "contract", "browser", "end_to_end", "kill", "proof")


_compiled: dict[object, object] = {}


@event.listens_for(Engine, "engine_connect")
def _share_compiled_statements(connection: Connection) -> None:
    """Nearly every test has a database of its own; what was compiled for the first of a kind serves the others."""
    connection.execution_options(compiled_cache=_compiled)


for kind in (SQLiteDialect_pysqlite, MySQLDialect_pymysql):  # the key of a compiled statement holds the dialect
    kind.__hash__ = lambda self: hash(type(self))  # type: ignore[method-assign]
    kind.__eq__ = lambda self, other: type(self) is type(other)  # type: ignore[method-assign]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with real servers may talk to this machine; a unit test says so with `@pytest.mark.allow_hosts([...])`."""
    for item in items:
        if any(item.get_closest_marker(mark) for mark in NEEDS_LOOPBACK):
            item.add_marker(pytest.mark.allow_hosts(["127.0.0.1", "::1"]))


def pytest_collection_finish() -> None:
    """What was imported stays: to look for garbage in it again and again costs the unit tests a tenth of their time."""
    gc.collect()
    gc.freeze()


def _no_silent_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """On CI everything is there that a test may need: what is skipped there is lost."""
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{reason}\nA skip on CI is a failure: what the test needs must be there."


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _no_silent_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _no_silent_skip(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One loud line per reason to skip, at the end, where it is seen."""
    skipped: dict[str, list[str]] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        skipped.setdefault(str(reason), []).append(report.nodeid)
    for reason, tests in skipped.items():
        more = f" and {len(tests) - 1} more" if len(tests) > 1 else ""
        terminalreporter.write_line(f"NOT TESTED {tests[0]}{more}: {reason}", yellow=True, bold=True)


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator["MariaDb"]:
    """A MariaDB server, started once."""
    from tests.services.mariadb import MISSING, running

    if MISSING:
        pytest.skip(MISSING)
    with running(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture(scope="session")
def emptied(mariadb: "MariaDb") -> "Emptied":
    """A database of that server with all tables, to be used by one test after the other."""
    from tests.services.mariadb import Emptied

    return Emptied(mariadb)


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of the small profile, simulated once."""
    from b2cal.cli.data import run_simulation

    folder = tmp_path_factory.mktemp("simulated") / "data"
    run_simulation(folder, "small", seed=1)
    (folder / "complete").touch()
    return folder


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory, simulated: Path) -> Path:
    """A home in which only the processing is missing, with Airflow's metadata; made once, each test works on a copy."""
    from tests.small_loop import furnish, migrate_airflow

    home = furnish(tmp_path_factory.mktemp("furnished") / "home", simulated)
    migrate_airflow(home)
    return home


@pytest.fixture(scope="session")
def pool() -> Iterator[None]:
    """A real HTCondor pool of two slots whose jobs have the process numbers that this machine shows."""
    from tests.services.pool import HERE, running_pool

    with (
        TemporaryDirectory(prefix="b2cal-pool-", dir="/tmp") as folder,
        running_pool(Path(folder), CONDOR_SLOTS="2", CONDOR_PIDS="shared", CONDOR_EXTRA=str(HERE / "machines.conf")),
    ):
        yield


@pytest.fixture
def pool_settings(pool: None) -> CondorSettings:
    """How b2cal is told of that pool."""
    return CondorSettings(
        backend="htcondor",
        python=sys.executable,
        submit={"request_disk": "1024"},
        memory_mb=64,
        max_memory_mb=512,
        job_lease_s=20,
        look_every_s=1,
        host="SiteHost",
    )
