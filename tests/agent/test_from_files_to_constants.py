"""Runtime, agent, local backend, wrapper and stages together: from ROOT files to constants with real jobs."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import uproot
from sqlalchemy import select

from b2cal import loop
from b2cal.agent import Agent
from b2cal.batch import LocalBackend
from b2cal.batch.condor import CondorBackend
from b2cal.calibration import Payload
from b2cal.core.checksums import sha256_file
from b2cal.core.iov import ExpRun, IoV
from b2cal.data import NewFile
from b2cal.model import GroupState, Job, JobGroup, JobState, Kind, Outcome, State
from b2cal.runtime import (
    Constants,
    Ended,
    InputFile,
    JobOutcome,
    StageOutcome,
    WantGroup,
    Work,
    measure_step,
    measurements,
    next_step,
)
from b2cal.settings import BatchSettings
from tests import factories
from tests.services.xrootd import Door, adler32_of, two_running

pytestmark = pytest.mark.contract

FIRST = ExpRun(26, 100)

SCRIPT = '''
"""Mean of the times, found in two iterations."""
import numpy as np
from b2cal.calibration import *

settings = CalibrationSettings("Time offset", "ecl", __doc__, ["raw"], ["bhabha"], expert_config={"precision": 1e-9})


class TimeOffset(Calibration):
    branches = ["time"]
    max_iterations = 3

    def collect(self, events, conditions, config):
        residual = events["time"] - conditions["TimeOffset"]["offset"]
        return {"n": np.array([events.size]), "sum": np.array([residual.sum()])}

    def fit(self, collected, conditions, config, iov):
        if collected["n"][0] < 10:
            raise NotEnoughData(10, collected["n"][0])
        shift = collected["sum"][0] / collected["n"][0]
        new = Payload("TimeOffset", iov, {"offset": conditions["TimeOffset"]["offset"] + shift})
        return new if abs(shift) < config["precision"] else Iterate(new)

    def measure(self, payloads, collected, conditions, config):
        return [Measurement("offset", payloads[0].values["offset"], previous=conditions["TimeOffset"]["offset"])]
'''

SKIM = '''
"""The same events."""
from b2cal.calibration import *

settings = CalibrationSettings("Skim", "ecl", __doc__, ["raw"], ["bhabha"])


class Skim(Production):
    branches = ["time"]

    def produce(self, events, conditions, config):
        return {"time": events["time"]}
'''


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Work:
    """Five runs with a mean of about 3 ns, constants of 0 to start with, and the script."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "release").mkdir()
    (folder / "release/time_offset.py").write_text(SCRIPT)
    rng = np.random.default_rng(26)
    files = [_raw_file(folder, ExpRun(26, 100 + n), rng.normal(3.0, 1.0, 1000)) for n in range(5)]
    start = Payload("TimeOffset", IoV(ExpRun(0, 0), None), {"offset": [0.0]})
    start.write(folder / "start.root")
    requested = IoV(FIRST, None)
    return Work(
        kind=Kind.CALIBRATE,
        module="time_offset",
        release=folder / "release",
        config={"precision": 1e-9},
        traits={"strategy": "single", "max_iterations": 3},
        seed="5eed",
        files=tuple(files),
        conditions=(Constants("TimeOffset", 0, requested.last_number, str(folder / "start.root"), start.identity),),
        requested=requested,
        bytes_per_job=1,
    )


def _raw_file(folder: Path, run: ExpRun, times) -> InputFile:
    path = folder / f"bhabha_e{run.exp:04}_r{run.run:05}.root"
    with uproot.recreate(path) as file:
        file.mktree("events", {"time": "f8"}).extend({"time": times})
    return InputFile(str(path), "bhabha", "bhabha", run.number, sha256_file(path), path.stat().st_size, len(times))


class Attempt:
    """Does with an attempt what the loop does: asks the runtime, wants groups, waits for the agent."""

    def __init__(self, site, work: Work, centre: str = "local", agent: Agent | None = None, **backends) -> None:
        self.site = site
        self.work = work
        self.agent = agent or site.agent(**backends)
        site.backend = LocalBackend(site.database, 2)
        self.id = site.database.write(lambda db: self._begin(db, centre))

    @staticmethod
    def _begin(db, centre: str) -> int:
        processing = factories.processing(db, centre=centre)
        return factories.attempt(db, factories.calibration(db, processing, state=State.RUNNING)).id

    def run(self) -> Ended:
        while not isinstance(step := next_step(self.work), Ended):
            assert step is not None
            self.work = replace(self.work, stages=(*self.work.stages, self.carried_out(step)))
        return step

    def carried_out(self, wanted: WantGroup) -> StageOutcome:
        group_id = self.site.database.write(lambda db: self._want(db, wanted))
        group = self.site.run_until(self.agent, group_id, GroupState.DONE, GroupState.FAILED)
        jobs = tuple(
            JobOutcome(
                job["number"],
                job["state"],
                self.site.settings.attempts / job["folder"] if job["state"] is JobState.DONE else None,
                job["error"],
            )
            for job in group["jobs"]
        )
        failed = group["state"] is GroupState.FAILED
        return StageOutcome(wanted.stage, wanted.iteration, finished=True, failed=failed, jobs=jobs)

    def _want(self, db, wanted: WantGroup) -> int:
        attempt = db.get_one(factories.Attempt, self.id)
        group: JobGroup = factories.group(
            db, attempt, 0, stage=wanted.stage, iteration=wanted.iteration, spec=wanted.spec
        )
        for number, job in enumerate(wanted.jobs):
            row: Job = factories.job(db, group, number, label=job.label, spec=job.spec)
            assert row.id
        return group.id


