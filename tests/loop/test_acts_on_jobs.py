"""Cancel the jobs of an attempt; do only its failed jobs again, and keep what the others have done."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.loop import Actor, Workplace
from b2cal.model import (
    Attempt,
    DataFile,
    GroupState,
    Job,
    JobGroup,
    JobState,
    Kind,
    Outbox,
    Role,
    Step,
    UnreadableFile,
    now,
)
from tests.loop.outputs import COLLECTED, jobs_bring
from tests.loop.world import Defined, World

ALICE = Actor("tracking", Role.EXPERT)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A runs, with a collect job for each of five runs, and B waits for it."""
    world = World(tmp_path, (Defined("A"), Defined("B", ("A",))))
    batch = world.workplace.settings.batch.model_copy(update={"bytes_per_job": 1000})
    settings = world.workplace.settings.model_copy(update={"batch": batch})
    world.workplace = Workplace(settings, world.database)
    world.process()
    world.do("submit", "A")
    world.advance("A")
    return world


def two_of_five_fail(world: World) -> None:
    """Jobs 2 and 4 have failed, and nobody tries again."""
    jobs_bring(world, COLLECTED)

    def unit(db: Session) -> None:
        group = db.scalars(select(JobGroup)).one()
        group.state = GroupState.FAILED
        for job in (group.jobs[1], group.jobs[3]):
            job.state, job.error, job.memory_mb, job.retry = JobState.FAILED, "disk full", 4000, "Given up."

    world.database.write(unit)
    assert world.advance("A").state == "failed"


def live(world: World) -> Attempt:
    with world.database.read() as db:
        return world.view(db).attempts["A"]


def rounds(world: World) -> list[tuple[int, str, list[int]]]:
    with world.database.read() as db:
        groups = db.scalars(select(JobGroup).order_by(JobGroup.id))
        return [(it.round, it.state.value, [job.number for job in it.jobs]) for it in groups]


def test_only_the_failed_jobs_are_done_again_and_the_attempt_goes_on_with_all(world: World) -> None:
    two_of_five_fail(world)
    world.do("retry_jobs", "A", by=ALICE, reason="the disk was emptied")
    assert rounds(world) == [(0, "failed", [0, 1, 2, 3, 4]), (1, "wanted", [1, 3])]
    assert (live(world).number, live(world).outcome, live(world).ended_at) == (1, None, None)
    assert world.advance("A").state == "running"
    last = world.decisions()[-1]
    assert (last.verb, last.actor, last.reason) == ("retry_jobs", "tracking", "the disk was emptied")
    assert last.details == {"attempt": 1, "jobs_again": 2, "jobs_kept": 3}
    with world.database.read() as db:
        failed, again = (db.scalars(select(Job).where(Job.number == 1).order_by(Job.id))).all()
    assert failed.retry.startswith("Given up. Done again at the wish of tracking, from 2026-")
    assert (again.memory_mb, again.label, again.spec) == (4000, failed.label, failed.spec)
    jobs_bring(world, COLLECTED)
    assert world.advance("A").state == "running"
    with world.database.read() as db:
        fit = db.scalars(select(JobGroup).order_by(JobGroup.id.desc())).first()
    assert fit is not None
    assert (fit.stage, len(fit.spec["collected"])) == ("fit", 5)


def test_a_validation_that_failed_is_measured_again(world: World) -> None:
    world.jobs_end("A", 1)

    def measured_in_vain(db: Session) -> None:
        attempt = world.view(db).attempts["A"]
        group = JobGroup(
            attempt_id=attempt.id, stage="measure", iteration=0, round=0, state=GroupState.FAILED, spec={}, token="m",
            epoch=1, not_before=now(db), wanted_at=now(db),
            jobs=[Job(number=0, label="new constants", spec={}, state=JobState.FAILED, error="killed")],
        )  # fmt: skip
        db.add(group)

    world.database.write(measured_in_vain)
    assert world.advance("A").state == "failed"
    world.do("retry_jobs", "A")
    assert (world.state("A"), live(world).outcome) == ("validating", "constants")
    assert rounds(world)[-1] == (1, "wanted", [0])


