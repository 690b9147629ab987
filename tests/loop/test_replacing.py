"""Payloads made by hand in the place of calibrated ones: judged like others, and others follow by their contents."""

from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.loop import Actor, attempts
from b2cal.model import (
    Attempt,
    Grade,
    GroupState,
    JobGroup,
    JobState,
    Outbox,
    Outcome,
    Role,
    SignOffPolicy,
    Stage,
    Submission,
)
from tests.loop.world import MANAGER, World

EXPERT, DEPUTY = Actor("tracking", Role.EXPERT), Actor("second", Role.DEPUTY)


def signed_off(world: World, *names: str) -> None:
    for name in names:
        world.do("submit", name)
        world.finish(name, 1)


def replaced(world: World, name: str, value: object, by: Actor = EXPERT) -> None:
    """By hand, up to the sign-off."""
    world.do("replace", name, world.by_hand(name, value), by=by)
    world.judged(name)
    world.advance(name)


def test_a_hand_made_payload_is_a_new_attempt_of_the_same_submission(world: World) -> None:
    signed_off(world, "A")
    world.do("replace", "A", world.by_hand("A", 2), by=EXPERT, reason="crate 3 by eye")
    with world.database.read() as db:
        first, second = db.scalars(select(Attempt).order_by(Attempt.number))
        assert (first.live, second.live, second.number) == (None, True, 2)
        assert second.submission_id == first.submission_id
        assert second.outcome is Outcome.REPLACED
        assert [made.payload.identity for made in second.payloads] == [world.by_hand("A", 2).contents[0][2]]
        assert db.scalars(select(Submission)).one().live
    last = world.decisions()[-1]
    assert (last.actor, last.verb, last.from_state, last.to_state) == (
        "tracking",
        "replace",
        "signed_off",
        "validating",
    )
    assert last.reason == "crate 3 by eye"
    assert last.details["payloads"] == world.by_hand("A", 2).contents


def test_what_read_the_constants_before_is_in_doubt_and_then_stale(world: World) -> None:
    signed_off(world, "A", "B")
    with world.database.read() as db:
        assert loop.consequences(world.view(db), "A") == ["B (signed off)"]
    world.do("replace", "A", world.by_hand("A", 2), by=EXPERT)
    assert world.freshness("B") == "in doubt"
    world.judged("A")
    world.advance("A")
    assert world.state("A") == "signed_off"
    assert world.freshness("B") == "stale"


def test_equal_constants_by_hand_change_nothing_downstream(world: World) -> None:
    signed_off(world, "A", "B")
    replaced(world, "A", 1)
    assert world.freshness("B") == "fresh"
    assert world.advance("B").state == "signed_off"


def test_it_is_published_in_the_place_of_the_calibrated_one(world: World) -> None:
    signed_off(world, "A", "B", "C", "D")
    replaced(world, "D", 7)
    loop.advance_processing(world.workplace, "bucket1")
    assert world.processing().state == "published"
    with world.database.read() as db:
        view = world.view(db)
        assert [entry.identity for entry in view.made(view.calibration("D"))] == [world.by_hand("D", 7).contents[0][2]]
    with pytest.raises(loop.Conflict, match="published: nothing in it can be changed"):
        world.do("replace", "D", world.by_hand("D", 8))


def test_a_reason_is_needed_and_a_deputy_may_not(world: World) -> None:
    signed_off(world, "A")
    before = len(world.decisions())
    with pytest.raises(loop.InvalidChoice, match="Replace needs a reason"):
        world.do("replace", "A", world.by_hand("A", 2), reason=" ")
    with pytest.raises(loop.NotAllowed, match="The deputy may not replace"):
        world.do("replace", "A", world.by_hand("A", 2), by=DEPUTY)
    with pytest.raises(loop.Conflict, match="B is open now"):
        world.do("replace", "B", world.by_hand("B", 2))
    assert len(world.decisions()) == before


def test_the_expert_hears_of_what_the_manager_replaced(world: World) -> None:
    signed_off(world, "A")
    world.do("replace", "A", world.by_hand("A", 2), by=MANAGER, reason="crate 3")
    with world.database.read() as db:
        latest = db.scalars(select(Outbox).order_by(Outbox.id.desc())).first()
        assert latest is not None
        assert (latest.body["to"], latest.body["text"]) == ("tracking", "Replaced by hand by manager: crate 3")


def test_nothing_is_replaced_while_something_upstream_is_done_again(world: World) -> None:
    signed_off(world, "A", "B")
    world.do("reject", "A")
    with pytest.raises(loop.Conflict, match="A upstream of it is being done again"):
        world.do("replace", "B", world.by_hand("B", 2))


