"""Why a job that has not ended does not run now, as its batch system says, stands with it as long as that is so."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from b2cal.batch import START, Cursor, JobEvent, LocalBackend
from b2cal.core.clock import ManualClock
from b2cal.core.failures import Failure, Source
from b2cal.model import GroupState, JobState

from .conftest import Site

pytestmark = pytest.mark.processes

HELD = Failure(Source.HOLD, 1, "Held by HTCondor, code 1/0: via condor_hold (by user alice)")
SUSPENDED = Failure(Source.LSF, None, "LSF: suspended by LSF itself (SSUSP)")


class Stops(LocalBackend):
    """Its jobs are held or suspended, and it says why, as long as that is told."""

    told: tuple[JobState, Failure | None] | None = None

    def events(self, since: Cursor) -> Iterator[JobEvent]:
        for event in super().events(START):
            if self.told is not None and not event.handle.state.ended:
                state, failure = self.told
                event = replace(event, handle=replace(event.handle, state=state), failure=failure)  # noqa: PLW2901
            yield event


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))


def test_a_job_that_is_stopped_says_why_until_it_runs_again(site: Site, tmp_path: Path) -> None:
    stops = Stops(site.database, slots=1)
    agent = site.agent(local=stops)
    end = tmp_path / "end"
    group_id = site.want({"do": f"while not os.path.exists({str(end)!r}): time.sleep(0.01)"})

    def stands() -> tuple[JobState, str, bool]:
        (job,) = site.group(group_id)["jobs"]
        return job["state"], job["pending_reason"], job["started_at"] is not None

    site.run(agent, lambda: stands()[0] is JobState.RUNNING, "it runs")
    for told, then in (
        ((JobState.QUEUED, HELD), (JobState.QUEUED, HELD.message, False)),
        ((JobState.QUEUED, None), (JobState.QUEUED, "", False)),
        ((JobState.RUNNING, None), (JobState.RUNNING, "", True)),
        ((JobState.RUNNING, SUSPENDED), (JobState.RUNNING, SUSPENDED.message, True)),
        ((JobState.QUEUED, None), (JobState.RUNNING, "", True)),
        ((JobState.RUNNING, SUSPENDED), (JobState.RUNNING, SUSPENDED.message, True)),
    ):
        stops.told = told
        agent.round()
        assert stands() == then, told
    stops.told = None
    end.touch()
    done = site.run_until(agent, group_id, GroupState.DONE, GroupState.FAILED)
    assert (done["state"], stands()[:2]) == (GroupState.DONE, (JobState.DONE, ""))