def test_two_iterations_give_constants_that_are_the_same_however_the_runs_are_spread_over_jobs(site, inputs):
    spread = Attempt(site, inputs)
    together = Attempt(site, replace(inputs, bytes_per_job=10**9))
    ended = [attempt.run() for attempt in (spread, together)]
    assert [each.outcome for each in ended] == [Outcome.CONSTANTS, Outcome.CONSTANTS]
    assert all(each.converged for each in ended)
    assert [len(attempt.work.stages[0].jobs) for attempt in (spread, together)] == [5, 1]
    assert len(spread.work.stages) == 4
    (one,), (other,) = (each.payloads for each in ended)
    assert one.identity == other.identity
    assert (one.first, one.last) == (inputs.requested.first.number, inputs.requested.last_number)
    assert ended[0].names_read == {"TimeOffset"}
    offset = Payload.read(one.path, inputs.requested).values["offset"][0]
    assert offset == pytest.approx(3.0, abs=0.05)

    new = Constants(one.name, one.first, one.last, str(one.path), one.identity)
    (measured,) = measurements(spread.carried_out(measure_step(spread.work, [new]))).measurements
    assert (measured["name"], measured["values"], measured["previous"]) == ("offset", [offset], [0.0])


def test_on_an_htcondor_pool_the_same_inputs_give_the_same_constants(site, inputs, pool_settings, tmp_path):
    pool = CondorBackend(pool_settings, tmp_path / "events")
    here = Attempt(site, inputs).run()
    there = Attempt(site, inputs, "pool", pool=pool).run()
    assert there.outcome is Outcome.CONSTANTS
    assert [payload.identity for payload in there.payloads] == [payload.identity for payload in here.payloads]


@pytest.fixture
def doors(site, inputs, tmp_path):
    """Two doors of a storage with the input files and a folder for output, in the settings of this machine."""
    with two_running(tmp_path / "doors") as servers:
        for file in inputs.files:
            shutil.copy(file.path, servers[0].files)
        (servers[0].files / "cdst").mkdir()
        addresses = tuple(server.url() for server in servers)
        storage = BatchSettings(slots=2, doors=addresses, output=f"{addresses[0]}cdst")
        site.settings = site.settings.model_copy(update={"batch": storage})
        yield servers


def _behind(door: Door, file: InputFile) -> InputFile:
    url = door.url(Path(file.path).name)
    return replace(file, path=url, sha256=adler32_of(url))


def test_from_behind_doors_the_same_inputs_give_the_same_constants_also_when_the_first_is_shut(site, inputs, doors):
    there = replace(inputs, files=tuple(_behind(doors[0], file) for file in inputs.files), bytes_per_job=10**9)
    agent = site.agent()
    here = Attempt(site, inputs, agent=agent).run()
    doors[0].stop()
    ended = Attempt(site, there, agent=agent).run()
    assert ended.outcome is Outcome.CONSTANTS
    assert [payload.identity for payload in ended.payloads] == [payload.identity for payload in here.payloads]


def test_what_a_production_brings_behind_a_door_is_registered_and_read_from_there(site, inputs, doors, tmp_path):
    release = tmp_path / "release"
    release.mkdir()
    (release / "time_offset.py").write_text(SKIM)
    skim = replace(inputs, kind=Kind.PRODUCE, release=release, files=(_behind(doors[0], inputs.files[0]),))
    agent = site.agent()
    (produced,) = Attempt(site, skim, agent=agent).run().files
    new = NewFile.of(produced, site.settings, "local")
    with site.database.read() as db:
        place = loop.place_in_output(db, db.scalars(select(JobGroup)).one())
    assert new.path.startswith(f"{site.settings.batch.output}/{place}/")
    cdst = InputFile(new.path, "bhabha", "bhabha", new.exprun, new.sha256, new.size_bytes, new.n_events)
    works = [replace(inputs, files=(file,)) for file in (cdst, inputs.files[0])]
    from_cdst, from_raw = (Attempt(site, work, agent=agent).run() for work in works)
    assert [payload.identity for payload in from_cdst.payloads] == [payload.identity for payload in from_raw.payloads]


def test_too_little_data_is_nothing_to_publish(site, inputs, tmp_path):
    few = (_raw_file(tmp_path, FIRST, [1.0, 2.0]),)
    ended = Attempt(site, replace(inputs, files=few)).run()
    assert ended.outcome is Outcome.NOTHING
    assert "10" in ended.message


def test_a_missing_branch_fails_the_attempt_and_names_it(site, inputs, tmp_path):
    path = tmp_path / "bhabha_e0026_r00100.root"
    with uproot.recreate(path) as file:
        file.mktree("events", {"energy": "f8"}).extend({"energy": [1.0]})
    other = (InputFile(str(path), "bhabha", "bhabha", FIRST.number, sha256_file(path), 1000, 1),)
    ended = Attempt(site, replace(inputs, files=other)).run()
    assert ended.outcome is Outcome.FAILED
    assert "time" in ended.message


def test_a_truncated_file_is_named_and_tried_again_before_the_attempt_fails(site, inputs, tmp_path):
    good = _raw_file(tmp_path, FIRST, np.ones(100))
    with open(good.path, "r+b") as file:
        file.truncate(200)
    attempt = Attempt(site, replace(inputs, files=(good,)))
    stage = attempt.carried_out(next_step(attempt.work))
    assert stage.failed
    with site.database.read() as db:
        first, again = db.query(JobGroup).where(JobGroup.attempt_id == attempt.id).order_by(JobGroup.round)
        (job,) = first.jobs
        assert (job.exit_code, again.state) == (74, GroupState.WANTED)
        assert "exit 74" in job.retry
        log = site.backend.log(job.batch_id)
    assert good.path.encode() in log
