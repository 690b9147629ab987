"""Files of productions, and files that came too late for an attempt."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select

from b2cal.core.checksums import sha256_file
from b2cal.core.iov import ExpRun
from b2cal.data import NewFile, UnusableFile, late_files, register_produced
from b2cal.model import AttemptFile, DataFile, DataFormat, Kind
from b2cal.settings import Settings
from tests import factories
from tests.data.catalogues import VOCABULARY, file, root_file, run


@dataclass(frozen=True)
class Written:
    """What a production's job reports."""

    path: Path
    data_name: str = "bhabha"
    exprun: int = ExpRun(26, 150).number
    n_events: int = 10
    checksum: str = ""


@pytest.fixture
def db(tmp_path):
    database = factories.database(tmp_path)
    with database.read() as db:
        yield db
    database.dispose()


@pytest.fixture
def attempt(db):
    """Started on the file of run 150; its processing goes from run 100 to 200."""
    release = factories.release(db, vocabulary=VOCABULARY)
    calibration = factories.calibration(db, factories.processing(db, release=release))
    submission = factories.submission(db, calibration, selection={"filters": {"bhabha": ["Good"]}})
    attempt = factories.attempt(db, calibration, submission=submission)
    run(db, 150)
    first = file(db, 150)
    db.flush()
    db.add(AttemptFile(attempt_id=attempt.id, data_file_id=first.id, data_name="bhabha", sha256=first.sha256))
    db.flush()
    return attempt


def test_a_produced_file_is_registered_once_however_often(db, attempt, tmp_path):
    path = root_file(tmp_path, "bhabha_e0026_r00150.root", 10)
    new = NewFile.of(Written(path), Settings(), "local")
    for _ in range(2):
        register_produced(db, attempt.id, [new])
    row = db.scalars(select(DataFile).where(DataFile.attempt_id == attempt.id)).one()
    assert (row.path, row.data_name, row.format, row.n_events) == (str(path), "bhabha", DataFormat.CDST, 10)
    assert (row.exprun, row.sha256) == (ExpRun(26, 150).number, sha256_file(path))


def test_a_produced_file_that_is_not_whole_is_refused(tmp_path):
    path = root_file(tmp_path, "bhabha_e0026_r00150.root", 10)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UnusableFile, match="truncated"):
        NewFile.of(Written(path), Settings(), "local")
    with pytest.raises(UnusableFile, match="No such file"):
        NewFile.of(Written(tmp_path / "nowhere.root"), Settings(), "local")


def test_nothing_is_late_for_an_attempt_that_has_everything(db, attempt):
    assert late_files(db, attempt.id) == []


def test_a_file_that_came_after_the_start_is_late_if_the_selection_takes_it(db, attempt):
    run(db, 151)
    late = file(db, 151)
    run(db, 152, {"Data Quality Tag": []})
    file(db, 152)
    run(db, 300)
    file(db, 300)
    assert late_files(db, attempt.id) == [late]


def test_a_file_that_changed_after_the_start_is_late(db, attempt):
    changed = attempt.files[0].file
    changed.sha256 = "1" * 64
    db.flush()
    assert late_files(db, attempt.id) == [changed]


def test_a_file_that_is_read_under_one_name_and_would_be_under_two_is_late_once(db, attempt):
    attempt.submission.selection = {"filters": {"bhabha": ["Good"], "all": ["bhabha"]}}
    settings = attempt.calibration.definition.settings
    attempt.calibration.definition.settings = {**settings, "input_data_names": ["all", "bhabha"]}
    db.flush()
    assert late_files(db, attempt.id) == [attempt.files[0].file]


def test_a_copied_calibration_reads_no_files_so_none_is_late(db, attempt):
    attempt.calibration.kind = Kind.COPY
    attempt.files[0].file.sha256 = "1" * 64
    db.flush()
    assert late_files(db, attempt.id) == []
