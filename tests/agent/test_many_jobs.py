"""Thousands of jobs on a real HTCondor pool: each exists and runs once, and its end is noticed soon."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import htcondor2
import numpy as np
import pytest
from sqlalchemy import func, insert, select

from b2cal.batch import JobReport
from b2cal.model import GroupState, Job, JobGroup, JobState
from b2cal.settings import CondorSettings
from tests.services.pool import running_pool
from tests.waiting import wait_for

from .conftest import Site
from .test_killed import killed_at, running_agent

pytestmark = pytest.mark.contract

SLOTS = 16
LATEST_S = 2.0
SECONDS_PER_QUERY = 10.0

WORKER = r"""#!/bin/sh
# Stands where the Python of a release does; the shell starts sooner.
for name in collected.npz collected.json; do : >outputs/$name; done
sleep "$(sed -n 's/.*"sleep_s": \([0-9.]*\).*/\1/p' job.json)"
"""

Environment = dict[str, str]


@pytest.fixture
def wide_pool(tmp_path: Path, pool_settings: CondorSettings) -> Iterator[Path]:
    """The folder of a pool of many slots, whose schedd notes what it is asked."""
    noted = tmp_path / "noted.conf"
    noted.write_text("SCHEDD_DEBUG = D_COMMAND\nMAX_SCHEDD_LOG = 1 Gb\nMAX_HISTORY_LOG = 1000000000\n")
    with (
        TemporaryDirectory(prefix="b2cal-pool-", dir="/tmp") as folder,
        running_pool(Path(folder), CONDOR_SLOTS=str(SLOTS), CONDOR_EXTRA=str(noted)),
    ):
        yield Path(folder)


@pytest.fixture
def agents(wide_pool: Path, pool_settings: CondorSettings) -> Environment:
    """What an agent must find in its environment to use that pool, with the times that b2cal has by itself."""
    usual = CondorSettings(backend="htcondor")
    changed = {"look_every_s": usual.look_every_s, "memory_mb": 32, "host": usual.host}
    described = {"pool": pool_settings.model_copy(update=changed).model_dump(mode="json")}
    return {"B2CAL_CENTRES": json.dumps(described), "B2CAL_BATCH__POLL_INTERVAL_S": "0.25"}


def want(site: Site, n_jobs: int, sleep_s: float) -> int:
    """A wanted group, of which the first job is made as in the other tests and the others like it, all at once."""
    site.interpreter.write_text(WORKER)
    group_id = site.want({}, centre="pool", spec={"sleep_s": sleep_s})

    def more(db: Any) -> None:
        first = db.scalars(select(Job).where(Job.group_id == group_id)).one()
        alike = {"group_id": group_id, "label": "", "spec": {}, "state": first.state}
        db.execute(insert(Job), [alike | {"number": number} for number in range(1, n_jobs)])

    site.database.write(more)
    return group_id


def asked(site: Site, statement: Any) -> Any:
    with site.database.read() as db:
        return db.execute(statement).scalar_one()


def n_done(site: Site, group_id: int) -> int:
    return asked(site, select(func.count()).where(Job.group_id == group_id, Job.state == JobState.DONE))


def follow(site: Site, group_id: int, patience_s: float, look: Callable[[], None]) -> None:
    """Look again and again until the group has come to its end, which must be a good one."""
    give_up_at = time.monotonic() + patience_s
    while not (state := asked(site, select(JobGroup.state).where(JobGroup.id == group_id))).ended:
        assert time.monotonic() < give_up_at, f"{n_done(site, group_id)} jobs are done"
        look()
        time.sleep(0.1)
    assert state is GroupState.DONE


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("n_jobs", [1000, pytest.param(10_000, marks=pytest.mark.proof)])
def test_killed_before_and_after_the_submission_every_job_exists_and_runs_once(
    site: Site, agents: Environment, n_jobs: int
) -> None:
    group_id = want(site, n_jobs, sleep_s=0)
    killed_at(site, "intent-to-submit", **agents)
    killed_at(site, "submit-to-record", **agents)
    with running_agent(site, **agents):
        follow(site, group_id, 60 + 0.3 * n_jobs, look=lambda: None)
    assert n_done(site, group_id) == n_jobs
    token = asked(site, select(JobGroup.token).where(JobGroup.id == group_id))
    of_it = f'B2calToken == "{token}"'
    wait_for(lambda: not htcondor2.Schedd().query(of_it, ["ProcId"]), "all have left the queue")
    told = htcondor2.Schedd().history(of_it, ["B2calNumber", "B2calEpoch", "NumJobStarts"])
    ran = [(ad["B2calEpoch"], ad["B2calNumber"], ad["NumJobStarts"]) for ad in told]
    assert sorted(ran) == [(2, number, 1) for number in range(n_jobs)]


@pytest.mark.proof
@pytest.mark.timeout(1200)
def test_the_end_of_95_percent_of_jobs_is_in_the_database_within_two_seconds_while_the_schedd_is_hardly_asked(
    site: Site, wide_pool: Path, agents: Environment, record_property: Callable[[str, object], None]
) -> None:
    group_id = want(site, 1000, sleep_s=300 * SLOTS / 1000)
    noticed: dict[int, datetime] = {}

    def look() -> None:
        with site.database.read() as db:
            done = db.scalars(select(Job.number).where(Job.group_id == group_id, Job.state == JobState.DONE)).all()
        at = datetime.now(UTC)
        noticed.update({number: at for number in done if number not in noticed})

    with running_agent(site, **agents):
        started = time.monotonic()
        follow(site, group_id, 900, look)
        look()
        took_s = time.monotonic() - started
    ended = {job["number"]: _ended(site.settings.attempts / job["folder"]) for job in site.group(group_id)["jobs"]}
    late_s = [(noticed[number] - ended[number]).total_seconds() for number in ended]
    at_95, latest = np.percentile(late_s, 95), max(late_s)
    n_queries = (wide_pool / "log" / "SchedLog").read_text().count("(QUERY_JOB_ADS")
    for name, value in (("ended within", took_s), ("95 %", at_95), ("latest", latest), ("queries", n_queries)):
        record_property(name, round(float(value), 2))
    assert took_s > 280
    assert at_95 <= LATEST_S
    assert 0 < n_queries <= took_s / SECONDS_PER_QUERY


def _ended(folder: Path) -> datetime:
    report = JobReport.read(folder)
    assert report is not None
    assert report.ended_at is not None
    return report.ended_at
