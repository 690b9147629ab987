"""Something upstream is done again: preview, in doubt, then stale or not, by identity."""

import pytest

from b2cal import loop
from b2cal.core.iov import IoV
from b2cal.loop import Choice
from b2cal.model import Grade
from tests.loop.world import MANAGER, World


def up_to_review(world: World, name: str, value: object) -> None:
    world.advance(name)
    world.jobs_end(name, value)
    world.judged(name, Grade.FAIL)


@pytest.fixture
def reopened(world: World) -> World:
    """A is rejected while B, which reads it, waits for a decision and C runs."""
    for name in "ABC":
        world.do("submit", name)
    world.finish("A", 1)
    up_to_review(world, "B", 1)
    world.advance("C")
    with world.database.read() as db:
        assert loop.consequences(world.view(db), "A") == ["B (in review)", "C (running)"]
    world.do("reject", "A", reason="too few hits")
    return world


def test_in_doubt_jobs_go_on_and_nothing_is_signed_off(reopened: World) -> None:
    assert reopened.freshness("B") == reopened.freshness("C") == "in doubt"
    assert reopened.advance("C").state == "running"
    with pytest.raises(loop.Conflict, match="in doubt"):
        reopened.do("sign_off", "B", by=MANAGER)


def test_in_doubt_it_is_judged_all_the_same_and_says_so(reopened: World) -> None:
    reopened.jobs_end("C", 1)
    assert why(reopened, "C") == "The new constants are judged now. In doubt: A is being done again."
    assert why(reopened, "B") == "A check is beyond its limit; tracking decides. In doubt: A is being done again."


def test_what_restarts_itself_because_it_is_stale_says_so(reopened: World) -> None:
    reopened.do("submit", "A", Choice({"events": 11}))
    reopened.finish("A", 2)
    assert why(reopened, "B") == "Stale: A changed after it was read. It is done again now."
    assert reopened.advance("B").state == "running"


def test_in_doubt_what_is_green_is_not_said_to_be_signed_off_now(world: World) -> None:
    for name in "AB":
        world.do("submit", name)
    world.finish("A", 1)
    world.advance("B")
    world.jobs_end("B", 1)
    world.judged("B", Grade.PASS)
    world.do("restart", "A")
    with world.database.read() as db:
        view = world.view(db)
        assert not loop.asks_somebody(view, view.calibration("B"), world.clock.now())
        pressed = {button.verb.value for button in loop.buttons(view, view.calibration("B"), "manager")}
    assert not {"sign_off", "replace", "keep"} & pressed
    assert "reject" in pressed
    assert why(world, "B") == "Waits until it is known whether what it has read holds. In doubt: A is being done again."
    assert world.advance("B").state == "review"


def test_in_a_cancelled_processing_nothing_is_in_doubt_and_nothing_is_corrected(world: World) -> None:
    for name in "AB":
        world.do("submit", name)
        world.finish(name, 1)
    world.do("reject", "A", reason="too few hits")
    assert "In doubt: A is being done again." in why(world, "B")
    world.do_to_processing(loop.ProcessingVerb.CANCEL)
    assert "In doubt" not in why(world, "B")
    assert why(world, "A") == "bucket1 is cancelled."
    with pytest.raises(loop.Conflict, match="bucket1 is cancelled: nothing in it can be changed") as refused:
        world.do("restart", "B", reason="again")
    assert refused.value.hint == "Nothing of it is published: calibrate its runs in another processing."


def test_the_rejected_one_is_open_for_its_expert_with_a_new_window(reopened: World) -> None:
    assert why(reopened) == (
        "Rejected by manager: too few hits."
        " Nothing is submitted unless tracking changes something (50 s left): the defaults were rejected."
    )


def test_who_rejected_and_why_is_said_until_the_next_attempt_starts(reopened: World) -> None:
    reopened.do("submit", "A", Choice({"events": 11}))
    reopened.do("withdraw", "A")
    assert why(reopened).startswith("Rejected by manager: too few hits.")
    reopened.do("submit", "A", Choice({"events": 11}))
    up_to_review(reopened, "A", 2)
    reopened.do("reject", "A", reason="still too few hits.")
    assert why(reopened).startswith("Rejected by manager: still too few hits. Nothing is submitted unless")


def test_defaults_that_were_not_what_was_rejected_are_submitted_after_the_reject(world: World) -> None:
    world.do("submit", "A", Choice({"events": 11}))
    up_to_review(world, "A", 1)
    world.do("reject", "A", reason="too few hits")
    assert why(world) == (
        "Rejected by manager: too few hits. Submitted with the defaults in 50 s unless tracking changes something."
    )


def why(world: World, name: str = "A") -> str:
    with world.database.read() as db:
        return loop.why(world.view(db), world.view(db).calibration(name), world.clock.now()).sentence


def test_with_another_identity_what_read_it_starts_again_by_itself(reopened: World) -> None:
    reopened.do("submit", "A", Choice({"events": 11}))
    reopened.finish("A", 2)
    assert reopened.freshness("B") == reopened.freshness("C") == "stale"
    assert reopened.advance("B").state == "running"
    assert reopened.advance("C").state == "running"
    assert reopened.freshness("B") == "fresh"


def test_with_the_same_identity_nothing_happens(reopened: World) -> None:
    before = len(reopened.decisions())
    reopened.do("submit", "A", Choice({"events": 11}))
    reopened.finish("A", 1)
    own = len(reopened.decisions()) - before
    assert own == 5
    assert reopened.advance("B").state == "review"
    assert reopened.advance("C").state == "running"
    assert len(reopened.decisions()) - before == own