def test_cancelled_jobs_leave_a_failed_attempt_of_which_what_is_done_is_kept(world: World) -> None:
    jobs_bring(world, COLLECTED)

    def two_still_run(db: Session) -> None:
        group = db.scalars(select(JobGroup)).one()
        group.state = GroupState.SUBMITTED
        group.jobs[0].state = group.jobs[2].state = JobState.RUNNING

    world.database.write(two_still_run)
    world.do("cancel_jobs", "A", by=ALICE, reason="wrong gain")
    assert (world.state("A"), live(world).outcome) == ("failed", "failed")
    assert world.decisions()[-1].details == {"attempt": 1, "jobs_cancelled": 2}
    with world.database.read() as db:
        view = world.view(db)
        assert loop.why(view, view.calibration("A"), world.clock.now()).sentence == (
            "Failed: tracking cancelled its jobs: wrong gain. tracking decides."
        )
    with pytest.raises(loop.Conflict, match="Jobs of A are still being cancelled at local") as refused:
        world.do("retry_jobs", "A")
    assert "Wait some seconds" in refused.value.hint

    def the_agent_takes_back(db: Session) -> None:
        group = db.scalars(select(JobGroup)).one()
        group.state = GroupState.CANCELLED
        group.jobs[0].state = group.jobs[2].state = JobState.CANCELLED

    world.database.write(the_agent_takes_back)
    assert world.advance("A").state == "failed"
    world.do("retry_jobs", "A")
    assert rounds(world)[-1] == (1, "wanted", [0, 2])
    jobs_bring(world, COLLECTED)
    assert world.advance("A").state == "running"


def test_jobs_that_had_all_ended_well_when_they_were_cancelled_are_kept_all(world: World) -> None:
    jobs_bring(world, COLLECTED)
    world.database.write(lambda db: setattr(db.scalars(select(JobGroup)).one(), "state", GroupState.SUBMITTED))
    world.do("cancel_jobs", "A")
    world.database.write(lambda db: setattr(db.scalars(select(JobGroup)).one(), "state", GroupState.CANCELLED))
    world.do("retry_jobs", "A")
    assert world.advance("A").state == "running"
    assert [(number, state) for number, state, _ in rounds(world)] == [(0, "done"), (0, "wanted")]


def test_jobs_that_a_rule_asks_about_wait_until_somebody_has_them_tried_again(world: World) -> None:
    with pytest.raises(loop.Conflict, match="No job of A waits for a decision"):
        world.do("retry_jobs", "A")
    world.jobs_ask("A")
    world.advance("A")
    with world.database.read() as db:
        view = world.view(db)
        it = view.calibration("A")
        assert loop.asks_somebody(view, it, now(db))
        assert loop.why(view, it, now(db)).sentence == (
            "Runs: collect, 0 of 5 jobs done; 5 jobs failed. Not tried again before somebody decides:"
            " the licences are used up. tracking or the manager decides."
        )
        told = [row.body for row in db.scalars(select(Outbox).where(Outbox.kind == "message"))][-2:]
    assert [(body["to"], body["text"]) for body in told] == [
        (who, "collect: 5 jobs have failed and wait for a decision: the licences are used up. Try again, or give up.")
        for who in ("manager", "tracking")
    ]
    n_decisions = len(world.decisions())
    world.tick(60)
    world.do("retry_jobs", "A", by=ALICE, reason="there are more now")
    assert [it.verb for it in world.decisions()[n_decisions:]] == ["retry_jobs"]
    with world.database.read() as db:
        first, again = db.scalars(select(JobGroup).order_by(JobGroup.id)).all()
        assert (again.asks_since, again.not_before, again.tries_from) == (None, now(db), 1)
        assert first.jobs[0].retry.startswith("Done again at the wish of tracking")
        assert {job.error for job in again.jobs} == {""}
        assert not loop.asks_somebody(world.view(db), world.view(db).calibration("A"), now(db))
    with pytest.raises(loop.Conflict, match="No job of A waits for a decision"):
        world.do("retry_jobs", "A")


def test_who_gives_up_jobs_that_a_rule_asks_about_may_still_have_them_done_again(world: World) -> None:
    world.jobs_ask("A")
    world.do("cancel_jobs", "A", by=ALICE, reason="not today")
    world.jobs_cancelled("A")
    assert (world.advance("A").state, world.decisions()[-1].details) == ("failed", {"attempt": 1, "jobs_cancelled": 5})
    world.do("retry_jobs", "A")
    assert rounds(world)[-1] == (2, "wanted", [0, 1, 2, 3, 4])
    with world.database.read() as db:
        assert not world.view(db).asking


def test_of_a_job_and_the_copy_that_races_it_the_try_that_is_done_counts_and_they_are_one_job(world: World) -> None:
    def raced(db: Session) -> None:
        group = db.scalars(select(JobGroup)).one()
        group.state = group.jobs[4].state = JobState.DONE
        copies = loop.race(db, [group.jobs[4]], now(db))
        copies.state, copies.jobs[0].state = GroupState.SUBMITTED, JobState.RUNNING

    def counted() -> loop.Jobs:
        with world.database.read() as db:
            return loop.stages_of(db, [world.view(db).attempts["A"].id])[0].jobs

    jobs_bring(world, COLLECTED)
    world.database.write(raced)
    assert counted() == loop.Jobs(total=5, done=5, running=0, queued=0, held=0, failed=0, retried=0, cpu_s=0.0)
    world.advance("A")
    assert [it[1] for it in rounds(world)] == ["done", "submitted"]

    def over(db: Session) -> None:
        for copy in db.scalars(select(Job).where(Job.copy_of.is_not(None))):
            copy.state, copy.group.state = JobState.CANCELLED, GroupState.DONE

    world.database.write(over)
    assert world.advance("A").state == "running"
    with world.database.read() as db:
        fit = db.scalars(select(JobGroup).order_by(JobGroup.id.desc())).first()
    assert fit is not None
    assert (fit.stage, len(fit.spec["collected"])) == ("fit", 5)


