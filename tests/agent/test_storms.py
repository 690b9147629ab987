"""Many jobs fail alike: nothing is tried again until a probe has come through."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from b2cal.agent.settle import settle
from b2cal.batch import BatchError, LocalBackend
from b2cal.core.clock import ManualClock
from b2cal.core.failures import Remedy, Source
from b2cal.model import Attempt, GroupState, Incident, Job, JobState, Release
from b2cal.settings import CondorSettings, RetryRule
from tests import factories

from .conftest import Site, columns_of

pytestmark = pytest.mark.processes

DONE, FAILED, WANTED = GroupState.DONE, GroupState.FAILED, GroupState.WANTED
PAUSE = timedelta(seconds=60)


@pytest.fixture
def clock():
    return ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))


@pytest.fixture
def weather(tmp_path):
    """While this file is there the storage is away."""
    file = tmp_path / "storm"
    file.touch()
    return file


@pytest.fixture
def site(site: Site):
    """Three jobs that fail alike are a storm; what the storage does passes."""
    comes_back = RetryRule(
        source=Source.EXIT, code=1, pattern="storage", remedy=Remedy.LATER, because="the storage comes back"
    )
    batch = site.settings.batch.model_copy(update={"storm_jobs": 3, "rules": (comes_back,)})
    site.settings = site.settings.model_copy(update={"batch": batch})
    return site


def reads_storage(weather, otherwise=""):
    """Fails while the storage is away, each time with another number and place in its error."""
    return {
        "do": (
            f"if os.path.exists({str(weather)!r}):\n"
            f"    sys.exit(f'storage does not answer, file /data/{{os.getpid()}}.root, try {{os.getpid()}}')\n"
            f"{otherwise}"
        )
    }


def incidents(site):
    with site.database.read() as db:
        return [columns_of(row) for row in db.scalars(select(Incident).order_by(Incident.id))]


def fails(site, agent, *specs):
    """A group whose jobs fail; what is wanted then."""
    group_id = site.want(*specs)
    site.run(agent, lambda: site.group(group_id)["state"] is FAILED, "its jobs have failed")
    return group_id


def probed(site, clock, agent, after=PAUSE):
    """The next probe is sent, and has ended."""
    (before,) = incidents(site)
    clock.advance(after)
    site.run(agent, lambda: incidents(site)[0]["probes"] > before["probes"], "a probe is sent")
    site.run(agent, lambda: incidents(site)[0]["probe_token"] is None, "it has ended")
    return incidents(site)[0]


def test_in_a_storm_one_probe_after_the_other_is_sent_and_all_goes_on_when_one_has_come_through(site, clock, weather):
    agent = site.agent()
    group_id = fails(site, agent, *[reads_storage(weather)] * 4)
    (storm,) = incidents(site)
    assert (storm["centre"], storm["live"], storm["about"]) == (
        "local",
        True,
        "exit 1: storage does not answer, file ... try #",
    )
    agent.round()
    assert [group["state"] for group in site.rounds(group_id)] == [FAILED, WANTED]
    assert "until a probe has come through" in site.rounds(group_id)[1]["jobs"][0]["error"]

    assert probed(site, clock, agent, PAUSE)["live"]
    assert probed(site, clock, agent, 2 * PAUSE)["live"]
    weather.unlink()
    over = probed(site, clock, agent, 4 * PAUSE)
    assert (over["live"], over["probes"]) == (None, 3)
    site.run(agent, lambda: site.rounds(group_id)[-1]["state"] is DONE, "the others have followed")
    assert site.executions() == [1] * 8  # the probes have left nothing behind
    assert len(site.rounds(group_id)) == 2


def test_what_fails_in_a_storm_uses_up_no_try(site, clock, weather):
    agent = site.agent()
    well, *badly = [reads_storage(weather, f"sys.exit({code})") for code in (0, 81, 82, 83)]
    group_id = fails(site, agent, well, *badly)
    weather.unlink()
    assert probed(site, clock, agent)["live"] is None
    for tries in (1, 2, 3):
        site.run(agent, lambda: site.rounds(group_id)[tries]["state"] is FAILED, "the three have failed")  # noqa: B023
        clock.advance(PAUSE)
    last = site.rounds(group_id)[-1]
    assert (last["round"], last["state"]) == (3, FAILED)
    assert all(job["retry"].endswith("Given up after 3 tries.") for job in last["jobs"])


def test_fewer_failures_than_a_storm_has_are_tried_again_as_ever(site, clock, weather):
    agent = site.agent()
    group_id = fails(site, agent, *[reads_storage(weather)] * 2)
    assert incidents(site) == []
    weather.unlink()
    clock.advance(PAUSE)
    site.run(agent, lambda: site.rounds(group_id)[-1]["state"] is DONE, "they are tried again")


def test_where_more_jobs_end_well_than_fail_alike_there_is_no_storm(site, clock, weather):
    agent = site.agent()
    site.run_until(agent, site.want(*[{}] * 5), DONE)
    fails(site, agent, *[reads_storage(weather)] * 4)
    assert incidents(site) == []


def test_jobs_that_want_more_memory_get_it_at_once_however_many_they_are(site):
    centre = CondorSettings(backend="htcondor", memory_mb=1000, max_memory_mb=8000)
    site.settings = site.settings.model_copy(update={"centres": {"centre": centre}})
    group_id = site.want(*[{}] * 4, centre="centre", state=GroupState.SUBMITTED)
    killed = {
        "source": Source.SIGNAL,
        "code": 9,
        "failure_kind": "signal 9: killed",
        "ended_at": site.database.clock.now(),
    }
    for job in site.group(group_id)["jobs"]:
        site.change(Job, job["id"], state=JobState.FAILED, **killed)
    site.database.write(lambda db: settle(db, group_id, site.settings))
    assert incidents(site) == []
    assert [job["memory_mb"] for job in site.rounds(group_id)[1]["jobs"]] == [2000] * 4


def test_failures_that_have_nothing_in_common_are_no_storm(site, clock):
    agent = site.agent()
    fails(site, agent, *[{"do": f"sys.exit('storage {word} does not answer')"} for word in ("a", "b", "c", "d")])
    assert incidents(site) == []


def test_what_waits_for_its_next_try_elsewhere_at_the_centre_waits_for_the_probe_too(site, clock, weather):
    agent = site.agent()
    first = fails(site, agent, *[reads_storage(weather)] * 2)
    fails(site, agent, *[reads_storage(weather)] * 2)
    assert len(incidents(site)) == 1
    clock.advance(PAUSE - timedelta(seconds=1))
    agent.round()
    assert site.rounds(first)[1]["state"] is WANTED
    assert "until a probe has come through" in site.rounds(first)[1]["jobs"][0]["error"]
    weather.unlink()
    probed(site, clock, agent)
    site.run(agent, lambda: site.rounds(first)[-1]["state"] is DONE, "it follows")


def test_a_probe_that_would_fail_for_another_reason_for_ever_ends_the_storm(site, clock, weather):
    agent = site.agent()
    group_id = fails(site, agent, *[reads_storage(weather, "sys.exit('the script is wrong')")] * 4)
    weather.unlink()
    assert probed(site, clock, agent)["live"] is None
    site.run(agent, lambda: site.rounds(group_id)[-1]["state"] is FAILED, "they fail with that")
    assert len(site.rounds(group_id)) == 2


def test_an_agent_that_was_killed_after_it_wrote_down_a_probe_leaves_one_that_is_sent_once(site, clock, weather):
    agent = site.agent()
    fails(site, agent, *[reads_storage(weather)] * 4)
    (storm,) = incidents(site)
    site.change(Incident, storm["id"], probe_token="written-down", probes=1)
    weather.unlink()
    clock.advance(timedelta(minutes=2))
    successor = site.agent(holder="the next one")
    site.run(successor, lambda: incidents(site)[0]["live"] is None, "its probe has come through")
    assert len(site.backend.find("written-down")) == 1


def test_a_storm_that_nobody_waits_for_any_more_is_over_without_a_probe(site, clock, weather):
    agent = site.agent()
    group_id = fails(site, agent, *[reads_storage(weather)] * 4)
    site.change(Attempt, site.group(group_id)["attempt_id"], live=None)
    clock.advance(PAUSE)
    site.run(agent, lambda: incidents(site)[0]["live"] is None, "it is over")
    assert incidents(site)[0]["probes"] == 0


class RefusesProbes(LocalBackend):
    """A batch system that refuses all that is sent to one host."""

    def __init__(self, site):
        super().__init__(site.database, 2)
        self.asked, self.avoided = [], []

    def submit(self, group):
        if group.jobs[0].host == "gone":
            self.asked.append(group.token)
            raise BatchError("there is no such host")
        super().submit(group)

    def avoid(self, hosts):
        self.avoided.append(hosts)


def test_a_probe_that_is_refused_is_sent_once_a_minute_and_keeps_no_other_incident_waiting(site, clock, weather):
    site.backend = backend = RefusesProbes(site)
    agent = site.agent()
    host = site.database.write(lambda db: factories.incident(db, about="gone", live=None).id)
    fails(site, agent, *[reads_storage(weather)] * 3)
    site.change(Incident, host, live=True, probe=incidents(site)[1]["probe"], probe_due=clock.now() + PAUSE)
    weather.unlink()
    clock.advance(PAUSE)
    for _ in range(3):
        agent.round()
    assert len(backend.asked) == 1
    clock.advance(PAUSE)
    for _ in range(3):
        agent.round()
    assert len(backend.asked) == 2
    assert len(set(backend.asked)) == 1
    assert backend.avoided == [[], ["gone"]]
    site.run(agent, lambda: incidents(site)[1]["live"] is None, "the storm is over")
    clock.advance(timedelta(days=7))
    agent.round()
    agent.round()
    assert incidents(site)[0]["live"] is None
    assert backend.avoided == [[], ["gone"], []]


def test_who_becomes_the_agent_says_which_hosts_are_to_be_avoided_also_if_it_is_none(site):
    site.backend = backend = RefusesProbes(site)
    agent = site.agent()
    agent.round()
    agent.round()
    assert backend.avoided == [[]]
    agent.stop()
    agent.round()
    assert backend.avoided == [[], []]


def test_a_probe_runs_by_the_python_of_its_centre(site, clock, weather):
    own = site.interpreter.rename(site.interpreter.with_name("python of the centre"))
    rules = site.settings.batch.rules
    centre = CondorSettings(backend="htcondor", interpreter=str(own), rules=rules)
    site.settings = site.settings.model_copy(update={"centres": {"centre": centre}})
    agent = site.agent(centre=site.backend)
    group_id = site.want(*[reads_storage(weather)] * 3, centre="centre")
    site.run(agent, lambda: site.group(group_id)["state"] is FAILED, "its jobs have failed")
    weather.unlink()
    assert probed(site, clock, agent)["live"] is None


def test_a_probe_finds_the_doors_and_the_environment_that_its_job_found(site, clock, weather):
    batch = site.settings.batch.model_copy(update={"doors": ("root://a//store",)})
    site.settings = site.settings.model_copy(update={"batch": batch})
    agent = site.agent()
    seen = weather.with_name("seen")
    look = f"json.dump([dict(os.environ), job['doors']], open({str(seen)!r}, 'w'))\n"
    job = {"do": look + reads_storage(weather)["do"]}
    group_id = site.want(*[job] * 3)
    site.change(Release, 1, environment={"BELLE2_TOOLS": "/cvmfs/tools"})
    site.run(agent, lambda: site.group(group_id)["state"] is FAILED, "its jobs have failed")
    seen.unlink()
    probed(site, clock, agent)
    environment, doors = json.loads(seen.read_text())
    assert (environment["BELLE2_TOOLS"], environment["XRD_CONNECTIONWINDOW"]) == ("/cvmfs/tools", "30")
    assert doors == ["root://a//store"]
