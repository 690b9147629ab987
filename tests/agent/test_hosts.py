"""A host that fails jobs gets no more of them until a probe has come through there."""

import sys
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select, update
from sqlalchemy.orm import Session

from b2cal.agent.hosts import look_at_hosts
from b2cal.batch import Backend
from b2cal.batch.condor import CondorBackend
from b2cal.batch.lsf import LsfBackend
from b2cal.core.clock import ManualClock, SystemClock
from b2cal.core.failures import Failure, Source
from b2cal.model import Attempt, GroupState, Incident, IncidentKind, Job, JobState, Stage
from b2cal.settings import CondorSettings, LsfSettings
from tests import factories
from tests.batch.conftest import OFTEN
from tests.services.lsf.cluster import running_lsf

from .conftest import Site, columns_of

pytestmark = [pytest.mark.contract, pytest.mark.timeout(600)]

PAUSE = timedelta(seconds=60)
N_JOBS = 24


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(SystemClock().now())


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """While this file is there the host h2 fails every job."""
    file = tmp_path / "broken"
    file.touch()
    return file


@pytest.fixture
def htcondor(pool_settings: CondorSettings, tmp_path: Path) -> Backend:
    return CondorBackend(pool_settings, tmp_path / "events")


@pytest.fixture
def lsf(tmp_path: Path) -> Iterator[Backend]:
    with running_lsf(tmp_path / "lsf") as cluster:
        settings = LsfSettings(backend="lsf", path=str(cluster.commands), python=sys.executable, **OFTEN)
        yield LsfBackend(settings, tmp_path / "journal")


IS_H2 = "(os.environ.get('LSB_HOSTS') or os.environ['_CONDOR_SLOT'].replace('slot', 'h')) == 'h2'"


def work(broken: Path, but_how: str = "75") -> dict[str, str]:
    return {"do": f"if {IS_H2} and os.path.exists({str(broken)!r}): sys.exit({but_how})\ntime.sleep(0.2)"}


def ended_on(site: Site, host: str) -> list[JobState]:
    with site.database.read() as db:
        return list(db.scalars(select(Job.state).where(Job.host == host).order_by(Job.ended_at)))


def incidents(site: Site) -> list[dict]:
    with site.database.read() as db:
        return [columns_of(row) for row in db.scalars(select(Incident).order_by(Incident.id))]


@pytest.mark.parametrize("system", ["htcondor", "lsf"])
def test_a_host_that_fails_jobs_gets_no_more_and_comes_back_when_a_probe_has_come_through(
    site: Site, clock: ManualClock, broken: Path, system: str, request: pytest.FixtureRequest
) -> None:
    agent = site.agent(centre=request.getfixturevalue(system))
    group_id = site.want(*[work(broken)] * N_JOBS, centre="centre")
    site.run(agent, lambda: site.group(group_id)["state"].ended, "all have ended")
    (trouble,) = incidents(site)
    assert (trouble["kind"], trouble["about"], trouble["live"]) == (IncidentKind.HOST, "h2", True)
    assert trouble["reason"].startswith("h2 has failed 5 jobs in succession, each within 60 s")
    n_failed = len(ended_on(site, "h2"))
    assert 5 <= n_failed <= 20
    assert set(ended_on(site, "h2")) == {JobState.FAILED}

    clock.advance(PAUSE)
    site.run(agent, lambda: site.rounds(group_id)[-1]["state"] is GroupState.DONE, "the others do what it failed")
    assert len(ended_on(site, "h2")) == n_failed
    site.run(agent, lambda: not incidents(site)[0]["probe_token"], "the first probe has failed")
    assert (incidents(site)[0]["live"], incidents(site)[0]["probes"]) == (True, 1)

    broken.unlink()
    clock.advance(2 * PAUSE)
    site.run(agent, lambda: incidents(site)[0]["live"] is None, "the second has come through")
    after = site.want(*[work(broken)] * 10, centre="centre")
    site.run(agent, lambda: site.group(after)["state"].ended, "all have ended")
    assert JobState.DONE in ended_on(site, "h2")


