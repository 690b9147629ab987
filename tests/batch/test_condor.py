"""What HTCondor does by itself with jobs that it cannot run, and what is told of them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import htcondor2
import pytest

from b2cal.batch import START
from b2cal.batch.condor import CondorBackend
from b2cal.model import JobState
from b2cal.settings import CondorSettings
from tests.batch.conftest import Centre, executions, wait_for

pytestmark = pytest.mark.contract

Connect = Callable[..., Centre]


@pytest.fixture
def connect(pool_settings: CondorSettings, tmp_path: Path) -> Iterator[Connect]:
    """A client of the pool with some settings of its own."""
    clients: list[Centre] = []

    def connected(submit: dict[str, str], **own: int) -> Centre:
        settings = pool_settings.model_copy(update={"submit": pool_settings.submit | submit, **own})
        clients.append(Centre(tmp_path, lambda: CondorBackend(settings, tmp_path / "events")))
        return clients[-1]

    yield connected
    for client in clients:
        client.backend.cancel([event.handle.batch_id for event in client.backend.events(START)])


def reasons(centre: Centre) -> list[str]:
    return [event.reason for event in centre.backend.events(START)]


def queued(centre: Centre, token: str) -> int:
    """How many jobs the schedd has in its queue."""
    return len(htcondor2.Schedd().query(f'B2calToken == "{token}"', ["ProcId"]))


def act(action: htcondor2.JobAction, batch_id: str) -> None:
    htcondor2.Schedd().act(action, [batch_id], reason=("by hand", 1))


def test_a_job_whose_files_cannot_be_sent_is_tried_again_and_then_fails_with_the_reason(connect: Connect) -> None:
    centre = connect({}, release_after_s=1, max_holds=2)
    group = centre.group("pass")
    (group.jobs[0].folder / "wrapper.json").unlink()
    centre.backend.submit(group)
    wait_for(lambda: any("wrapper.json" in reason for reason in reasons(centre)), "it is held")
    assert centre.wait_until_ended(group) == {0: JobState.CANCELLED}
    assert reasons(centre)[-1].startswith("Held by HTCondor, code 13/2: ")
    wait_for(lambda: not queued(centre, group.token), "nothing of it stays in the queue")


def test_a_job_whose_files_can_be_sent_at_the_second_try_is_done(connect: Connect) -> None:
    centre = connect({}, release_after_s=1, max_holds=10)
    group = centre.group("pass")
    wrapper = group.jobs[0].folder / "wrapper.json"
    contents = wrapper.read_bytes()
    wrapper.unlink()
    centre.backend.submit(group)
    wait_for(lambda: any("wrapper.json" in reason for reason in reasons(centre)), "it is held")
    wrapper.write_bytes(contents)
    assert centre.wait_until_ended(group) == {0: JobState.DONE}
    assert executions(group) == [1]


def test_a_hold_that_cannot_pass_is_a_failure_at_once_and_leaves_the_queue(connect: Connect) -> None:
    centre = connect({"periodic_hold": "true", "periodic_hold_reason": '"against the rules"'})
    group = centre.submitted("time.sleep(60)")
    assert centre.wait_until_ended(group) == {0: JobState.FAILED}
    assert reasons(centre) == ["Held by HTCondor, code 3/0: against the rules"]
    wait_for(lambda: not queued(centre, group.token), "nothing of it stays in the queue")


def test_a_job_that_somebody_holds_waits_until_it_is_released(connect: Connect) -> None:
    centre = connect({}, release_after_s=1)
    busy = centre.submitted("time.sleep(60)", "time.sleep(60)")
    centre.wait_until_running(busy)
    group = centre.submitted("pass")
    (batch_id,) = centre.ids(group)
    act(htcondor2.JobAction.Hold, batch_id)
    centre.backend.cancel(centre.ids(busy))
    wait_for(lambda: any("code 1/" in reason for reason in reasons(centre)), "it is held")
    after = centre.submitted("pass")
    assert centre.wait_until_ended(after) == {0: JobState.DONE}
    assert centre.states(group) == {0: JobState.QUEUED}
    assert executions(group) == [0]
    act(htcondor2.JobAction.Release, batch_id)
    assert centre.wait_until_ended(group) == {0: JobState.DONE}
