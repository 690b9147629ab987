"""Airflow reads its configuration when it is first imported: these tests give it a home of its own."""

import atexit
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

_AIRFLOW_HOME = mkdtemp(prefix="b2cal-airflow-")
atexit.register(shutil.rmtree, _AIRFLOW_HOME, ignore_errors=True)
os.environ["AIRFLOW_HOME"] = _AIRFLOW_HOME

from b2cal.model import Database  # noqa: E402
from tests import factories  # noqa: E402


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, known to this process as it is to a task of Airflow."""
    for name, folder in (("B2CAL_HOME", ""), ("B2CAL_DAGS", "dags"), ("AIRFLOW_HOME", "airflow")):
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def database(home: Path) -> Iterator[Database]:
    """The calibration database of that home."""
    database = factories.database(home)
    yield database
    database.dispose()