def test_no_host_is_to_blame_where_jobs_fail_on_all_of_them(site: Site, lsf: Backend) -> None:
    agent = site.agent(centre=lsf)
    group_id = site.want(*[{"do": "sys.exit(75)"}] * 16, centre="centre")
    site.run(agent, lambda: site.group(group_id)["state"].ended, "all have ended")
    assert min(len(ended_on(site, host)) for host in ("h1", "h2")) >= 5
    assert [it for it in incidents(site) if it["kind"] is IncidentKind.HOST] == []


def test_a_host_is_not_to_blame_for_what_fails_for_good_everywhere(site: Site, broken: Path, lsf: Backend) -> None:
    """Another calibration does well meanwhile, on both hosts."""
    agent = site.agent(centre=lsf)
    wrong = site.want(*[{"do": "sys.exit('ValueError: the script is wrong')"}] * 16, centre="centre")
    well = site.want(*[{}] * 8, centre="centre")
    site.run(agent, lambda: site.group(wrong)["state"].ended and site.group(well)["state"].ended, "all have ended")
    assert len(ended_on(site, "h2")) >= 5
    assert incidents(site) == []
    assert len(site.rounds(wrong)) == 1


def test_a_host_is_to_blame_for_what_the_rules_give_up_and_its_siblings_do_elsewhere(
    site: Site, clock: ManualClock, broken: Path, lsf: Backend
) -> None:
    agent = site.agent(centre=lsf)
    group_id = site.want(*[work(broken, "'ValueError: here all is wrong'")] * 16, centre="centre")
    site.run(agent, lambda: site.group(group_id)["state"].ended, "all have ended")
    (trouble,) = incidents(site)
    assert (trouble["kind"], trouble["about"], trouble["live"]) == (IncidentKind.HOST, "h2", True)
    assert "the last by ValueError: here all is wrong" in trouble["reason"]
    told = {job["retry"].partition(" Tried again")[0] for job in site.group(group_id)["jobs"] if job["retry"]}
    assert told == {"Rule exit 1, never: the script failed, and would fail again. But its host, h2, is to blame."}
    clock.advance(PAUSE)
    site.run(agent, lambda: site.rounds(group_id)[-1]["state"] is GroupState.DONE, "the others do what it failed")
    broken.unlink()
    clock.advance(2 * PAUSE)
    site.run(agent, lambda: incidents(site)[0]["live"] is None, "a probe has come through")


def test_an_agent_that_begins_anew_sends_nothing_to_a_host_that_is_in_trouble(
    site: Site, clock: ManualClock, broken: Path, lsf: Backend
) -> None:
    agent = site.agent(centre=lsf)
    group_id = site.want(*[work(broken)] * N_JOBS, centre="centre")
    site.run(agent, lambda: site.group(group_id)["state"].ended, "all have ended")
    n_failed = len(ended_on(site, "h2"))
    agent.stop()
    lsf.avoid([])
    successor = site.agent(holder="the next one", centre=lsf)
    successor.round()
    after = site.want(*[work(broken)] * 10, centre="centre")
    site.run(successor, lambda: site.group(after)["state"] is GroupState.DONE, "all have ended well")
    assert len(ended_on(site, "h2")) == n_failed


def test_of_many_hosts_that_fail_jobs_at_once_each_is_judged_and_the_database_is_asked_no_more_often(
    site: Site, clock: ManualClock
) -> None:
    group_id = site.want(*[{}] * 100)
    jobs = [job["id"] for job in site.group(group_id)["jobs"]]
    at = clock.now()

    def ended(db: Session, its: list[int], **columns: Any) -> None:
        times = {"started_at": at - timedelta(seconds=9), "ended_at": at - timedelta(seconds=5)}
        db.execute(update(Job).where(Job.id.in_(its)).values(**times, **columns))

    def unit(db: Session) -> list[str]:
        failed = {"state": JobState.FAILED, "source": Source.EXIT, "code": 75, "error": "it passes"}
        ended(db, jobs[:10], host="good", state=JobState.DONE)
        ended(db, jobs[10:15], host="bad", **failed)
        for job in jobs[15:50]:
            ended(db, [job], host=f"h{job}", **failed)
        for job in jobs[50:]:
            ended(db, [job], host=f"h{job}", state=JobState.DONE)
        statements: list[str] = []
        event.listen(db.connection(), "before_cursor_execute", lambda *args: statements.append(args[2]))
        look_at_hosts(db, jobs[10:50], site.settings)
        return statements

    assert len(site.database.write(unit)) < 15
    assert [it["about"] for it in incidents(site)] == ["bad"]