def test_only_what_is_stale_can_be_kept(world: World) -> None:
    def has_a_button() -> bool:
        with world.database.read() as db:
            buttons = loop.buttons(world.view(db), world.view(db).calibration("B"), "manager")
        return loop.Verb.KEEP in {button.verb for button in buttons}

    for name in "AB":
        world.do("submit", name)
        world.finish(name, 1)
    before = len(world.decisions())
    with pytest.raises(loop.Conflict, match="B is fresh: nothing that it read has changed"):
        world.do("keep", "B")
    assert (has_a_button(), len(world.decisions())) == (False, before)
    world.do("reject", "A")
    with pytest.raises(loop.Conflict, match="B is in doubt: A is being done again"):
        world.do("keep", "B")
    assert not has_a_button()
    world.do("submit", "A", Choice({"events": 11}))
    world.finish("A", 2)
    assert (world.freshness("B"), has_a_button()) == ("stale", True)
    world.do("keep", "B")
    assert (world.freshness("B"), has_a_button()) == ("fresh", False)


def test_what_was_kept_stays_fresh_when_something_changes_that_its_jobs_did_not_read(world: World) -> None:
    for name in "ABC":
        world.do("submit", name)
        world.finish(name, 1)
    world.do("submit", "D")
    world.advance("D")
    world.jobs_end("D", 1, names_read={"PB"})
    world.judged("D")
    world.advance("D")
    for name, seen in (("B", "stale"), ("C", "fresh")):
        world.do("reject", name)
        world.do("submit", name, Choice({"events": 11}))
        world.finish(name, 2)
        assert world.freshness("D") == seen
        if seen == "stale":
            world.do("keep", "D")


def test_the_manager_has_a_signed_off_submission_run_again_and_its_readers_are_in_doubt(world: World) -> None:
    world.do("submit", "A", Choice({"events": 11}))
    world.finish("A", 1)
    world.do("submit", "B")
    world.finish("B", 1)
    generation = world.processing().generation
    world.do("restart", "A", reason="new alignment of the magnet")
    assert (world.state("A"), world.freshness("B")) == ("submitted", "in doubt")
    assert world.processing().generation == generation + 1
    assert world.advance("A").state == "running"
    with world.database.read() as db:
        attempt = world.view(db).attempts["A"]
        assert (attempt.number, attempt.submission.number, attempt.submission.config) == (2, 1, {"events": 11})
    world.jobs_end("A", 1)
    world.judged("A")
    world.advance("A")
    assert (world.state("B"), world.freshness("B")) == ("signed_off", "fresh")


def test_what_the_jobs_did_not_read_does_not_make_stale(world: World) -> None:
    for name in "AB":
        world.do("submit", name)
    world.finish("A", 1)
    up_to_review(world, "B", 1)
    with world.database.read() as db:
        reads = {read.name: read.used for read in world.view(db).attempts["B"].reads}
    assert reads == {"PA": True, "PB": False, "PC": False, "PD": False}


def test_what_failed_is_done_again_by_itself_when_something_upstream_has_changed(world: World) -> None:
    for name in "AB":
        world.do("submit", name)
    world.finish("A", 1)
    world.advance("B")
    world.jobs_fail("B")
    assert (world.advance("B").state, world.freshness("B")) == ("failed", "fresh")
    world.do("restart", "A")
    world.finish("A", 1)
    assert (world.advance("B").state, world.freshness("B")) == ("failed", "fresh")
    world.do("restart", "A")
    assert world.freshness("B") == "in doubt"
    world.finish("A", 2)
    assert world.freshness("B") == "stale"
    assert world.advance("B").state == "running"


def test_a_veto_with_a_fallback_gives_downstream_the_constants_of_that_tag(world: World) -> None:
    early, late = world.curated_tag("curated", "A")
    world.do("veto", "A", fallback_tag="curated")
    world.do("submit", "B")
    world.advance("B")
    with world.database.read() as db:
        reads = [read for read in world.view(db).attempts["B"].reads if read.name == "PA"]
        seen = [(str(IoV.from_numbers(read.first, read.last)), read.payload.identity, read.producer) for read in reads]
    assert seen == [("e26r100 - e26r101", early, "A"), ("e26r102 - e26r104", late, "A")]


def test_a_held_processing_starts_nothing_until_it_is_released(world: World) -> None:
    it = world.processing()
    world.database.write(lambda db: loop.hold(db, it.id, loop.Act(MANAGER, it.version, "power cut")))
    world.tick(200)
    assert world.advance("A").state == "open"
    it = world.processing()
    world.database.write(lambda db: loop.release(db, it.id, loop.Act(MANAGER, it.version)))
    assert world.advance("A").state == "running"


def test_the_same_form_sent_twice_acts_once(world: World) -> None:
    world.do("submit", "A", request_key="form-1")
    with pytest.raises(loop.Repeated):
        world.do("withdraw", "A", request_key="form-1")
    assert world.state("A") == "submitted"


def test_a_decision_keeps_who_what_why_and_what_was_seen(world: World) -> None:
    world.do("submit", "A")
    up_to_review(world, "A", 1)
    world.do("sign_off", "A", reason="the jump is real")
    last = world.decisions()[-1]
    assert (last.actor, last.verb, last.from_state, last.to_state) == ("manager", "sign_off", "review", "signed_off")
    assert last.reason == "the jump is real"
    assert len(last.seen) == 64