def test_after_a_race_what_was_cancelled_with_the_attempt_is_done_again(world: World) -> None:
    def the_copy_was_done(db: Session) -> None:
        group = db.scalars(select(JobGroup)).one()
        copies = loop.race(db, [group.jobs[4]], now(db))
        copies.state, copies.jobs[0].state = GroupState.DONE, JobState.DONE

    world.database.write(the_copy_was_done)
    world.do("cancel_jobs", "A")
    with pytest.raises(loop.Conflict, match="still being cancelled"):
        world.do("retry_jobs", "A")
    world.jobs_cancelled("A")
    world.do("retry_jobs", "A")
    assert rounds(world)[-1] == (2, "wanted", [0, 1, 2, 3])


def changed(db: Session) -> None:
    db.scalars(select(DataFile).where(DataFile.path.contains("_102"))).one().sha256 = "another"


def gone(db: Session) -> None:
    db.add(UnreadableFile(path="/data/bhabha_103.root", reason="It is gone.", seen_at=now(db)))


@pytest.mark.parametrize("happens", [changed, gone])
def test_jobs_are_not_done_again_on_other_files(world: World, happens: Callable[[Session], None]) -> None:
    two_of_five_fail(world)
    world.database.write(happens)
    with pytest.raises(loop.Conflict, match="1 of its input files is no longer what the attempt of A was made from"):
        world.do("retry_jobs", "A")
    with world.database.read() as db:
        view = world.view(db)
        assert loop.Verb.RETRY_JOBS not in {one.verb for one in loop.buttons(view, view.calibration("A"), "manager")}


@pytest.mark.parametrize("happens", [changed, gone])
def test_nor_are_those_that_wait_for_a_decision(world: World, happens: Callable[[Session], None]) -> None:
    world.jobs_ask("A")
    world.database.write(happens)
    with pytest.raises(loop.Conflict, match="1 of its input files is no longer what the attempt of A was made from"):
        world.do("retry_jobs", "A")
    assert rounds(world)[-1][:2] == (1, "wanted")
    with world.database.read() as db:
        assert world.view(db).asking


def test_jobs_are_not_done_again_where_what_they_read_is_in_doubt(world: World) -> None:
    world.jobs_end("A", 1)
    world.judged("A")
    world.advance("A")
    world.do("submit", "B")
    world.advance("B")
    world.jobs_fail("B")
    world.do("restart", "A")
    with pytest.raises(loop.Conflict, match="What jobs of B have read is in doubt: A changed or is done again"):
        world.do("retry_jobs", "B")
    assert world.state("B") == "failed"


def test_a_failure_that_is_none_of_a_job_asks_for_a_restart(world: World) -> None:
    jobs_bring(world, COLLECTED)
    world.advance("A")
    jobs_bring(world, lambda _outputs: None)  # a fit without a result
    assert world.advance("A").state == "failed"
    with pytest.raises(loop.Conflict, match="No job of A has failed: ") as refused:
        world.do("retry_jobs", "A")
    assert refused.value.hint == "Restart it: all is done again."


def test_outputs_that_are_gone_are_told_before(world: World) -> None:
    two_of_five_fail(world)
    with world.database.read() as db:
        number = world.view(db).calibration("A").id
        done = db.scalars(select(Job).where(Job.state == JobState.DONE)).first()
    assert done is not None
    for job_folder in world.workplace.settings.attempts.glob("collect/*"):
        (job_folder / "outputs" / "collected.npz").touch()
    loop.check_kept_outputs(world.workplace, number)
    (world.workplace.settings.attempts / done.folder / "outputs" / "collected.npz").unlink()
    with pytest.raises(loop.Conflict, match=r"1 of 6 files that jobs of A have brought are gone: .*collected\.npz"):
        loop.check_kept_outputs(world.workplace, number)


def test_copies_have_no_jobs_to_act_on(tmp_path: Path) -> None:
    copies = Defined("L", step=Step.LOCAL, kind=Kind.COPY, config={"source_tag": "nowhere", "unchanged": False})
    world = World(tmp_path, (copies,))
    world.process()
    with world.database.read() as db:
        view = world.view(db)
        offered = {one.verb for one in loop.buttons(view, view.calibration("L"), "manager")}
    assert not offered & {loop.Verb.CANCEL_JOBS, loop.Verb.RETRY_JOBS}