WELL: dict[str, Any] = {"state": JobState.DONE}
PASSES: dict[str, Any] = {"state": JobState.FAILED, "source": Source.EXIT, "code": 75, "error": "it passes"}
BAD_RUN = Failure(Source.EXIT, 1, "ValueError: bad run")
FOR_GOOD: dict[str, Any] = {"state": JobState.FAILED, "source": BAD_RUN.source, "code": BAD_RUN.code}
FOR_GOOD |= {"error": BAD_RUN.message, "failure_kind": BAD_RUN.kind}


def looked_at(site: Site, at: datetime, group_id: int, ends: Mapping[int, dict[str, Any]], host: str) -> None:
    """Jobs have ended on a host, by number, one after the other."""
    ids = {job["number"]: job["id"] for job in site.group(group_id)["jobs"]}

    def unit(db: Session) -> None:
        for place, (number, its) in enumerate(ends.items()):
            ended = at + timedelta(seconds=place)
            times = {"host": host, "started_at": ended - timedelta(seconds=4), "ended_at": ended}
            db.execute(update(Job).where(Job.id == ids[number]).values(**times, **its))
        failed = [ids[number] for number, its in ends.items() if its["state"] is JobState.FAILED]
        look_at_hosts(db, failed, site.settings)

    site.database.write(unit)


def test_what_lost_a_race_says_nothing_of_its_host(site: Site, clock: ManualClock) -> None:
    group_id, at = site.want(*[{}] * 12), clock.now() - timedelta(seconds=30)
    looked_at(site, at, group_id, dict.fromkeys(range(3), WELL), "good")
    lost = {"state": JobState.CANCELLED}
    looked_at(site, at, group_id, {3: PASSES, 4: PASSES, 5: PASSES, 6: PASSES, 7: lost}, "bad")
    assert incidents(site) == []
    looked_at(site, at + timedelta(seconds=9), group_id, {8: PASSES}, "bad")
    assert [it["about"] for it in incidents(site)] == ["bad"]


def test_jobs_that_go_from_host_to_host_and_fail_alike_on_each_are_held_against_the_first_at_most(
    site: Site, clock: ManualClock
) -> None:
    first, at = site.want(*[{}] * 12), clock.now() - timedelta(seconds=40)
    bad_runs = dict.fromkeys(range(5), FOR_GOOD)
    looked_at(site, at, first, dict.fromkeys(range(5, 12), WELL), "h1")
    looked_at(site, at, first, bad_runs, "h2")
    looked_at(site, at + timedelta(seconds=20), first, {11: WELL}, "h1")
    attempt = site.group(first)["attempt_id"]

    def again(db: Session) -> int:
        group = factories.group(db, db.get_one(Attempt, attempt), 5, stage=Stage.COLLECT, round=1)
        return group.id

    second = site.database.write(again)
    before = [it["about"] for it in incidents(site)]
    looked_at(site, at + timedelta(seconds=10), second, bad_runs, "h3")
    assert [it["about"] for it in incidents(site)] == before == ["h2"]


def test_the_only_host_of_a_centre_is_never_to_blame(site: Site) -> None:
    agent = site.agent()
    long = site.want({"do": "time.sleep(600)"})
    site.run(agent, lambda: site.group(long)["jobs"][0]["state"] is JobState.RUNNING, "it runs")
    group_id = site.want(*[{"do": "sys.exit(75)"}] * 8)
    site.run(agent, lambda: site.group(group_id)["state"].ended, "all have failed")
    assert incidents(site) == []
