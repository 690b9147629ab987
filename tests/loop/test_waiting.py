"""What waits in Airflow is woken by a signal or by `next_due`; it never wakes for nothing and never sleeps for ever."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from b2cal import conditions, loop
from b2cal.core.iov import ExpRun
from b2cal.loop import Act, Choice, ProcessingVerb
from b2cal.model import Attempt, DataFile, Grade, Outbox, ProcessingKind, Run, now
from tests.loop.world import MANAGER, Defined, World


def cancel(world: World, name: str = "bucket1") -> None:
    it = world.processing(name)
    world.database.write(lambda db: loop.cancel(db, it.id, Act(MANAGER, it.version, "wrong runs")))


def signals(world: World, *names: str | None, processing: str = "bucket1") -> list[int]:
    keys = [(processing, name) for name in names]
    return [loop.signals(world.workplace, keys)[key][0] for key in keys]


def test_a_cancelled_processing_ends_every_task_whatever_its_calibration_was_doing(world: World) -> None:
    for name in "ABC":
        world.do("submit", name)
    world.finish("A", 1)
    world.advance("B")
    world.advance("C")
    world.jobs_end("C", 1)
    before = signals(world, "A", "B", "C", "D", None)
    cancel(world)
    assert all(now > then for now, then in zip(signals(world, "A", "B", "C", "D", None), before, strict=True))
    world.tick(1000)
    progress = {name: world.advance(name) for name in "ABCD"}
    assert all(each.finished and each.next_due is None for each in progress.values())
    assert loop.advance_processing(world.workplace, "bucket1").finished
    with world.database.read() as db:
        assert db.scalars(select(Attempt).where(Attempt.live.is_(True))).all() == [world.view(db).attempts["A"]]
        assert db.scalars(select(Outbox).where(Outbox.kind == "message")).all() == []


def test_who_waits_for_a_cancelled_processing_before_publishing_is_woken(world: World) -> None:
    world.process("bucket2", first=105, last=109)
    before = signals(world, None, processing="bucket2")
    cancel(world)
    assert signals(world, None, processing="bucket2") > before


def test_what_only_a_person_can_end_is_not_due_by_itself(tmp_path: Path) -> None:
    world = World(tmp_path, (Defined("A", filters=False),))
    world.process()
    world.tick(500)
    assert world.advance("A").next_due is None


def test_a_held_processing_is_not_due_by_itself(world: World) -> None:
    it = world.processing()
    world.database.write(lambda db: loop.hold(db, it.id, Act(MANAGER, it.version, "power cut")))
    assert world.advance("A").next_due is None
    world.tick(60)
    assert world.advance("A").next_due is None


def test_hold_and_release_exclude_each_other(world: World) -> None:
    def refused(verb: ProcessingVerb, told: str) -> None:
        before = world.processing().version, len(world.decisions())
        with pytest.raises(loop.Conflict, match=told):
            world.do_to_processing(verb)
        assert (world.processing().version, len(world.decisions())) == before

    some_events_missing(world)
    world.do("submit", "A")
    asked_at = world.advance("A").next_due
    world.tick(60)
    refused(ProcessingVerb.RELEASE, "bucket1 is not held")
    assert world.advance("A").next_due == asked_at
    world.do_to_processing(ProcessingVerb.HOLD)
    refused(ProcessingVerb.HOLD, "bucket1 is held already")
    world.do_to_processing(ProcessingVerb.RELEASE)
    assert not world.processing().held


def test_more_events_than_the_registry_expects_wait_for_the_manager(world: World) -> None:
    run = ExpRun(26, 100).number
    world.database.write(lambda db: db.execute(update(DataFile).where(DataFile.exprun == run).values(n_events=1001)))
    world.do("submit", "A")
    assert world.advance("A").state == "submitted"
    with world.database.read() as db:
        view = world.view(db)
        sentence = loop.why(view, view.calibration("A"), world.clock.now()).sentence
    assert "More than expected: 1,001 of 1,000 events of bhabha in e26r100" in sentence
    world.do("go_on", "A")
    assert world.advance("A").state == "running"


def some_events_missing(world: World) -> None:
    run = ExpRun(26, 100).number
    world.database.write(lambda db: db.execute(update(DataFile).where(DataFile.exprun == run).values(n_events=999)))


def messages(world: World) -> list[tuple[str, str]]:
    """Whom the outbox tells what."""
    with world.database.read() as db:
        rows = db.scalars(select(Outbox).where(Outbox.kind == "message").order_by(Outbox.id))
        return [(row.body["to"], row.body["text"]) for row in rows]


def sentence(world: World, name: str = "A") -> str:
    with world.database.read() as db:
        view = world.view(db)
        return loop.why(view, view.calibration(name), world.clock.now()).sentence


def test_incomplete_inputs_are_put_to_the_manager_after_a_day_once(world: World) -> None:
    some_events_missing(world)
    world.do("submit", "A")
    begin = world.clock.now()
    assert world.advance("A").next_due == begin + timedelta(hours=24)
    world.tick(24 * 3600 - 1)
    world.advance("A")
    assert (messages(world), "manager decides" in sentence(world)) == ([], False)
    world.tick(1)
    for _ in range(3):
        progress = world.advance("A")
        world.tick(3600)
    assert (progress.state, progress.next_due) == ("submitted", None)
    assert messages(world) == [("manager", sentence(world))]
    assert sentence(world) == (
        "Waits for its inputs. Missing: 999 of 1,000 events of bhabha in e26r100. "
        'That has been so since 1 Nov, 12:00 UTC: manager decides with "Go on", else it waits on.'
    )
    world.do("go_on", "A")
    assert world.advance("A").state == "running"


@pytest.mark.parametrize("what_happens", ["the registry goes on", "the manager goes on"])
def test_nothing_starts_while_runs_of_the_range_may_still_be_registered(tmp_path: Path, what_happens: str) -> None:
    world = World(tmp_path)
    world.process(first=105, last=110)
    world.do("submit", "A")
    assert world.advance("A").state == "submitted"
    assert sentence(world) == (
        "Waits for its inputs. The newest registered run is e26r109: those up to e26r110 may still come."
    )
    if what_happens == "the registry goes on":
        later = {"duration_s": 60.0, "n_events": 0, "attributes": {}, "expected": {}}
        world.database.write(lambda db: db.add(Run(exprun=ExpRun(27, 0).number, started_at=now(db), **later)))
    else:
        world.do("go_on", "A")
    assert world.advance("A").state == "running"


def test_the_day_counts_from_when_nothing_but_the_inputs_is_missing(world: World) -> None:
    world.do("submit", "A")
    world.do("submit", "B")
    some_events_missing(world)
    assert world.advance("B").next_due is None
    world.tick(30 * 3600)
    world.do("go_on", "A")
    world.finish("A", 1)
    assert world.advance("B").next_due == world.clock.now() + timedelta(hours=24)


@pytest.mark.parametrize("between", ["the upstream is opened again", "a hold", "another submission"])
def test_the_day_begins_anew_after_something_else_was_in_the_way(world: World, between: str) -> None:
    world.do("submit", "A")
    world.finish("A", 1)
    world.do("submit", "B")
    some_events_missing(world)
    world.advance("B")
    world.tick(20 * 3600)
    if between == "the upstream is opened again":
        world.do("reject", "A")
        assert world.advance("B").next_due is None
        world.do("submit", "A", Choice({"events": 11}))
        world.do("go_on", "A")
        world.finish("A", 1)
    elif between == "a hold":
        it = world.processing()
        world.database.write(lambda db: loop.hold(db, it.id, Act(MANAGER, it.version, "power cut")))
        it = world.processing()
        world.database.write(lambda db: loop.release(db, it.id, Act(MANAGER, it.version)))
    else:
        world.do("veto", "B")
        world.do("lift", "B")
        world.do("submit", "B")
    assert world.advance("B").next_due == world.clock.now() + timedelta(hours=24)


def test_without_any_file_the_manager_is_not_told_to_go_on(world: World) -> None:
    world.database.write(lambda db: db.execute(update(DataFile).values(n_events=0)))
    world.do("submit", "A")
    world.advance("A")
    world.tick(24 * 3600)
    world.advance("A")
    ((to, text),) = messages(world)
    assert to == "manager"
    assert text.startswith("No file of its inputs has arrived")
    assert 'decides with "Veto"' in text


def test_inputs_that_arrive_in_time_ask_nobody(world: World) -> None:
    some_events_missing(world)
    world.do("submit", "A")
    world.advance("A")
    world.tick(23 * 3600)
    world.database.write(lambda db: db.execute(update(DataFile).values(n_events=1000)))
    before = signals(world, "A")
    world.database.write(loop.data_arrived)
    assert signals(world, "A") > before
    assert world.advance("A").state == "running"
    world.tick(3600)
    world.advance("A")
    assert messages(world) == []


def test_what_a_manager_accepted_for_one_submission_is_not_accepted_for_the_next(world: World) -> None:
    run = ExpRun(26, 100).number
    world.database.write(lambda db: db.execute(update(DataFile).where(DataFile.exprun == run).values(n_events=999)))
    world.do("submit", "B")
    world.do("go_on", "B")
    world.do("withdraw", "B")
    world.do("submit", "B")
    with world.database.read() as db:
        assert not world.view(db).calibration("B").accept_incomplete


def test_who_accepted_that_some_is_missing_is_asked_again_when_more_is(world: World) -> None:
    """At a restart what was accepted starts by itself; what nobody has seen does not."""

    def events_are(run: int, n_events: int) -> None:
        at = DataFile.exprun == ExpRun(26, run).number
        world.database.write(lambda db: db.execute(update(DataFile).where(at).values(n_events=n_events)))

    events_are(100, 500)
    world.do("submit", "A")
    assert world.advance("A").state == "submitted"
    world.do("go_on", "A")
    assert world.advance("A").state == "running"
    events_are(100, 600)
    world.do("restart", "A")
    assert world.advance("A").state == "running"
    for run, n_events in ((100, 400), (101, 999)):
        events_are(run, n_events)
        world.do("restart", "A")
        assert world.advance("A").state == "submitted"
        assert sentence(world).startswith("Waits for its inputs. Missing:")
        world.do("go_on", "A")
        assert world.advance("A").state == "running"


def test_a_fallback_without_the_payloads_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.process(kind=ProcessingKind.REPROCESSING)
    world.database.write(lambda db: conditions.create_tag(db, "empty"))
    with pytest.raises(loop.InvalidChoice, match="PA"):
        world.do("veto", "A", fallback_tag="empty")
    assert world.state("A") == "open"


def test_what_is_wrong_with_a_fallback_is_told_in_one_sentence_that_can_be_read(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.process(last=109, kind=ProcessingKind.REPROCESSING)

    def with_constants_for_the_middle(db: Session) -> None:
        entry = replace(world.constants(db, "A", "short", first=ExpRun(26, 103)), last=ExpRun(26, 106).number)
        conditions.publish(db, conditions.create_tag(db, "short"), [entry])

    world.database.write(with_constants_for_the_middle)
    with pytest.raises(loop.InvalidChoice) as refused:
        world.do("veto", "A", fallback_tag="short")
    assert str(refused.value) == (
        "The tag short cannot stand in for A: PA has no constants for e26r100 - e26r102, which was asked for;"
        " PA has no constants for e26r107 - e26r109, which was asked for."
    )


def test_an_attempt_keeps_for_each_run_why_it_was_taken(world: World) -> None:
    world.do("submit", "A")
    world.advance("A")
    with world.database.read() as db:
        runs = world.view(db).attempts["A"].runs
    assert [run["run"] for run in runs] == [str(ExpRun(26, number)) for number in range(100, 105)]
    assert all(run["taken"] and "1,000 events of bhabha" in run["reason"] for run in runs)


def test_what_is_held_says_so_and_a_person_who_may_decide_is_told_all_the_same(world: World) -> None:
    for name in ("A", "B"):
        world.do("submit", name)
    world.advance("A")
    world.jobs_end("A", 1)
    world.judged("A", Grade.FAIL)
    world.tick(100)

    def hold(db: Session) -> None:
        it = world.view(db).processing
        loop.hold(db, it.id, Act(MANAGER, it.version, "the cooling is off"))

    world.database.write(hold)
    with world.database.read() as db:
        view = world.view(db)
        said = {it.name: loop.why(view, it, world.clock.now()).sentence for it in view.calibrations.values()}
    assert all("bucket1 is held: nothing" in sentence for sentence in said.values())
    assert said["A"].startswith("A check is beyond its limit; tracking decides.")
    assert not any("now" in sentence for sentence in said.values())
