"""The folders of jobs are made whole, or not at all."""

import json
import os
import resource
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import b2cal
from b2cal.agent.folders import CannotPrepare, PlannedGroup, prepare, ship_code, shipped_code
from b2cal.core import files
from b2cal.core.files import flush_file_system
from b2cal.settings import BatchSettings, CondorSettings, LsfSettings


def planned(**changes) -> PlannedGroup:
    values = {
        "name": "bucket1/Time offsets/collect-0",
        "attempt_id": 5,
        "stage": "collect",
        "iteration": 0,
        "round": 0,
        "interpreter": "",
        "spec": {"stage": "collect", "release": "/releases/5eed"},
        "parts": {number: {"inputs": [number]} for number in range(3)},
    }
    return PlannedGroup(**values | changes)


@pytest.fixture
def full_disk():
    """No file may grow: what this process writes fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_every_job_has_its_own_whole_folder(tmp_path):
    prepare(tmp_path, planned(), 2)
    folders = sorted(tmp_path.glob("5/collect-0/r0e2/*/1"))
    assert len(folders) == 3
    assert all({path.name for path in f.iterdir()} == {"job.json", "wrapper.json", "job.py", "shared"} for f in folders)


def test_jobs_know_the_doors_of_their_centre_and_how_patient_they_are(tmp_path):
    storage = BatchSettings(doors=("root://a//store", "root://b//store"), xrootd="2021")
    prepare(tmp_path, planned(doors=storage.doors, environment=storage.environment), 1)
    folder = tmp_path / "5/collect-0/r0e1/0/1"
    assert json.loads((folder / "job.json").read_text())["doors"] == ["root://a//store", "root://b//store"]
    environment = json.loads((folder / "wrapper.json").read_text())["env"]
    assert environment.items() >= {"XRD_CONNECTIONWINDOW": "600", "XRD_CONNECTIONRETRY": "25"}.items()


@pytest.mark.parametrize(
    ("storage", "n_jobs", "within_s"),
    [
        (CondorSettings(backend="htcondor"), 20, 0),
        (CondorSettings(backend="htcondor"), 100, 5),
        (CondorSettings(backend="htcondor", opens_per_s=50), 100, 2),
        (CondorSettings(backend="htcondor"), 10_000, 60),
        (CondorSettings(backend="htcondor", start_delay_s=1), 10_000, 0),
        (BatchSettings(slots=4), 10_000, 0),
        (LsfSettings(backend="lsf", max_array=1000, max_running=10), 10_000, 5),
        (LsfSettings(backend="lsf", max_running=10), 1000, 0),
    ],
)
def test_many_jobs_that_start_at_once_begin_to_read_one_after_the_other(storage, n_jobs, within_s):
    group = planned(open_spread_s=storage.open_spread_s(n_jobs))
    for first in (0, n_jobs // 2):  # those that start together are neighbours
        waits = [group.storage(number).get("opens_after_s", 0) for number in range(first, first + 20)]
        assert waits == [group.storage(number).get("opens_after_s", 0) for number in range(first, first + 20)]
        between = [later - earlier for earlier, later in pairwise(sorted([0, *waits, within_s]))]
        assert max(waits) <= within_s
        assert max(between) <= within_s * 0.1


@pytest.mark.parametrize(("named", "runs"), [("", "/new/venv/bin/python"), ("/cvmfs/python", "/cvmfs/python")])
def test_jobs_run_in_the_interpreter_of_their_release_or_else_in_the_one_that_runs_b2cal(
    tmp_path, monkeypatch, named, runs
):
    monkeypatch.setattr(sys, "executable", "/new/venv/bin/python")  # as after an upgrade
    prepare(tmp_path, planned(interpreter=named), 1)
    command = json.loads((tmp_path / "5/collect-0/r0e1/0/1/wrapper.json").read_text())["command"]
    assert command[0] == runs


def test_on_a_full_disk_nothing_half_is_left_and_the_message_says_what_to_do(tmp_path, full_disk):
    ship_code(tmp_path / "5")
    before = sorted(tmp_path.rglob("*"))
    full_disk()
    with pytest.raises(CannotPrepare, match="File too large") as refused:
        prepare(tmp_path, planned(), 1)
    assert "Make room" in refused.value.hint
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before] == [tmp_path / "5/collect-0"]


def test_on_a_full_disk_no_half_copy_of_the_code_is_left(tmp_path, full_disk):
    full_disk()
    with pytest.raises(CannotPrepare):
        prepare(tmp_path, planned(), 1)
    assert list(tmp_path.rglob("*.py")) == []
    assert list((tmp_path / "5").iterdir()) == []


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def flushed(monkeypatch) -> list[dict[str, bytes]]:
    """What lay in a folder each time that the file system was flushed for it."""
    seen = []

    def noted(folder):
        seen.append(contents(folder))
        flush_file_system(folder)

    monkeypatch.setattr(files, "flush_file_system", noted)
    return seen


def test_the_code_of_an_attempt_is_on_the_disk_before_anybody_can_find_it(tmp_path, flushed):
    ship_code(tmp_path / "5")
    assert flushed == [contents(tmp_path / "5/code")]
    assert "b2cal/calibration/job.py" in flushed[0]


def test_the_folders_of_jobs_are_on_the_disk_before_the_batch_system_can_hear_of_them(tmp_path, flushed):
    ship_code(tmp_path / "5")
    flushed.clear()
    prepare(tmp_path, planned(), 1)
    assert flushed == [contents(tmp_path / "5/collect-0/r0e1")]
    assert len([name for name in flushed[0] if name.endswith(".json") and "shared" not in name]) == 6


def test_the_code_of_an_attempt_is_copied_once_and_stays(tmp_path):
    code = ship_code(tmp_path / "5")
    (code / "marker").touch()
    assert ship_code(tmp_path / "5") == code
    assert (code / "marker").exists()
    assert not list(code.rglob("__pycache__"))


def test_a_job_runs_the_code_of_its_attempt_not_what_is_installed(tmp_path):
    prepare(tmp_path, planned(), 1)
    (folder,) = tmp_path.glob("5/collect-0/r0e1/0/1")
    wrapper = json.loads((folder / "wrapper.json").read_text())
    python = wrapper["command"][:2]
    shown = subprocess.run(
        [*python, "-c", "import b2cal.core.iov; print(b2cal.core.iov.__file__)"],
        cwd=folder,
        env={**os.environ, **wrapper["env"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(folder, shown.stdout.strip()).resolve() == (tmp_path / "5/code/b2cal/core/iov.py").resolve()


def test_the_code_of_the_jobs_is_known_by_its_version_and_contents_wherever_it_lies(tmp_path):
    one, other = (ship_code(tmp_path / name).parent for name in ("5", "6"))
    assert shipped_code(one) == shipped_code(other)
    assert shipped_code(one).version == b2cal.version()
    (other / "code/b2cal/calibration/__pycache__").mkdir()
    (other / "code/b2cal/calibration/__pycache__/fit.cpython-311.pyc").touch()
    assert shipped_code(one) == shipped_code(other)
    fit = other / "code/b2cal/calibration/fit.py"
    fit.write_text(fit.read_text() + "# another line\n")
    assert shipped_code(one).digest != shipped_code(other).digest


def test_code_that_was_shipped_before_its_version_was_kept_is_told_by_its_contents(tmp_path):
    code = ship_code(tmp_path / "5")
    kept = shipped_code(tmp_path / "5")
    (code / "version").unlink()
    assert (shipped_code(tmp_path / "5").version, shipped_code(tmp_path / "5").digest) == ("unknown", kept.digest)