def test_what_a_person_brought_is_not_done_again_by_itself_when_it_becomes_stale(world: World) -> None:
    signed_off(world, "A", "B")
    world.do("replace", "B", world.by_hand("B", 2))
    world.judged("B", Grade.WARN)
    replaced(world, "A", 2)
    assert world.freshness("B") == "stale"
    assert world.advance("B").state == "review"
    with world.database.read() as db:
        sentence = loop.why(world.view(db), world.view(db).calibration("B"), world.clock.now()).sentence
    assert sentence == (
        "Stale: A changed after it was replaced by hand. tracking replaces it again, restarts or rejects it."
    )
    replaced(world, "B", 2)
    assert world.state("B") == "signed_off"
    assert world.freshness("B") == "fresh"


def test_what_was_replaced_while_it_was_signed_off_and_became_stale_is_put_to_the_manager(world: World) -> None:
    signed_off(world, "A", "B")
    replaced(world, "B", 2)
    replaced(world, "A", 2)
    assert world.freshness("B") == "stale"
    world.do("keep", "B")
    assert world.freshness("B") == "fresh"


@pytest.mark.parametrize("grade", [Grade.WARN, Grade.FAIL])
def test_a_hand_made_payload_that_is_not_green_is_never_signed_off_by_itself(world: World, grade: Grade) -> None:
    signed_off(world, "A")
    world.do("replace", "A", world.by_hand("A", 2))
    world.judged("A", grade)
    assert world.advance("A").state == "review"


def test_policies_hold_for_hand_made_payloads_too(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.process("manual", sign_off=SignOffPolicy.MANUAL)
    world.do("submit", "A", processing="manual")
    world.finish("A", 1, "manual")
    world.do("sign_off", "A", processing="manual")
    world.do("replace", "A", world.by_hand("A", 2, "manual"), processing="manual")
    world.judged("A", processing="manual")
    assert world.advance("A", "manual").state == "review"


def test_a_rejected_hand_made_payload_does_not_bar_the_defaults(world: World) -> None:
    signed_off(world, "A")
    world.do("replace", "A", world.by_hand("A", 2))
    world.judged("A", Grade.FAIL)
    world.do("reject", "A")
    world.tick(60)
    assert world.advance("A").state == "running"


def test_a_restart_runs_the_script_again(world: World) -> None:
    signed_off(world, "A")
    world.do("replace", "A", world.by_hand("A", 2))
    world.do("restart", "A")
    assert world.advance("A").state == "running"


def collected(world: World, name: str) -> Path:
    """The collect stage of the live attempt, done in one job, with what it left behind."""
    folder = f"{name}/collect-0/r0e1/0/1"

    def unit(db: Session) -> None:
        stage = select(JobGroup).where(JobGroup.attempt_id == world.view(db).attempts[name].id)
        group = db.scalars(stage).one()
        group.state = GroupState.DONE
        for job in group.jobs:
            job.state, job.folder = JobState.DONE, folder

    outputs = world.workplace.settings.attempts / folder / "outputs"
    outputs.mkdir(parents=True)
    for file in ("collected.npz", "collected.json"):
        (outputs / file).touch()
    world.database.write(unit)
    return outputs


def measure_groups(world: World) -> list[JobGroup]:
    with world.database.read() as db:
        return list(db.scalars(select(JobGroup).where(JobGroup.stage == Stage.MEASURE)))


def test_the_script_measures_it_with_the_sums_of_the_attempt_before(world: World) -> None:
    signed_off(world, "A")
    outputs = collected(world, "A")
    for value in (2, 3):  # the second time, too: the sums are those of the last attempt that ran the script
        world.do("replace", "A", world.by_hand("A", value))
        assert world.advance("A").state == "validating"
        group = measure_groups(world)[-1]
        assert group.spec["collected"] == [str(outputs / "collected.npz")]
        assert [payload["identity"] for payload in group.spec["payloads"]] == [world.by_hand("A", value).contents[0][2]]
        world.judged("A", Grade.FAIL)


def test_sums_of_other_inputs_measure_nothing(world: World) -> None:
    signed_off(world, "A", "B")
    collected(world, "B")
    replaced(world, "A", 2)
    assert world.freshness("B") == "stale"
    world.do("replace", "B", world.by_hand("B", 2))
    with world.database.read() as db:
        attempt = world.view(db).attempts["B"]
        assert (attempt.files, attempts.collected_before(db, world.workplace, attempt)) == ([], [])


def test_sums_that_were_cleaned_up_measure_nothing(world: World) -> None:
    signed_off(world, "A")
    (collected(world, "A") / "collected.npz").unlink()
    world.do("replace", "A", world.by_hand("A", 2))
    with world.database.read() as db:
        attempt = world.view(db).attempts["A"]
        assert len(attempt.files) == 5
        assert attempts.collected_before(db, world.workplace, attempt) == []


def test_what_took_the_place_of_a_failure_counts_as_made_from_all_that_it_may_have_read(world: World) -> None:
    signed_off(world, "A")
    world.do("submit", "B")
    world.advance("B")
    world.jobs_fail("B")
    replaced(world, "B", 2)
    assert world.state("B") == "signed_off"
    replaced(world, "A", 2)
    assert world.freshness("B") == "stale"
